//! What templates are tried with before they are used: every plural form, long and short values, both scripts.

use domain::{Language, NotificationKind};
use minijinja::{Value, context};

/// Counts of every plural form, and spans that are hours and days.
const COUNTS: [u64; 9] = [0, 1, 2, 5, 11, 60, 100, 1_440, 2_880];

/// The samples of a kind. Strings for which `language` does not matter come in both scripts.
pub(super) fn of(kind: NotificationKind, language: Language) -> Vec<Value> {
    let (event, venue) = match language {
        Language::Ar => ("ليلة النجوم", "North Stage"),
        Language::En => ("Night of Stars", "المسرح الشمالي"),
    };
    let (starts_at, time_zone) = ("2026-07-18T17:30:00Z", "Africa/Cairo");
    match kind {
        NotificationKind::EventMoved
        | NotificationKind::EventCancelled
        | NotificationKind::EventVenueChanged => vec![context! { event, venue, starts_at, time_zone }],
        NotificationKind::EventReminder => COUNTS
            .into_iter()
            .map(|minutes| context! { event, venue, starts_at, time_zone, minutes })
            .collect(),
        NotificationKind::Announcement => vec![context! { title => event, body => venue }],
        NotificationKind::Digest => COUNTS
            .into_iter()
            .filter(|count| *count > 0)
            .map(|count| {
                let items = vec![context! { title => event, at => starts_at }];
                context! { count, items, time_zone }
            })
            .collect(),
    }
}
