//! Revocations of the last while, in memory: whoever comes back with a token issued before is not let in.
//!
//! They come from the change log, at start from what is still in it. There is room for so many; when one has to make
//! room before its time, tokens that are not younger are asked to be renewed, whoever's they are: the API gives no new
//! one to whom it has signed out.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use domain::{Bearer, Revocation, Standing, Timestamp, UserId};

use crate::config;

/// What is remembered of them. Cloning is cheap.
#[derive(Debug, Clone)]
pub(crate) struct Revocations(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    keep: Duration,
    entries_max: usize,
    kept: RwLock<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    of_users: HashMap<UserId, Vec<Entry>>,
    /// Every entry, the oldest first.
    order: VecDeque<(Timestamp, UserId)>,
    /// Tokens issued in this second or before are to be renewed, seconds since 1970.
    floor: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    at: Timestamp,
    revocation: Revocation,
}

impl Revocations {
    /// Remembers nothing yet.
    pub(crate) fn new(config: &config::Revocations) -> Self {
        let keep = Duration::from_secs(config.keep_secs);
        let kept = RwLock::new(Kept { floor: i64::MIN, ..Kept::default() });
        Self(Arc::new(Inner { keep, entries_max: config.entries_max as usize, kept }))
    }

    /// Remembers a revocation of instant `at`; gives how many are remembered.
    pub(crate) fn note(&self, at: Timestamp, revocation: &Revocation, now: Timestamp) -> usize {
        let mut kept = self.0.kept.write().expect("no holder of this lock panics");
        while let Some((oldest_at, _)) = kept.order.front().copied()
            && oldest_at + self.0.keep <= now
        {
            kept.forget_oldest();
        }
        let entry = Entry { at, revocation: revocation.clone() };
        if at + self.0.keep <= now || kept.has(&entry) {
            return kept.order.len();
        }
        if kept.order.len() >= self.0.entries_max
            && let Some(forgotten_at) = kept.forget_oldest()
        {
            kept.floor = kept.floor.max(forgotten_at.as_second());
        }
        kept.order.push_back((at, revocation.user_id()));
        kept.of_users.entry(revocation.user_id()).or_default().push(entry);
        kept.order.len()
    }

    /// Nothing is known of what was revoked before `at`: tokens that are not younger are to be renewed. Whether that
    /// matters: before a token's life nothing does.
    pub(crate) fn know_nothing_before(&self, at: Timestamp, now: Timestamp) -> bool {
        let matters = at + self.0.keep > now;
        if matters {
            let mut kept = self.0.kept.write().expect("no holder of this lock panics");
            kept.floor = kept.floor.max(at.as_second());
        }
        matters
    }

    /// Where a token stands.
    pub(crate) fn standing(&self, bearer: Bearer<'_>) -> Standing {
        let kept = self.0.kept.read().expect("no holder of this lock panics");
        let floor = if bearer.issued_at <= kept.floor { Standing::Renew } else { Standing::Good };
        let entries = kept.of_users.get(&bearer.user_id).into_iter().flatten();
        entries.map(|entry| entry.revocation.standing(entry.at, bearer)).fold(floor, Standing::max)
    }
}

impl Kept {
    fn has(&self, entry: &Entry) -> bool {
        self.of_users.get(&entry.revocation.user_id()).is_some_and(|entries| entries.contains(entry))
    }

    /// The order is that of the log, in which two processes of an API may differ by the offset of their clocks: for one
    /// user the first entry is the oldest that was heard.
    fn forget_oldest(&mut self) -> Option<Timestamp> {
        let (at, user_id) = self.order.pop_front()?;
        if let Some(entries) = self.of_users.get_mut(&user_id) {
            entries.remove(0);
            if entries.is_empty() {
                self.of_users.remove(&user_id);
            }
        }
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use domain::RevocationReason;

    use super::*;

    fn second(second: i64) -> Timestamp {
        Timestamp::from_microsecond(second * 1_000_000).unwrap()
    }

    fn blocked(user: i64) -> Revocation {
        Revocation::User { user_id: UserId(user), reason: RevocationReason::Blocked, except: None }
    }

    fn standing(revocations: &Revocations, user: i64, issued_at: i64) -> Standing {
        revocations.standing(Bearer { user_id: UserId(user), session: "s", issued_at })
    }

    fn with(keep_secs: u64, entries_max: u32) -> Revocations {
        Revocations::new(&config::Revocations { keep_secs, entries_max })
    }

    #[test]
    fn a_revocation_holds_for_as_long_as_tokens_live_and_no_longer() {
        let revocations = with(600, 10);
        assert_eq!(revocations.note(second(1_000), &blocked(1), second(1_001)), 1);
        assert_eq!(revocations.note(second(1_000), &blocked(1), second(1_001)), 1, "heard twice");
        assert_eq!(standing(&revocations, 1, 999), Standing::Ended);
        assert_eq!(standing(&revocations, 1, 1_000), Standing::Renew);
        assert_eq!(standing(&revocations, 1, 1_001), Standing::Good);
        assert_eq!(standing(&revocations, 2, 999), Standing::Good);
        assert_eq!(revocations.note(second(1_600), &blocked(2), second(1_600)), 1, "the first has served");
        assert_eq!(revocations.note(second(900), &blocked(3), second(1_600)), 1, "too old to matter");
    }

    /// Goal: room is made at the cost of a renewal, never by letting somebody in.
    #[test]
    fn what_makes_room_too_early_costs_a_renewal() {
        let revocations = with(600, 2);
        for user in 1..=3 {
            revocations.note(second(1_000 + user), &blocked(user), second(1_010));
        }
        assert_eq!(standing(&revocations, 1, 1_000), Standing::Renew, "forgotten, but not let in");
        assert_eq!(standing(&revocations, 9, 1_001), Standing::Renew);
        assert_eq!(standing(&revocations, 9, 1_002), Standing::Good);
        assert_eq!(standing(&revocations, 3, 1_000), Standing::Ended);
    }

    #[test]
    fn before_what_the_log_still_has_everybody_renews() {
        let revocations = with(600, 2);
        assert!(!revocations.know_nothing_before(second(300), second(900)));
        assert_eq!(standing(&revocations, 1, 300), Standing::Good);
        assert!(revocations.know_nothing_before(second(500), second(900)));
        assert_eq!(
            (standing(&revocations, 1, 500), standing(&revocations, 1, 501)),
            (Standing::Renew, Standing::Good)
        );
    }
}
