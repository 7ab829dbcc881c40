//! What people want to be told, how, and when not.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Channel, Lane, NotificationKind, Timestamp, Zone};

/// What a notification is about, as far as people choose. (A *category* alone is one of events.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotificationCategory {
    /// An event that they starred has moved or will not take place.
    Programme,
    /// An event that they starred starts soon.
    Reminders,
    /// The organizers said something.
    Announcements,
    /// Offers; only for those who consented.
    Promotions,
    /// What they have not read, in one mail a day; only for those who asked for it.
    Digests,
}

/// A word that names no category of notifications.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is none of programme, reminders, announcements, promotions and digests")]
pub struct NotificationCategoryUnknown(pub String);

impl NotificationCategory {
    /// Every category.
    pub const ALL: [Self; 5] =
        [Self::Programme, Self::Reminders, Self::Announcements, Self::Promotions, Self::Digests];

    /// The category of a notification.
    pub fn of(kind: NotificationKind, lane: Lane) -> Self {
        match kind {
            _ if lane == Lane::Promotional => Self::Promotions,
            NotificationKind::EventMoved
            | NotificationKind::EventCancelled
            | NotificationKind::EventVenueChanged => Self::Programme,
            NotificationKind::EventReminder => Self::Reminders,
            NotificationKind::Announcement => Self::Announcements,
            NotificationKind::Digest => Self::Digests,
        }
    }

    /// The word in JSON and SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Programme => "programme",
            Self::Reminders => "reminders",
            Self::Announcements => "announcements",
            Self::Promotions => "promotions",
            Self::Digests => "digests",
        }
    }
}

impl fmt::Display for NotificationCategory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for NotificationCategory {
    type Err = NotificationCategoryUnknown;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|one| one.as_str() == word);
        found.ok_or_else(|| NotificationCategoryUnknown(word.chars().take(64).collect()))
    }
}

/// What is not wanted, or wanted: only where it differs from "everything".
pub type Choices = BTreeMap<NotificationCategory, BTreeMap<Channel, bool>>;

/// Hours of the day in which phones and mailboxes of somebody stay silent. They may go over midnight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuietHours {
    /// First minute of the day, 0 to 1,439.
    pub from: u16,
    /// First minute after, 0 to 1,439; another one than `from`.
    pub to: u16,
    /// Whose clocks.
    pub zone: Zone,
}

impl QuietHours {
    /// Minutes of a day on a clock.
    pub const DAY: u16 = 24 * 60;

    /// When the quiet ends in which `now` lies; `None` when it lies in none. The clock decides: an hour that it shows
    /// twice is quiet twice, one that it skips is not there.
    pub fn end_of(&self, now: Timestamp) -> Option<Timestamp> {
        let local = self.zone.date_time(now);
        let minute = u16::from(local.hour().unsigned_abs()) * 60 + u16::from(local.minute().unsigned_abs());
        let over_midnight = self.from > self.to;
        let quiet = if over_midnight {
            minute >= self.from || minute < self.to
        } else {
            (self.from..self.to).contains(&minute)
        };
        if !quiet {
            return None;
        }
        let tomorrow = over_midnight && minute >= self.from;
        let date = if tomorrow { local.date().tomorrow().unwrap_or(local.date()) } else { local.date() };
        let (hour, minute) = (self.to / 60, self.to % 60);
        let [hour, minute] = [hour, minute].map(|one| i8::try_from(one).expect("a time of the day is small"));
        Some(self.zone.next_at(date.at(hour, minute, 0, 0), now))
    }
}

/// What somebody wants, as the planner asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Preferences {
    /// By category and channel.
    pub choices: Choices,
    /// When not.
    pub quiet: Option<QuietHours>,
    /// Notifications of a lane in 24 hours, at most.
    pub caps: BTreeMap<Lane, u32>,
    /// Whether they consented to promotions.
    pub promotions: bool,
    /// Minutes before the start of what they starred; `None`: the installation's.
    pub reminder_minutes: Option<Vec<u32>>,
}

/// Why something is not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unwanted {
    /// They do not want this category on this channel.
    Preference,
    /// They did not consent to promotions.
    NoConsent,
    /// They had as many of the lane as they want.
    FrequencyCap,
    /// It would be over before their quiet hours are.
    QuietHours,
}

impl Unwanted {
    /// The cause as deliveries keep it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Preference => "preference",
            Self::NoConsent => "no_consent",
            Self::FrequencyCap => "frequency_cap",
            Self::QuietHours => "quiet_hours",
        }
    }
}

/// What is asked about a delivery.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    /// What it is about.
    pub category: NotificationCategory,
    /// How urgent it is.
    pub lane: Lane,
    /// How it would come.
    pub channel: Channel,
    /// Notifications of the lane that they had in the last 24 hours.
    pub had: u32,
    /// When it would leave.
    pub now: Timestamp,
    /// When it is of no more use.
    pub expires_at: Timestamp,
}

impl Preferences {
    /// When a delivery may leave, or why it may not. `default_cap` is the installation's for the lane; 0 is none.
    ///
    /// An emergency asks nobody. Quiet hours are for what makes a noise: not for sockets, which only an open app has, and
    /// not for what somebody waits for.
    ///
    /// # Errors
    /// [`Unwanted`].
    pub fn allow(&self, wish: Wish, default_cap: u32) -> Result<Timestamp, Unwanted> {
        let Wish { category, lane, channel, had, now, expires_at } = wish;
        if lane == Lane::Emergency {
            return Ok(now);
        }
        if category == NotificationCategory::Promotions && !self.promotions {
            return Err(Unwanted::NoConsent);
        }
        if self.choices.get(&category).and_then(|by_channel| by_channel.get(&channel)) == Some(&false) {
            return Err(Unwanted::Preference);
        }
        if lane == Lane::Transactional {
            return Ok(now);
        }
        let cap = self.caps.get(&lane).copied().unwrap_or(default_cap);
        if cap > 0 && had >= cap {
            return Err(Unwanted::FrequencyCap);
        }
        match self.quiet.as_ref().filter(|_| channel != Channel::Socket).and_then(|quiet| quiet.end_of(now)) {
            None => Ok(now),
            Some(end) if end < expires_at => Ok(end),
            Some(_) => Err(Unwanted::QuietHours),
        }
    }
}

#[cfg(test)]
mod tests;
