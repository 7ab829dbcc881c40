//! Waits between repetitions of what must succeed some day.

use std::time::Duration;

/// A wait that doubles at each failure, with jitter, and starts again after a success.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    /// From `first` up to `longest`.
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, next: first }
    }

    /// How long to wait after this failure: half of it certain, half of it by `jitter` (0 to 1).
    pub(crate) fn after_failure(&mut self, jitter: f64) -> Duration {
        let wait = self.next.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0));
        self.next = (self.next * 2).min(self.longest);
        wait
    }

    /// Starts again from the first wait.
    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_start_again() {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_millis(150));
        let waits: Vec<u128> = (0..4).map(|_| backoff.after_failure(1.0).as_millis()).collect();
        assert_eq!(waits, [50, 100, 150, 150]);
        assert_eq!(backoff.after_failure(0.0), Duration::from_millis(75));
        backoff.reset();
        assert_eq!(backoff.after_failure(0.0), Duration::from_millis(25));
    }
}
