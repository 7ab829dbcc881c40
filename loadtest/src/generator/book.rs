//! What the clients of a generator heard: how late, and whether each topic came whole, in order, and once.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::histogram::{LATENCY_MAX_US, of_microseconds};
use crate::payload::Mark;

/// Seconds that are told apart.
const SECONDS_MAX: usize = 100_000;

/// Latencies, as they travel between processes: pairs of microseconds and counts.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Latencies(pub Vec<(u64, u64)>);

/// What was heard.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Books {
    /// Publications.
    pub received: u64,
    /// Bytes of all that came.
    pub bytes: u64,
    /// Publications that were missing when a later one of their topic came.
    pub gaps: u64,
    /// Publications that came again, or too late.
    pub repeated: u64,
    /// Of every topic but the additional ones.
    pub latencies: Latencies,
    /// Of the additional ones.
    pub latencies_all: Latencies,
    /// Publications by the second in which they came, from the first one on.
    pub per_second: Vec<u64>,
    /// Nanoseconds of the monotonic clock when the first and the last came.
    pub first_ns: u64,
    /// See `first_ns`.
    pub last_ns: u64,
}

/// Where every client is in its topics, and what came.
#[derive(Debug)]
pub(super) struct Ledger {
    /// The number expected next, by client and place of the topic.
    next: Vec<u32>,
    /// Topics of its own that each client follows, and those that all do.
    own: u32,
    all: u32,
    topics: u32,
    latencies: Histogram<u64>,
    latencies_all: Histogram<u64>,
    books: Books,
    /// The last that came and were due together, not counted yet.
    alike: Alike,
}

/// Publications that came and were due together.
#[derive(Debug, Default)]
struct Alike {
    is_of_all: bool,
    due_ns: u64,
    now_ns: u64,
    count: u64,
}

impl Latencies {
    pub(super) fn of(histogram: &Histogram<u64>) -> Self {
        Self(histogram.iter_recorded().map(|at| (at.value_iterated_to(), at.count_at_value())).collect())
    }

    /// Adds them to a histogram.
    pub(crate) fn add_to(&self, histogram: &mut Histogram<u64>) {
        for (us, count) in &self.0 {
            histogram.saturating_record(*us); // the first one; the others by their count
            if *count > 1 {
                let _ = histogram.record_n((*us).clamp(1, LATENCY_MAX_US), count - 1); // within the bounds
            }
        }
    }
}

impl Ledger {
    /// For `clients` that follow `each` of `topics` topics and `all` that everybody follows.
    pub(super) fn new(clients: usize, each: u32, topics: u32, all: u32) -> Self {
        Self {
            next: vec![0; clients * (each + all) as usize],
            own: each,
            all,
            topics,
            latencies: of_microseconds(),
            latencies_all: of_microseconds(),
            books: Books::default(),
            alike: Alike::default(),
        }
    }

    /// Forgets what came, but not where the clients are.
    pub(super) fn begin(&mut self) {
        self.latencies.reset();
        self.latencies_all.reset();
        self.books = Books::default();
        self.alike = Alike::default();
    }

    /// Publications since the beginning.
    pub(super) fn received(&self) -> u64 {
        self.books.received + self.alike.count
    }

    pub(super) fn bytes(&mut self, bytes: usize) {
        self.books.bytes += bytes as u64;
    }

    /// Client number `local`, which follows the topics from `first` on, has heard a publication.
    pub(super) fn heard(&mut self, local: usize, first: u32, mark: Mark, now_ns: u64) {
        let is_of_all = mark.topic >= self.topics;
        let each = self.own + self.all;
        let place = if is_of_all {
            self.own + mark.topic - self.topics
        } else {
            (mark.topic + self.topics - first) % self.topics
        };
        let slot = local * each as usize + place.min(each - 1) as usize;
        let next = &mut self.next[slot];
        if mark.number >= *next {
            self.books.gaps += u64::from(mark.number - *next);
            *next = mark.number + 1;
        } else {
            self.books.repeated += 1;
        }
        let alike = Alike { is_of_all, due_ns: mark.due_ns, now_ns, count: 0 };
        if (self.alike.due_ns, self.alike.now_ns, self.alike.is_of_all) != (alike.due_ns, now_ns, is_of_all) {
            self.settle();
            self.alike = alike;
        }
        self.alike.count += 1;
    }

    /// Counts those that came and were due together. Each for itself would cost more than reading them.
    pub(super) fn settle(&mut self) {
        let Alike { is_of_all, due_ns, now_ns, count } = std::mem::take(&mut self.alike);
        if count == 0 {
            return;
        }
        let late_us = (now_ns.saturating_sub(due_ns) / 1_000).clamp(1, LATENCY_MAX_US);
        let latencies = if is_of_all { &mut self.latencies_all } else { &mut self.latencies };
        let _ = latencies.record_n(late_us, count); // it lies within the bounds
        let books = &mut self.books;
        if books.received == 0 {
            books.first_ns = now_ns;
        }
        books.received += count;
        books.last_ns = now_ns;
        let second =
            usize::try_from(now_ns.saturating_sub(books.first_ns) / 1_000_000_000).unwrap_or(usize::MAX);
        if second < SECONDS_MAX {
            books.per_second.resize(books.per_second.len().max(second + 1), 0);
            books.per_second[second] += count;
        }
    }

    /// What was heard.
    pub(super) fn books(&mut self) -> Books {
        self.settle();
        Books {
            latencies: Latencies::of(&self.latencies),
            latencies_all: Latencies::of(&self.latencies_all),
            ..self.books.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn mark(topic: u32, number: u32) -> Mark {
        Mark { topic, number, due_ns: 0 }
    }

    #[test]
    fn gaps_repetitions_and_latencies_are_counted_by_client_and_topic() {
        let mut ledger = Ledger::new(2, 2, 10, 1);
        // client 0 follows 9 and 0, client 1 follows 4 and 5, both the additional one
        for (local, first, topic, number) in
            [(0, 9, 9, 0), (0, 9, 0, 0), (0, 9, 9, 1), (1, 4, 5, 0), (1, 4, 10, 0)]
        {
            ledger.heard(local, first, mark(topic, number), 5 * MS);
        }
        assert_eq!((ledger.books().gaps, ledger.books().repeated), (0, 0));
        ledger.heard(0, 9, mark(9, 4), 7 * MS); // 2 and 3 are missing
        ledger.heard(1, 4, mark(5, 0), 7 * MS); // again
        ledger.heard(1, 4, mark(10, 1), 1_500 * MS);
        let books = ledger.books();
        assert_eq!((books.received, books.gaps, books.repeated), (8, 2, 1));
        assert_eq!(books.per_second, [7, 1]);
        let mut merged = of_microseconds();
        books.latencies.add_to(&mut merged);
        assert_eq!(merged.len(), 6);
        assert!((4_990..=5_010).contains(&merged.value_at_quantile(0.5)));
        assert_eq!(books.latencies_all.0.iter().map(|(_, count)| count).sum::<u64>(), 2);
        ledger.begin();
        ledger.heard(0, 9, mark(9, 5), 0);
        assert_eq!((ledger.received(), ledger.books().gaps), (1, 0), "the place in the topic is kept");
    }
}
