//! One target, or our own configuration? Some refusals mean either, and the difference is who else gets through.
//!
//! A token of another app and a wrong app of ours are refused with the same words. Whoever sets aside every target that
//! is refused so empties the registry with one wrong setting; whoever stops the lane at each lets one bad target stop
//! everybody. So: while nobody gets through, it is the configuration, until the same target is all that is left to
//! try; while nearly everybody gets through, it is the target.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::sync::Mutex;

use domain::Action;

/// Refusals of one and the same target in a row after which it is set aside although nobody else got through.
const ALONE_MAX: u32 = 3;
/// Doubtful refusals in a hundred answers above which the configuration is to blame.
const PERCENT_MAX: u64 = 5;
/// Answers that are remembered; then the older half counts for less.
const REMEMBERED: u64 = 1_000;

/// What a provider has answered lately.
#[derive(Debug, Default)]
pub(super) struct Suspects(Mutex<Tally>);

#[derive(Debug, Default)]
struct Tally {
    accepted: u64,
    doubtful: u64,
    /// The target that was refused last, and how often in a row.
    last: Option<(u64, u32)>,
}

impl Suspects {
    /// Somebody has got through.
    pub(super) fn accepted(&self) {
        let mut tally = self.0.lock().expect("no holder of this lock panics");
        tally.accepted += 1;
        tally.last = None;
        tally.fade();
    }

    /// What a refusal of `target` means that can be about it or about us: [`Action::Quarantine`] or
    /// [`Action::FixConfig`].
    pub(super) fn judge(&self, target: &str) -> Action {
        let mut hasher = DefaultHasher::new();
        target.hash(&mut hasher);
        let target = hasher.finish();
        let mut tally = self.0.lock().expect("no holder of this lock panics");
        let times = tally.last.filter(|(last, _)| *last == target).map_or(1, |(_, times)| times + 1);
        tally.last = Some((target, times));
        tally.doubtful += 1;
        tally.fade();
        // a few stand for nothing yet, but some must have got through
        let permitted = (tally.accepted * PERCENT_MAX / 100).max(tally.accepted.min(PERCENT_MAX));
        let is_target = tally.doubtful <= permitted || times >= ALONE_MAX;
        if is_target { Action::Quarantine } else { Action::FixConfig }
    }
}

impl Tally {
    fn fade(&mut self) {
        if self.accepted + self.doubtful >= REMEMBERED {
            self.accepted /= 2;
            self.doubtful /= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn while_nobody_gets_through_it_is_the_configuration() {
        let suspects = Suspects::default();
        for number in 0..10_000 {
            assert_eq!(suspects.judge(&number.to_string()), Action::FixConfig);
        }
    }

    #[test]
    fn a_target_that_is_alone_stops_the_lane_only_for_a_while() {
        let suspects = Suspects::default();
        let judged = [(); 4].map(|()| suspects.judge("alone"));
        assert_eq!(judged[..2], [Action::FixConfig; 2]);
        assert_eq!(judged[2..], [Action::Quarantine; 2]);
    }

    #[test]
    fn a_few_among_many_are_targets_and_a_flood_is_the_configuration() {
        let suspects = Suspects::default();
        for number in 0..2_000 {
            if number % 50 == 49 {
                assert_eq!(suspects.judge(&number.to_string()), Action::Quarantine, "{number}");
            } else {
                suspects.accepted();
            }
        }
        let flood = (0..200).map(|number| suspects.judge(&format!("flood-{number}")));
        let burnt = flood.filter(|action| *action == Action::Quarantine).count();
        assert!(burnt <= 50, "{burnt} set aside");
    }
}
