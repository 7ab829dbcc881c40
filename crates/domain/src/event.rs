//! Events: their states, their times, and what an organizer may write into one.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Aspect, CategoryId, LocalizedText, PerformerId, Slot, VenueId, Zone};

/// Where an event stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventStatus {
    /// Seen by organizers alone.
    Draft,
    /// In the public programme.
    Published,
    /// Taking place now.
    Live,
    /// Over.
    Completed,
    /// Will not take place.
    Cancelled,
    /// Will take place at a time not yet known.
    Postponed,
}

/// A word that names no status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a status: draft, published, live, completed, cancelled or postponed")]
pub struct StatusUnknown(pub String);

/// A step that the life of an event does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event that is {from} cannot become {to}, only {}", words(from.targets()))]
pub struct IllegalTransition {
    /// What it is.
    pub from: EventStatus,
    /// What was asked for.
    pub to: EventStatus,
}

impl EventStatus {
    /// Every status.
    pub const ALL: [Self; 6] =
        [Self::Draft, Self::Published, Self::Live, Self::Completed, Self::Cancelled, Self::Postponed];

    /// The word in JSON and SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Published => "published",
            Self::Live => "live",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::Postponed => "postponed",
        }
    }

    /// The transition table: what an event of this status may become, the usual step first.
    pub fn targets(self) -> &'static [Self] {
        match self {
            Self::Draft => &[Self::Published],
            Self::Published => &[Self::Live, Self::Postponed, Self::Cancelled, Self::Draft],
            Self::Live => &[Self::Completed, Self::Postponed, Self::Cancelled],
            Self::Completed => &[],
            Self::Cancelled => &[Self::Published, Self::Draft],
            Self::Postponed => &[Self::Published, Self::Cancelled, Self::Draft],
        }
    }

    /// Takes the step to `to`.
    ///
    /// # Errors
    /// [`IllegalTransition`] when the transition table does not have it; a status does not lead to itself.
    pub fn step(self, to: Self) -> Result<Self, IllegalTransition> {
        if self.targets().contains(&to) { Ok(to) } else { Err(IllegalTransition { from: self, to }) }
    }

    /// Whether the public may know of the event.
    pub fn is_public(self) -> bool {
        self != Self::Draft
    }

    /// Whether the event claims its time and place. One that is cancelled or postponed does not.
    pub fn occupies(self) -> bool {
        !matches!(self, Self::Cancelled | Self::Postponed)
    }
}

impl fmt::Display for EventStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for EventStatus {
    type Err = StatusUnknown;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|one| one.as_str() == word)
            .ok_or_else(|| StatusUnknown(word.chars().take(64).collect()))
    }
}

/// `published, live or cancelled`; `nothing` for none.
fn words(statuses: &[EventStatus]) -> String {
    match statuses {
        [] => "nothing".to_owned(),
        [only] => only.to_string(),
        [others @ .., last] => {
            let others: Vec<_> = others.iter().map(|status| status.as_str()).collect();
            format!("{} or {last}", others.join(", "))
        }
    }
}

/// What an organizer decides about an event, apart from its status. Who reads one from outside checks its limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventPlan {
    /// Its title, 1 to [`EventPlan::TITLE_CHARS_MAX`] characters.
    pub title: LocalizedText,
    /// Markdown, at most [`EventPlan::DESCRIPTION_CHARS_MAX`] characters; may be empty.
    pub description: LocalizedText,
    /// Language of the event itself, as a BCP 47 tag; empty when unknown.
    pub language: String,
    /// Where.
    pub venue_id: VenueId,
    /// What kind, where known.
    pub category_id: Option<CategoryId>,
    /// By whom, in the order of the poster.
    pub performers: Vec<PerformerId>,
    /// When.
    pub slot: Slot,
    /// The zone in which its times were chosen.
    pub zone: Zone,
    /// People it admits, where limited below the venue's capacity.
    pub capacity: Option<i64>,
}

impl EventPlan {
    /// Characters in the longest title, of each language.
    pub const TITLE_CHARS_MAX: usize = 300;
    /// Characters in the longest description, of each language.
    pub const DESCRIPTION_CHARS_MAX: usize = 20_000;
    /// Performers of one event.
    pub const PERFORMERS_MAX: usize = 100;
    /// Characters in the longest language tag: what BCP 47 calls sufficient.
    pub const LANGUAGE_CHARS_MAX: usize = 35;
    /// People that the greatest place holds.
    pub const CAPACITY_MAX: i64 = 10_000_000;

