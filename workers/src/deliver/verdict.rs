//! What follows from the outcome of an attempt. Pure.

use domain::{Action, Next, RetryPolicy, Times, Timestamp};
use store::deliveries::Settled;

use crate::gateway::{Outcome, Verdict};

/// By what an outcome is judged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// How attempts are repeated.
    pub(super) policy: RetryPolicy,
    /// Whether one without verdict is repeated.
    pub(super) resend_unknown: bool,
    /// Random, 0 to 1; the same for a whole page, so that its retries stay together.
    pub(super) jitter: f64,
}

/// What follows from `outcome` of attempt number `attempt`. `paused_until` is used when the configuration is wrong.
pub(super) fn settle(
    outcome: &Outcome,
    attempt: u32,
    rules: Rules,
    times: Times,
    paused_until: Timestamp,
) -> Settled {
    let next = || rules.policy.next(attempt, outcome.retry_after, rules.jitter, times);
    match outcome.verdict {
        Verdict::Accepted => Settled::Accepted,
        Verdict::Refused(Action::Retry) => match next() {
            Next::At(at) => Settled::Again(at),
            Next::Spent => Settled::Dead(Action::Retry),
            Next::TooLate => Settled::TooLate,
        },
        Verdict::Refused(Action::Unknown) if !rules.resend_unknown => Settled::Unknown(None),
        Verdict::Refused(Action::Unknown) => match next() {
            Next::At(at) => Settled::Unknown(Some(at)),
            // it may have arrived: neither dead nor expired before its deadline has passed without proof
            Next::Spent | Next::TooLate => Settled::Unknown(None),
        },
        Verdict::Refused(action @ (Action::DropTarget | Action::Quarantine | Action::FixMessage)) => {
            Settled::Failed(action)
        }
        Verdict::Refused(Action::FixConfig) => Settled::Released(paused_until),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_action_has_its_path() {
        let now: Timestamp = "2026-07-18T12:00:00Z".parse().unwrap();
        let times = Times { now, expires_at: now + Duration::from_mins(10) };
        let policy = RetryPolicy {
            floor: Duration::from_secs(10),
            factor: 2.0,
            ceiling: Duration::from_mins(1),
            attempts_max: 3,
        };
        let paused_until = now + Duration::from_secs(99);
        let judge = |verdict, attempt, resend_unknown| {
            let outcome = Outcome {
                verdict,
                provider_id: None,
                status_code: None,
                reason: String::new(),
                retry_after: None,
                bytes_left: true,
            };
            settle(&outcome, attempt, Rules { policy, resend_unknown, jitter: 0.0 }, times, paused_until)
        };
        let refused = Verdict::Refused;
        let soon = now + Duration::from_secs(10);
        assert_eq!(judge(Verdict::Accepted, 1, true), Settled::Accepted);
        assert_eq!(judge(refused(Action::Retry), 1, true), Settled::Again(soon));
        assert_eq!(judge(refused(Action::Retry), 3, true), Settled::Dead(Action::Retry));
        assert_eq!(judge(refused(Action::Unknown), 1, true), Settled::Unknown(Some(soon)));
        assert_eq!(judge(refused(Action::Unknown), 1, false), Settled::Unknown(None));
        assert_eq!(judge(refused(Action::Unknown), 3, true), Settled::Unknown(None));
        for action in [Action::DropTarget, Action::Quarantine, Action::FixMessage] {
            assert_eq!(judge(refused(action), 1, true), Settled::Failed(action));
        }
        assert_eq!(judge(refused(Action::FixConfig), 3, true), Settled::Released(paused_until));
    }
}
