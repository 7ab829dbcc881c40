//! How fast a connection may send commands, and fail: buckets of tokens that fill steadily.

use crate::config::Limits;

/// Errors that are forgiven each second.
const ERRORS_PER_SECOND: u32 = 1;

/// The buckets of one connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    commands: Bucket,
    errors: Bucket,
    /// Commands refused so far.
    refusals: u32,
}

/// Tokens that come back with time.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// Thousandths of what may be taken now.
    milli: u32,
    /// When that was counted, in milliseconds of the shard's life modulo 2^32: after 50 days of silence a bucket may be
    /// taken for emptier than it is.
    counted_at_ms: u32,
}

/// What becomes of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is taken.
    Fine,
    /// It is refused.
    TooFast,
    /// It was one refusal too many.
    TooFastForLong,
}

impl Pace {
    /// Full buckets.
    pub(crate) fn new(limits: &Limits, now_ms: u64) -> Self {
        let full = |count: u32| Bucket { milli: count.saturating_mul(1000), counted_at_ms: wrapped(now_ms) };
        Self { commands: full(limits.commands_burst), errors: full(limits.errors_max), refusals: 0 }
    }

    /// One more command, `in_time` for its user.
    pub(crate) fn take(&mut self, now_ms: u64, in_time: bool, limits: &Limits) -> Verdict {
        if self.commands.take(now_ms, limits.commands_per_second, limits.commands_burst) && in_time {
            return Verdict::Fine;
        }
        self.refusals += 1;
        if self.refusals > limits.refusals_max { Verdict::TooFastForLong } else { Verdict::TooFast }
    }

    /// One more command that was answered with an error; whether there may be more.
    pub(crate) fn fail(&mut self, now_ms: u64, limits: &Limits) -> bool {
        self.errors.take(now_ms, ERRORS_PER_SECOND, limits.errors_max)
    }
}

impl Bucket {
    fn take(&mut self, now_ms: u64, per_second: u32, burst: u32) -> bool {
        let elapsed = u64::from(wrapped(now_ms).wrapping_sub(self.counted_at_ms));
        let earned = u32::try_from(elapsed * u64::from(per_second)).unwrap_or(u32::MAX);
        self.counted_at_ms = wrapped(now_ms);
        self.milli = self.milli.saturating_add(earned).min(burst.saturating_mul(1000));
        let rest = self.milli.checked_sub(1000);
        self.milli = rest.unwrap_or(self.milli);
        rest.is_some()
    }
}

fn wrapped(now_ms: u64) -> u32 {
    u32::try_from(now_ms & u64::from(u32::MAX)).expect("it was cut to 32 bits")
}

#[cfg(test)]
mod tests {
    use super::Verdict::{Fine, TooFast, TooFastForLong};
    use super::*;

    #[test]
    fn a_burst_passes_then_the_rate_holds() {
        let limits =
            Limits { commands_per_second: 10, commands_burst: 3, refusals_max: 2, ..Limits::default() };
        let mut pace = Pace::new(&limits, 0);
        let verdicts: Vec<_> =
            [0, 0, 0, 0, 99, 100, 200, 201].map(|now| pace.take(now, true, &limits)).into();
        assert_eq!(verdicts, [Fine, Fine, Fine, TooFast, TooFast, Fine, Fine, TooFastForLong]);
        assert_eq!(pace.take(10_000, false, &limits), TooFastForLong, "the user's pace counts, too");
    }

    #[test]
    fn errors_are_forgiven_with_time() {
        let limits = Limits { errors_max: 2, ..Limits::default() };
        let mut pace = Pace::new(&limits, 0);
        let may_go_on: Vec<_> = [0, 0, 500, 1_000, 1_001].map(|now| pace.fail(now, &limits)).into();
        assert_eq!(may_go_on, [true, true, false, true, false]);
    }
}
