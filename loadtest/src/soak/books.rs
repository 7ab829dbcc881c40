//! What each member heard, and whether all of them heard the same.

use std::collections::{BTreeMap, HashSet};

/// A publication's author and its number among the author's.
pub(super) type Mark = (u32, u32);

/// What one member noted.
#[derive(Debug, Default)]
pub(super) struct Book {
    /// Its topic.
    pub topic: u32,
    /// What it heard, in the order of arrival: offset and mark.
    pub heard: Vec<(u64, Mark)>,
    /// Its own publications that the server has confirmed.
    pub confirmed: Vec<Mark>,
    /// Publications that came again.
    pub duplicates: u64,
    /// Publications whose offset did not rise.
    pub reordered: u64,
    /// Publications that came with a recovery.
    pub recovered: u64,
    /// Recoveries that the server refused.
    pub unrecovered: u64,
    /// Commands that the server refused.
    pub refused: u64,
    /// Connections that it cut itself.
    pub cuts: u64,
    /// Subscriptions that it paused.
    pub pauses: u64,
    /// Connections that it lost without wanting to.
    pub lost: u64,
    known: HashSet<Mark>,
}

/// What a client heard to whom nothing is repeated.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// Its topic.
    pub topic: u32,
    /// What it heard in each of its connections, in the order of arrival.
    pub segments: Vec<Vec<Mark>>,
    /// Connections that it cut itself.
    pub cuts: u64,
    /// Connections that it lost without wanting to.
    pub lost: u64,
    /// Attempts to come in that failed.
    pub failed: u64,
}

/// What the comparison of a log with the books of its topic says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Pieces {
    /// Publications.
    pub heard: u64,
    /// Publications that were missing between two of one connection.
    pub gaps: u64,
    /// Publications that came again, or in another order, or that nobody published.
    pub wrong: u64,
}

/// What the comparison of all books says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Different publications.
    pub publications: u64,
    /// Publications that some member heard, and another one of the topic did not.
    pub gaps: u64,
    /// Publications that two members heard with different offsets, or that stand in another order.
    pub disorder: u64,
    /// Publications that the server confirmed and nobody heard.
    pub unheard: u64,
}

impl Book {
    /// An empty book of a member of `topic`.
    pub(super) fn of(topic: u32) -> Self {
        Self { topic, ..Self::default() }
    }

    /// Notes a publication; gives whether it was new.
    pub(super) fn note(&mut self, offset: u64, mark: Mark) -> bool {
        if !self.known.insert(mark) {
            self.duplicates += 1;
            return false;
        }
        self.reordered += u64::from(self.heard.last().is_some_and(|(last, _)| offset <= *last));
        self.heard.push((offset, mark));
        true
    }
}

/// Compares the books of `topics` topics: everybody subscribed before the first publication, so all have to be alike.
pub(super) fn compare(books: &[Book], topics: u32) -> Found {
    let mut found = Found::default();
    for topic in 0..topics {
        let members: Vec<&Book> = books.iter().filter(|book| book.topic == topic).collect();
        let mut whole: BTreeMap<u64, Mark> = BTreeMap::new();
        let mut marks = HashSet::new();
        for &(offset, mark) in members.iter().flat_map(|book| &book.heard) {
            found.disorder += u64::from(*whole.entry(offset).or_insert(mark) != mark);
            marks.insert(mark);
        }
        found.publications += whole.len() as u64;
        found.disorder += (whole.len() as u64).abs_diff(marks.len() as u64);
        // authors number their publications: each has to be heard in its own order
        let mut last: BTreeMap<u32, u32> = BTreeMap::new();
        for (author, number) in whole.values() {
            found.disorder +=
                u64::from(last.insert(*author, *number).is_some_and(|before| *number <= before));
        }
        for book in &members {
            found.gaps += marks.iter().filter(|mark| !book.known.contains(*mark)).count() as u64;
            found.unheard += book.confirmed.iter().filter(|mark| !marks.contains(*mark)).count() as u64;
        }
    }
    found
}

/// Compares logs with the books of `topics` topics: between two cuts, what was heard has to be a piece of the whole.
pub(super) fn compare_logs(logs: &[Log], books: &[Book], topics: u32) -> Pieces {
    let mut found = Pieces::default();
    for topic in 0..topics {
        let members = books.iter().filter(|book| book.topic == topic);
        let whole: BTreeMap<u64, Mark> = members.flat_map(|book| book.heard.iter().copied()).collect();
        let places: BTreeMap<Mark, u64> = whole.into_values().zip(0..).collect();
        for segment in logs.iter().filter(|log| log.topic == topic).flat_map(|log| &log.segments) {
            let mut next = None;
            for mark in segment {
                found.heard += 1;
                match (places.get(mark), next) {
                    (Some(place), Some(expected)) if *place < expected => found.wrong += 1,
                    (Some(place), expected) => {
                        found.gaps += place - expected.unwrap_or(*place);
                        next = Some(place + 1);
                    }
                    (None, _) => found.wrong += 1,
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book(heard: &[(u64, Mark)]) -> Book {
        let mut book = Book::default();
        for &(offset, mark) in heard {
            book.note(offset, mark);
        }
        book
    }

    #[test]
    fn like_books_are_faultless() {
        let mut books = [book(&[(3, (0, 1)), (7, (1, 1))]), book(&[(3, (0, 1)), (7, (1, 1))])];
        books[0].confirmed.push((0, 1));
        assert_eq!(compare(&books, 1), Found { publications: 2, ..Found::default() });
    }

    #[test]
    fn logs_are_pieces_of_the_whole() {
        let books = [book(&[(3, (0, 1)), (7, (1, 1)), (9, (0, 2)), (12, (1, 2))])];
        let heard = |segments: &[&[Mark]]| {
            let segments = segments.iter().map(|marks| marks.to_vec()).collect();
            compare_logs(&[Log { segments, ..Log::default() }], &books, 1)
        };
        let faultless = heard(&[&[(1, 1), (0, 2)], &[], &[(1, 2)]]);
        assert_eq!(faultless, Pieces { heard: 3, gaps: 0, wrong: 0 });
        assert_eq!(heard(&[&[(0, 1), (1, 2)]]).gaps, 2);
        assert_eq!(heard(&[&[(0, 2), (1, 1)]]).wrong, 1);
        assert_eq!(heard(&[&[(0, 2), (0, 2), (5, 5)]]).wrong, 2);
    }

    #[test]
    fn each_kind_of_fault_is_counted() {
        let whole = [(3, (0, 1)), (7, (1, 1)), (9, (0, 2))];
        assert_eq!(compare(&[book(&whole), book(&[whole[0], whole[2]])], 1).gaps, 1);
        assert_eq!(compare(&[book(&whole), book(&[(3, (1, 1))])], 1).disorder, 1);
        assert_eq!(compare(&[book(&[(3, (0, 2)), (7, (0, 1))])], 1).disorder, 1);
        let mut lost = book(&whole);
        lost.confirmed.push((5, 1));
        assert_eq!(compare(&[lost], 1).unheard, 1);
        let again = book(&[whole[0], whole[0], whole[2], whole[1]]);
        assert_eq!((again.duplicates, again.reordered), (1, 1));
    }
}
