//! Zones, local times and the festival day, which starts in the morning and not at midnight.
//!
//! A show at 01:30 belongs to the evening before. The tz database is compiled in (`jiff`'s bundle), so that every
//! machine agrees on Egypt's summer time.

use std::fmt;

use jiff::civil;
use jiff::tz::{AmbiguousOffset, TimeZone};

use crate::{Slot, Timestamp};

/// An IANA time zone that the compiled-in tz database knows.
#[derive(Clone, PartialEq, Eq)]
pub struct Zone {
    name: Box<str>,
    rules: TimeZone,
}

/// A name that is not an IANA time zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not an IANA time zone such as Africa/Cairo")]
pub struct ZoneUnknown(pub String);

/// A local time that names no single instant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocalTimeError {
    /// The clocks were set forward over it.
    #[error("{local} does not exist in {zone}: the clocks are set forward over it")]
    Skipped {
        /// What was asked for.
        local: civil::DateTime,
        /// Where.
        zone: Box<str>,
    },
    /// The clocks were set back and it came twice.
    #[error("{local} happens twice in {zone}: give its offset, {before} or {after}")]
    Repeated {
        /// What was asked for.
        local: civil::DateTime,
        /// Where.
        zone: Box<str>,
        /// The offset of the first time.
        before: jiff::tz::Offset,
        /// The offset of the second.
        after: jiff::tz::Offset,
    },
    /// Outside the years that can be represented.
    #[error("{0} is outside the supported years")]
    OutOfRange(civil::DateTime),
}

impl Zone {
    /// Finds a zone by its name.
    ///
    /// # Errors
    /// [`ZoneUnknown`] when the tz database does not have it.
    pub fn new(name: &str) -> Result<Self, ZoneUnknown> {
        let unknown = || ZoneUnknown(name.chars().take(64).collect());
        let rules = TimeZone::get(name).map_err(|_| unknown())?;
        let name = rules.iana_name().ok_or_else(unknown)?.into();
        Ok(Self { name, rules })
    }

    /// The zone of UTC.
    pub fn utc() -> Self {
        Self { name: "UTC".into(), rules: TimeZone::UTC }
    }

    /// Its IANA name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The instant that the clocks there show as `local`.
    ///
    /// # Errors
    /// [`LocalTimeError`] when they never show it, or twice.
    pub fn instant(&self, local: civil::DateTime) -> Result<Timestamp, LocalTimeError> {
        let ambiguous = self.rules.to_ambiguous_zoned(local);
        match ambiguous.offset() {
            AmbiguousOffset::Unambiguous { .. } => ambiguous
                .compatible()
                .map(|zoned| Timestamp::from_jiff(zoned.timestamp()))
                .map_err(|_| LocalTimeError::OutOfRange(local)),
            AmbiguousOffset::Gap { .. } => Err(LocalTimeError::Skipped { local, zone: self.name.clone() }),
            AmbiguousOffset::Fold { before, after } => {
                Err(LocalTimeError::Repeated { local, zone: self.name.clone(), before, after })
            }
        }
    }

    /// What the clocks there show at `instant`, as RFC 3339 with the offset: `2026-07-15T23:00:00+03:00`.
    pub fn local(&self, instant: Timestamp) -> String {
        let zoned = instant.as_jiff().to_zoned(self.rules.clone());
        zoned.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
    }

    pub(crate) fn date_time(&self, instant: Timestamp) -> civil::DateTime {
        self.rules.to_datetime(instant.as_jiff())
    }

    /// The instant at which the clocks there show `local` for the first time, or jump over it.
    pub fn first_at(&self, local: civil::DateTime) -> Timestamp {
        self.next_at(local, Timestamp::from_jiff(jiff::Timestamp::MIN))
    }

    /// The next instant after `after` at which the clocks there show `time`, or jump over it.
    pub fn next_time(&self, time: civil::Time, after: Timestamp) -> Timestamp {
        let today = self.date_time(after).date();
        let first = self.first_at(today.to_datetime(time));
        if first > after {
            return first;
        }
        self.first_at(today.tomorrow().unwrap_or(today).to_datetime(time))
    }

    /// The first instant after `after` at which the clocks there show `local`, or jump over it. `after` has to be before
    /// the last such instant.
    pub(crate) fn next_at(&self, local: civil::DateTime, after: Timestamp) -> Timestamp {
        let far = jiff::Timestamp::MAX;
        let instant = |offset: jiff::tz::Offset| offset.to_timestamp(local).unwrap_or(far);
        Timestamp::from_jiff(match self.rules.to_ambiguous_zoned(local).offset() {
            AmbiguousOffset::Unambiguous { offset } => instant(offset),
            AmbiguousOffset::Gap { before, .. } => {
                let behind_the_jump = instant(before).saturating_add(jiff::SignedDuration::from_nanos(1));
                let jump = behind_the_jump.ok().and_then(|behind| self.rules.preceding(behind).next());
                jump.map_or(far, |jump| jump.timestamp())
            }
            AmbiguousOffset::Fold { before, after: second } => {
                let first = instant(before);
                if Timestamp::from_jiff(first) > after { first } else { instant(second) }
            }
        })
    }

