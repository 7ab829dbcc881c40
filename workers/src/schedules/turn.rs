//! What a time that has come means for its schedule. Pure.

use std::time::Duration;

use domain::{Recurrence, Timestamp, Zone};
use store::schedules::{Advance, Plan};

/// The announcement to make, and how the schedule goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Turn {
    /// The time that the announcement is for; `None`: it would be of no more use.
    pub(super) said_at: Option<Timestamp>,
    /// How the schedule goes on.
    pub(super) advance: Advance,
}

/// The turn of a schedule that was due at `due`. Of several times that passed, the last one is made up for, while its
/// announcement is still of use; the others are counted as missed.
pub(super) fn turn(plan: &Plan, due: Timestamp, now: Timestamp) -> Turn {
    let (mut last, mut missed, mut next_at) = (due, 0, None);
    if let (Some(rule), Ok(first), Ok(zone)) =
        (recurrence(plan), plan.first_local.parse(), Zone::new(&plan.time_zone))
    {
        next_at = rule.next(first, &zone, last);
        while let Some(next) = next_at.filter(|next| *next <= now) {
            (last, missed) = (next, missed + 1);
            next_at = rule.next(first, &zone, last);
        }
    }
    let said_at = Some(last).filter(|at| now < *at + Duration::from_secs(plan.ttl_seconds));
    let sent = i64::from(said_at.is_some());
    Turn { said_at, advance: Advance { next_at, sent, missed: missed + 1 - sent } }
}

fn recurrence(plan: &Plan) -> Option<Recurrence> {
    plan.recurrence.as_deref().and_then(|rule| rule.parse().ok())
}

#[cfg(test)]
mod tests {
    use domain::{Audience, Lane, LocalizedText};

    use super::*;

    fn plan(recurrence: Option<&str>) -> Plan {
        Plan {
            lane: Lane::Standard,
            title: LocalizedText::english("Gates"),
            body: LocalizedText::english("are open"),
            audience: Audience::Everyone,
            ttl_seconds: 3_600,
            first_local: "2026-10-28T18:00:00".to_owned(),
            time_zone: "Africa/Cairo".to_owned(),
            recurrence: recurrence.map(str::to_owned),
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn once_is_once_and_too_late_is_missed() {
        let due = at("2026-10-28T15:00:00Z");
        let done = |said_at, sent, missed| Turn { said_at, advance: Advance { next_at: None, sent, missed } };
        assert_eq!(turn(&plan(None), due, due), done(Some(due), 1, 0));
        assert_eq!(turn(&plan(None), due, at("2026-10-28T16:00:00Z")), done(None, 0, 1));
    }

    #[test]
    fn of_several_times_that_passed_the_last_is_made_up_for_and_the_wall_clock_counts() {
        let daily = plan(Some("FREQ=DAILY;UNTIL=20261101T000000Z"));
        let turned = turn(&daily, at("2026-10-28T15:00:00Z"), at("2026-10-30T16:30:00Z"));
        // the clocks went back in the night to the 30th: 18:00 is an hour later in UTC
        assert_eq!(turned.said_at, Some(at("2026-10-30T16:00:00Z")));
        assert_eq!(turned.advance, Advance { next_at: Some(at("2026-10-31T16:00:00Z")), sent: 1, missed: 2 });
        let last = turn(&daily, at("2026-10-31T16:00:00Z"), at("2026-10-31T16:00:00Z"));
        assert_eq!(last.advance.next_at, None);
    }
}
