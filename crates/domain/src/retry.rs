//! When to try a delivery again, and when to give it up.

use std::time::Duration;

use crate::Timestamp;

/// How a channel repeats failed attempts in a lane.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryPolicy {
    /// The wait after the first attempt; jitter only lengthens it.
    pub floor: Duration,
    /// By how much each wait is longer than the one before. At least 1.
    pub factor: f64,
    /// No wait is longer than this, unless the provider asks for it.
    pub ceiling: Duration,
    /// Attempts in all.
    pub attempts_max: u32,
}

/// What follows an attempt that may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Another one, not before this instant.
    At(Timestamp),
    /// None: every permitted attempt is spent.
    Spent,
    /// None: the deadline would have passed by then.
    TooLate,
}

impl RetryPolicy {
    /// How much longer than computed a wait can become by jitter.
    const JITTER: f64 = 0.25;

    /// What follows attempt number `attempt` (from 1) that ended at `now`. `retry_after` is the provider's own wish,
    /// `jitter` is random in 0 to 1.
    pub fn next(&self, attempt: u32, retry_after: Option<Duration>, jitter: f64, times: Times) -> Next {
        if attempt >= self.attempts_max {
            return Next::Spent;
        }
        let exponent = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
        let seconds = self.floor.as_secs_f64() * self.factor.max(1.0).powi(exponent);
        let wait = seconds.min(self.ceiling.as_secs_f64()).max(self.floor.as_secs_f64());
        let wait = Duration::from_secs_f64(wait * (1.0 + Self::JITTER * jitter.clamp(0.0, 1.0)));
        let at = times.now + wait.max(retry_after.unwrap_or_default());
        if at < times.expires_at { Next::At(at) } else { Next::TooLate }
    }
}

/// The instants that bound a retry.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// When the attempt ended.
    pub now: Timestamp,
    /// When the message is of no more use.
    pub expires_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POLICY: RetryPolicy = RetryPolicy {
        floor: Duration::from_secs(10),
        factor: 2.0,
        ceiling: Duration::from_mins(1),
        attempts_max: 6,
    };

    fn times(seconds_left: u64) -> Times {
        let now: Timestamp = "2026-07-15T20:00:00Z".parse().unwrap();
        Times { now, expires_at: now + Duration::from_secs(seconds_left) }
    }

    fn waits(jitter: f64) -> Vec<u64> {
        let times = times(86_400);
        (1..6)
            .map(|attempt| match POLICY.next(attempt, None, jitter, times) {
                Next::At(at) => at.since(times.now).as_secs(),
                other => panic!("attempt {attempt}: {other:?}"),
            })
            .collect()
    }

    #[test]
    fn waits_double_up_to_the_ceiling_and_jitter_lengthens_them() {
        assert_eq!(waits(0.0), [10, 20, 40, 60, 60]);
        assert_eq!(waits(1.0), [12, 25, 50, 75, 75]);
    }

    #[test]
    fn the_provider_may_ask_for_more_but_not_for_less() {
        let times = times(86_400);
        let asked = |seconds| POLICY.next(1, Some(Duration::from_secs(seconds)), 0.0, times);
        assert_eq!(asked(1), Next::At(times.now + Duration::from_secs(10)));
        assert_eq!(asked(900), Next::At(times.now + Duration::from_mins(15)));
    }

    #[test]
    fn spent_attempts_and_passed_deadlines_end_it() {
        assert_eq!(POLICY.next(6, None, 0.0, times(86_400)), Next::Spent);
        assert_eq!(POLICY.next(1, None, 0.0, times(10)), Next::TooLate);
        assert_eq!(POLICY.next(1, Some(Duration::from_mins(1)), 0.0, times(60)), Next::TooLate);
    }

    proptest! {
        #[test]
        fn no_retry_comes_before_the_floor_or_after_the_deadline(
            attempt in 1_u32..10, after in prop::option::of(0_u64..100_000), jitter in 0.0..1.0_f64, left in 0_u64..100_000,
        ) {
            let times = times(left);
            match POLICY.next(attempt, after.map(Duration::from_secs), jitter, times) {
                Next::At(at) => {
                    prop_assert!(at < times.expires_at && at >= times.now + POLICY.floor);
                    prop_assert!(at >= times.now + Duration::from_secs(after.unwrap_or(0)));
                }
                Next::Spent => prop_assert!(attempt >= POLICY.attempts_max),
                Next::TooLate => prop_assert!(attempt < POLICY.attempts_max),
            }
        }
    }
}
