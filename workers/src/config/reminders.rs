//! What comes at a time, and what people do not want: `[workers.reminders]` and `[workers.preferences]`.

use domain::Lane;
use serde::Deserialize;
use service::Faults;

/// The longest that people can be reminded before a start: a week.
const MINUTES_MAX: u32 = 10_080;

/// `[workers.reminders]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reminders {
    /// Milliseconds between two looks at what is due. 100 to 60,000. Too low: idle load. Too high: reminders,
    /// schedules and digests come that late.
    pub every_ms: u64,
    /// Minutes before the start at which people are reminded who chose nothing. Each is one of `choices`.
    pub minutes: Vec<u32>,
    /// Minutes before the start that people can choose from: 1 to 16 of them, each 1 to 10,080. What is taken out is
    /// sent to nobody any more.
    pub choices: Vec<u32>,
    /// Seconds by which a reminder may be late, after which it is left out. 1 to 3,600. Too low: a restart loses
    /// reminders. Too high: "in 10 minutes" is said when it is less.
    pub late_seconds_max: u64,
    /// Reminders, schedules and digests looked at in one go. 1 to 1,000. Too low: many of the same minute take long.
    /// Too high: they are planned before other news.
    pub batch: u64,
    /// Hours after which a message that nothing proves to be read is in the digest. 0 to 168.
    pub digest_unread_hours: u64,
    /// Messages that a digest lists; the others are counted. 1 to 50.
    pub digest_items_max: usize,
}

/// `[workers.preferences]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Preferences {
    /// Whether promotions are for those alone who consented (`/api/v1/me/promotions`). Switch it off only where
    /// consents are kept elsewhere and audiences name who gave theirs.
    pub promotions_opt_in: bool,
    /// Most notifications of the standard lane for one person in 24 hours, unless they chose. 0 to 10,000; 0: any
    /// number.
    pub standard_cap: u32,
    /// The same of the promotional lane.
    pub promotional_cap: u32,
    /// Seconds after the end of somebody's quiet hours over which what waited is spread. 0 to 14,400. Too low: every
    /// phone rings at seven. Too high: it comes late.
    pub quiet_spread_seconds: u64,
}

impl Default for Reminders {
    fn default() -> Self {
        Self {
            every_ms: 1_000,
            minutes: vec![30, 10],
            choices: vec![5, 10, 15, 30, 60, 120, 1_440],
            late_seconds_max: 120,
            batch: 200,
            digest_unread_hours: 4,
            digest_items_max: 10,
        }
    }
}

impl Default for Preferences {
    fn default() -> Self {
        Self { promotions_opt_in: true, standard_cap: 0, promotional_cap: 3, quiet_spread_seconds: 600 }
    }
}

impl Reminders {
    pub(super) fn check(&self, faults: &mut Faults) {
        faults.range("every_ms", self.every_ms, 100..=60_000);
        if !(1..=16).contains(&self.choices.len()) {
            faults.add("choices", "must have 1 to 16 numbers");
        }
        for minutes in &self.choices {
            faults.range("choices", *minutes, 1..=MINUTES_MAX);
        }
        for minutes in self.minutes.iter().filter(|one| !self.choices.contains(one)) {
            faults.add("minutes", format!("{minutes} must be one of choices"));
        }
        faults.range("late_seconds_max", self.late_seconds_max, 1..=3_600);
        faults.range("batch", self.batch, 1..=1_000);
        faults.range("digest_unread_hours", self.digest_unread_hours, 0..=168);
        faults.range("digest_items_max", self.digest_items_max, 1..=50);
    }
}

impl Preferences {
    /// Most notifications of `lane` in 24 hours; 0: any number.
    pub(crate) fn cap(&self, lane: Lane) -> u32 {
        match lane {
            Lane::Standard => self.standard_cap,
            Lane::Promotional => self.promotional_cap,
            Lane::Transactional | Lane::Emergency => 0,
        }
    }

    pub(super) fn check(&self, faults: &mut Faults) {
        faults.range("standard_cap", self.standard_cap, 0..=10_000);
        faults.range("promotional_cap", self.promotional_cap, 0..=10_000);
        faults.range("quiet_spread_seconds", self.quiet_spread_seconds, 0..=14_400);
    }
}