    /// Whether `tag` has the form of a BCP 47 tag: parts of 1 to 8 letters and digits, or nothing at all.
    pub fn is_language_tag(tag: &str) -> bool {
        let part = |part: &str| {
            (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        tag.len() <= Self::LANGUAGE_CHARS_MAX && (tag.is_empty() || tag.split('-').all(part))
    }
}

/// What is different between two states of an event, the most important first; empty when nothing is. `before` is
/// `None` for a new one.
pub fn aspects_between(
    before: Option<(&EventPlan, EventStatus)>,
    (plan, status): (&EventPlan, EventStatus),
) -> Vec<Aspect> {
    let Some((old_plan, old_status)) = before else {
        return if status.is_public() {
            vec![Aspect::Published, Aspect::Created]
        } else {
            vec![Aspect::Created]
        };
    };
    let mut aspects = Vec::new();
    if status != old_status {
        aspects.push(match status {
            EventStatus::Cancelled => Aspect::Cancelled,
            EventStatus::Postponed => Aspect::Postponed,
            EventStatus::Published if !old_status.is_public() => Aspect::Published,
            EventStatus::Draft | EventStatus::Published | EventStatus::Live | EventStatus::Completed => {
                Aspect::Status
            }
        });
    }
    if plan.venue_id != old_plan.venue_id {
        aspects.push(Aspect::VenueChanged);
    }
    if plan.slot != old_plan.slot {
        aspects.push(Aspect::Moved);
    }
    let elsewhere = EventPlan { venue_id: plan.venue_id, slot: plan.slot, ..old_plan.clone() };
    if *plan != elsewhere {
        aspects.push(Aspect::Details);
    }
    aspects.sort();
    aspects
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// The table of the documentation, written down a second time.
    const LEGAL: [(EventStatus, EventStatus); 13] = {
        use EventStatus::{Cancelled, Completed, Draft, Live, Postponed, Published};
        [
            (Draft, Published),
            (Published, Live),
            (Published, Postponed),
            (Published, Cancelled),
            (Published, Draft),
            (Live, Completed),
            (Live, Postponed),
            (Live, Cancelled),
            (Cancelled, Published),
            (Cancelled, Draft),
            (Postponed, Published),
            (Postponed, Cancelled),
            (Postponed, Draft),
        ]
    };

    #[test]
    fn exactly_the_listed_transitions_are_legal() {
        for from in EventStatus::ALL {
            for to in EventStatus::ALL {
                match from.step(to) {
                    Ok(reached) => assert!(reached == to && LEGAL.contains(&(from, to)), "{from} -> {to}"),
                    Err(refusal) => {
                        assert!(!LEGAL.contains(&(from, to)), "{from} -> {to}");
                        let text = refusal.to_string();
                        assert!(from.targets().iter().all(|legal| text.contains(legal.as_str())), "{text}");
                    }
                }
            }
        }
    }

    #[test]
    fn every_walk_through_the_table_can_end_and_words_come_back() {
        for status in EventStatus::ALL {
            assert_eq!(status.as_str().parse(), Ok(status));
            // completed is reachable from everywhere within four steps
            let mut reached = HashSet::from([status]);
            for _ in 0..4 {
                reached.extend(reached.clone().iter().flat_map(|one| one.targets()));
            }
            assert!(reached.contains(&EventStatus::Completed), "{status}");
        }
        assert_eq!("Live".parse::<EventStatus>(), Err(StatusUnknown("Live".to_owned())));
    }

    #[test]
    fn a_refusal_names_the_legal_steps() {
        let refusal = EventStatus::Live.step(EventStatus::Draft).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "an event that is live cannot become draft, only completed, postponed or cancelled"
        );
        let refusal = EventStatus::Completed.step(EventStatus::Live).unwrap_err();
        assert_eq!(refusal.to_string(), "an event that is completed cannot become live, only nothing");
    }

    #[test]
    fn what_is_different_is_named_in_the_order_of_its_importance() {
        use EventStatus::{Cancelled, Completed, Draft, Live, Postponed, Published};
        let slot = |minute: i64| {
            let at = |minute: i64| crate::Timestamp::from_microsecond(minute * 60_000_000).unwrap();
            Slot::new(at(minute), at(minute + 60)).unwrap()
        };
        let plan = EventPlan {
            title: LocalizedText::english("Opening"),
            description: LocalizedText::default(),
            language: String::new(),
            venue_id: VenueId(1),
            category_id: None,
            performers: Vec::new(),
            slot: slot(0),
            zone: Zone::new("Africa/Cairo").unwrap(),
            capacity: None,
        };
        let moved = EventPlan { slot: slot(30), ..plan.clone() };
        let elsewhere = EventPlan { venue_id: VenueId(2), capacity: Some(5), ..moved.clone() };
        for (before, after, expected) in [
            (None, (&plan, Draft), vec![Aspect::Created]),
            (None, (&plan, Published), vec![Aspect::Published, Aspect::Created]),
            (Some((&plan, Published)), (&plan, Published), vec![]),
            (Some((&plan, Draft)), (&plan, Published), vec![Aspect::Published]),
            (Some((&plan, Cancelled)), (&plan, Published), vec![Aspect::Status]),
            (Some((&plan, Published)), (&plan, Live), vec![Aspect::Status]),
            (Some((&plan, Live)), (&plan, Completed), vec![Aspect::Status]),
            (Some((&plan, Published)), (&plan, Draft), vec![Aspect::Status]),
            (Some((&plan, Live)), (&plan, Postponed), vec![Aspect::Postponed]),
            (Some((&plan, Published)), (&moved, Cancelled), vec![Aspect::Cancelled, Aspect::Moved]),
            (
                Some((&plan, Published)),
                (&elsewhere, Published),
                vec![Aspect::VenueChanged, Aspect::Moved, Aspect::Details],
            ),
        ] {
            assert_eq!(aspects_between(before, after), expected);
        }
    }

    #[test]
    fn language_tags_have_a_form() {
        for good in ["", "ar", "en-GB", "zh-Hant-TW"] {
            assert!(EventPlan::is_language_tag(good), "{good}");
        }
        for bad in ["a_b", "-", "ar-", "toolongpart", "é"] {
            assert!(!EventPlan::is_language_tag(bad), "{bad}");
        }
    }
}
