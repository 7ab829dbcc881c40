//! When something is to be published: at fixed times, whatever the server does. A publisher that waits for a slow
//! server would leave out just the moments that matter (coordinated omission), so latency counts from these times.

use std::ops::Range;
use std::time::Duration;

use crate::machine::nanos;

/// Points in time at equal distances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Schedule {
    start_ns: u64,
    interval_ns: u64,
    count: u64,
}

impl Schedule {
    /// `per_second` points a second for `span` from `start_ns` on; at least one.
    pub(crate) fn new(start_ns: u64, per_second: f64, span: Duration) -> Self {
        let interval = Duration::from_secs_f64(1.0 / per_second.max(0.001));
        let interval_ns = nanos(interval).max(1);
        Self { start_ns, interval_ns, count: (nanos(span) / interval_ns).max(1) }
    }

    /// How many points there are.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// When point `number` is due.
    pub(crate) fn due_ns(&self, number: u64) -> u64 {
        self.start_ns + number * self.interval_ns
    }

    /// The points from `next` on that are due at `now_ns`: several when the caller is late.
    pub(crate) fn due(&self, next: u64, now_ns: u64) -> Range<u64> {
        let Some(since) = now_ns.checked_sub(self.start_ns) else { return next..next };
        let end = (since / self.interval_ns + 1).min(self.count);
        next..end.max(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_stay_where_they_are_when_the_publisher_is_late() {
        let schedule = Schedule::new(1_000, 100.0, Duration::from_secs(1));
        assert_eq!((schedule.count(), schedule.due_ns(0), schedule.due_ns(3)), (100, 1_000, 30_001_000));
        assert_eq!(schedule.due(0, 0), 0..0);
        assert_eq!(schedule.due(0, 999), 0..0);
        assert_eq!(schedule.due(0, 1_000), 0..1);
        assert_eq!(schedule.due(1, 10_000_999), 1..1);
        // half a second late: what was missed is due at its own times, not from now on
        assert_eq!(schedule.due(1, 500_001_000), 1..51);
        assert_eq!(schedule.due(51, 10_000_000_000), 51..100);
        assert_eq!(Schedule::new(0, 1.0, Duration::ZERO).count(), 1);
    }
}
