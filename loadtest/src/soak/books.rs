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
