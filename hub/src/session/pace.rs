//! How fast a connection may send commands: a bucket of tokens that fills steadily.

use crate::config::Limits;

/// The bucket of one connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Thousandths of commands that may be sent now.
    milli_commands: u32,
    /// When that was counted.
    counted_at_ms: u64,
    /// Commands refused so far.
    refusals: u32,
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
    /// A full bucket.
    pub(crate) fn new(limits: &Limits, now_ms: u64) -> Self {
        Self {
            milli_commands: limits.commands_burst.saturating_mul(1000),
            counted_at_ms: now_ms,
            refusals: 0,
        }
    }

    /// One more command.
    pub(crate) fn take(&mut self, now_ms: u64, limits: &Limits) -> Verdict {
        let elapsed = now_ms.saturating_sub(self.counted_at_ms);
        let earned =
            u32::try_from(elapsed.saturating_mul(u64::from(limits.commands_per_second))).unwrap_or(u32::MAX);
        self.counted_at_ms = now_ms;
        let full = limits.commands_burst.saturating_mul(1000);
        self.milli_commands = self.milli_commands.saturating_add(earned).min(full);
        if let Some(rest) = self.milli_commands.checked_sub(1000) {
            self.milli_commands = rest;
            return Verdict::Fine;
        }
        self.refusals += 1;
        if self.refusals > limits.refusals_max { Verdict::TooFastForLong } else { Verdict::TooFast }
    }
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
        let verdicts: Vec<_> = [0, 0, 0, 0, 99, 100, 200, 201].map(|now| pace.take(now, &limits)).into();
        assert_eq!(verdicts, [Fine, Fine, Fine, TooFast, TooFast, Fine, Fine, TooFastForLong]);
    }
}