    /// The first instant at or after `local`: midnight of a day that begins at 01:00 is 01:00, and of two times
    /// the first one.
    fn first_instant(&self, local: civil::DateTime) -> Timestamp {
        // `compatible` takes the later side of a gap by its length, and the first of a fold
        let zoned = self.rules.to_ambiguous_zoned(local).compatible();
        Timestamp::from_jiff(zoned.map_or(jiff::Timestamp::MAX, |zoned| zoned.timestamp()))
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// How instants are put into festival days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FestivalDays {
    zone: Zone,
    day_start_hour: i8,
}

impl FestivalDays {
    /// Days that start at `day_start_hour` (0 to 12) in `zone`.
    ///
    /// # Panics
    /// When the hour is outside 0 to 12; the configuration is checked before.
    pub fn new(zone: Zone, day_start_hour: u8) -> Self {
        assert!(day_start_hour <= 12, "a festival day starts in the morning");
        let day_start_hour = i8::try_from(day_start_hour).expect("12 fits");
        Self { zone, day_start_hour }
    }

    /// The zone of the days.
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// The day that `instant` belongs to.
    pub fn day_of(&self, instant: Timestamp) -> civil::Date {
        let local = self.zone.date_time(instant);
        if local.hour() < self.day_start_hour {
            local.date().yesterday().unwrap_or(civil::Date::MIN)
        } else {
            local.date()
        }
    }

    /// The day as a half-open interval. On a day when the clocks change it is 23 or 25 hours long.
    pub fn bounds(&self, day: civil::Date) -> Slot {
        let next = day.tomorrow().unwrap_or(civil::Date::MAX);
        let start = |date: civil::Date| self.zone.first_instant(date.at(self.day_start_hour, 0, 0, 0));
        Slot { starts_at: start(day), ends_at: start(next) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn cairo() -> Zone {
        Zone::new("Africa/Cairo").unwrap()
    }

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn unknown_zones_are_refused() {
        for name in ["", "Cairo", "Mars/Base", "+03:00", "UTC+3", "../etc/passwd"] {
            assert_eq!(Zone::new(name), Err(ZoneUnknown(name.to_owned())), "{name}");
        }
        assert_eq!(Zone::new("africa/cairo").unwrap().name(), "Africa/Cairo");
    }

    #[test]
    fn a_local_time_in_the_gap_or_the_fold_is_no_instant() {
        let local = |text: &str| cairo().instant(text.parse().unwrap());
        assert_eq!(local("2026-07-15T23:00").unwrap(), time("2026-07-15T20:00:00Z"));
        assert_eq!(local("2026-12-15T22:00").unwrap(), time("2026-12-15T20:00:00Z"));
        assert!(matches!(local("2026-04-24T00:30"), Err(LocalTimeError::Skipped { .. })));
        let Err(LocalTimeError::Repeated { before, after, .. }) = local("2026-10-29T23:30") else {
            panic!("23:30 comes twice when summer time ends at midnight");
        };
        assert_eq!((before.to_string(), after.to_string()), ("+03".to_owned(), "+02".to_owned()));
        // the years in which "last Friday of October" would be wrong
        for year in [2024, 2030] {
            assert!(local(&format!("{year}-10-31T23:30")).is_err(), "{year}");
            assert!(local(&format!("{year}-10-31T22:30")).is_ok(), "{year}");
        }
    }

    #[test]
    fn a_show_after_midnight_belongs_to_the_evening_before() {
        let days = FestivalDays::new(cairo(), 6);
        let day = |local: &str| days.day_of(time(local)).to_string();
        assert_eq!(day("2026-07-15T23:30:00+03:00"), "2026-07-15");
        assert_eq!(day("2026-07-16T02:00:00+03:00"), "2026-07-15");
        assert_eq!(day("2026-07-16T05:59:59.999999+03:00"), "2026-07-15");
        assert_eq!(day("2026-07-16T06:00:00+03:00"), "2026-07-16");
    }

    #[test]
    fn a_day_lasts_23_24_or_25_hours() {
        let days = FestivalDays::new(cairo(), 6);
        let hours = |day: &str| {
            let slot = days.bounds(day.parse().unwrap());
            slot.ends_at.since(slot.starts_at).as_secs() / 3600
        };
        assert_eq!(hours("2026-07-15"), 24);
        assert_eq!(hours("2026-04-23"), 23);
        assert_eq!(hours("2026-10-29"), 25);
        // with days from midnight the one in April starts at its first valid instant, 01:00
        let slot = FestivalDays::new(cairo(), 0).bounds("2026-04-24".parse().unwrap());
        assert_eq!(slot.starts_at, time("2026-04-24T01:00:00+03:00"));
    }

    #[test]
    fn local_times_carry_their_offset() {
        assert_eq!(cairo().local(time("2026-07-15T20:00:00Z")), "2026-07-15T23:00:00+03:00");
        assert_eq!(cairo().local(time("2026-12-15T20:00:00Z")), "2026-12-15T22:00:00+02:00");
    }

    proptest! {
        /// Days cover time without gap or overlap, whatever the zone does.
        #[test]
        fn each_instant_lies_in_its_own_day_alone(
            second in 1_600_000_000_i64..2_200_000_000,
            zone in prop::sample::select(vec!["Africa/Cairo", "Europe/Berlin", "America/St_Johns", "Pacific/Apia"]),
            hour in 0_u8..=12,
        ) {
            let days = FestivalDays::new(Zone::new(zone).unwrap(), hour);
            let instant = Timestamp::from_microsecond(second * 1_000_000).unwrap();
            let day = days.day_of(instant);
            let bounds = days.bounds(day);
            prop_assert!(bounds.starts_at <= instant && instant < bounds.ends_at);
            prop_assert_eq!(days.day_of(bounds.starts_at), day);
            prop_assert_eq!(days.bounds(day.tomorrow().unwrap()).starts_at, bounds.ends_at);
            prop_assert!(days.day_of(bounds.starts_at - Duration::from_secs(1)) < day);
        }
    }
}
