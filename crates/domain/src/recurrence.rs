//! What comes again at a local time: a part of RFC 5545's rules, with the clocks of a zone.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, DateTime, Weekday};
use jiff::{Span, ToSpan};

use crate::{Timestamp, Zone};

/// Days that are looked through for the next one: an interval of 52 weeks and a bit.
const DAYS_MAX: i32 = 400;

/// How often something comes again: `FREQ=DAILY` or `FREQ=WEEKLY`, with `INTERVAL`, `BYDAY` (weekly) and `UNTIL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recurrence {
    weekly: bool,
    interval: i32,
    /// Of a weekly rule; empty: the weekday of the first time.
    weekdays: Vec<Weekday>,
    until: Timestamp,
}

/// A text that is no rule, or one that is not supported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecurrenceError {
    /// A part is not known.
    #[error("\"{0}\" is not supported: FREQ=DAILY or FREQ=WEEKLY, INTERVAL, BYDAY and UNTIL are")]
    Unsupported(String),
    /// A part has to be there.
    #[error("{0} is missing")]
    Missing(&'static str),
}

impl FromStr for Recurrence {
    type Err = RecurrenceError;

    fn from_str(rule: &str) -> Result<Self, Self::Err> {
        let (mut weekly, mut interval, mut weekdays, mut until) = (None, 1, Vec::new(), None);
        for part in rule.split(';') {
            let unsupported = || RecurrenceError::Unsupported(part.chars().take(64).collect());
            match part.split_once('=').ok_or_else(unsupported)? {
                ("FREQ", "DAILY") => weekly = Some(false),
                ("FREQ", "WEEKLY") => weekly = Some(true),
                ("INTERVAL", number) => {
                    interval =
                        number.parse().ok().filter(|one| (1..=52).contains(one)).ok_or_else(unsupported)?;
                }
                ("BYDAY", days) => {
                    let days: Option<Vec<Weekday>> = days.split(',').map(weekday).collect();
                    weekdays = days.ok_or_else(unsupported)?;
                }
                ("UNTIL", instant) => until = Some(utc(instant).ok_or_else(unsupported)?),
                _ => return Err(unsupported()),
            }
        }
        let weekly = weekly.ok_or(RecurrenceError::Missing("FREQ"))?;
        if !weekly && !weekdays.is_empty() {
            return Err(RecurrenceError::Unsupported("BYDAY of a daily rule".to_owned()));
        }
        let until = until.ok_or(RecurrenceError::Missing("UNTIL"))?;
        Ok(Self { weekly, interval, weekdays, until })
    }
}

impl fmt::Display for Recurrence {
    /// The rule as RFC 5545 writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FREQ={};INTERVAL={}", if self.weekly { "WEEKLY" } else { "DAILY" }, self.interval)?;
        if !self.weekdays.is_empty() {
            let days: Vec<&str> = self.weekdays.iter().map(|day| word(*day)).collect();
            write!(f, ";BYDAY={}", days.join(","))?;
        }
        write!(f, ";UNTIL={}", self.until.as_jiff().strftime("%Y%m%dT%H%M%SZ"))
    }
}

impl Recurrence {
    /// The last instant at which it may come.
    pub fn until(&self) -> Timestamp {
        self.until
    }

    /// The first time after `after` of what came first at `first`, a local time of `zone`; `None` when there is none until
    /// the end. A local time that the clocks skip comes when they jump; of one that they show twice the first counts.
    pub fn next(&self, first: DateTime, zone: &Zone, after: Timestamp) -> Option<Timestamp> {
        let start = zone.date_time(after).date().checked_sub(1.day()).unwrap_or(Date::MIN);
        let start = start.max(first.date());
        (0..DAYS_MAX)
            .filter_map(|day| start.checked_add(Span::new().days(day)).ok())
            .filter(|date| self.falls_on(first.date(), *date))
            .map(|date| zone.first_at(date.to_datetime(first.time())))
            .find(|instant| *instant > after)
            .filter(|instant| *instant <= self.until)
    }

    fn falls_on(&self, first: Date, date: Date) -> bool {
        let days = (date - first).get_days();
        if !self.weekly {
            return days % self.interval == 0;
        }
        let of_week = if self.weekdays.is_empty() {
            date.weekday() == first.weekday()
        } else {
            self.weekdays.contains(&date.weekday())
        };
        // weeks begin on Monday, as RFC 5545 has it without WKST
        let monday = |date: Date| date - i32::from(date.weekday().to_monday_zero_offset()).days();
        of_week && ((monday(date) - monday(first)).get_days() / 7) % self.interval == 0
    }
}

const WEEKDAYS: [(&str, Weekday); 7] = [
    ("MO", Weekday::Monday),
    ("TU", Weekday::Tuesday),
    ("WE", Weekday::Wednesday),
    ("TH", Weekday::Thursday),
    ("FR", Weekday::Friday),
    ("SA", Weekday::Saturday),
    ("SU", Weekday::Sunday),
];

fn weekday(word: &str) -> Option<Weekday> {
    WEEKDAYS.iter().find(|(known, _)| *known == word).map(|(_, day)| *day)
}

fn word(day: Weekday) -> &'static str {
    WEEKDAYS.iter().find(|(_, known)| *known == day).map_or("", |(word, _)| word)
}

/// `20260718T200000Z`.
fn utc(text: &str) -> Option<Timestamp> {
    let local = DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    let zoned = local.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(Timestamp::from_jiff(zoned.timestamp()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cairo() -> Zone {
        Zone::new("Africa/Cairo").unwrap()
    }

    fn times(rule: &str, first: &str, count: usize) -> Vec<String> {
        let (rule, first): (Recurrence, DateTime) = (rule.parse().unwrap(), first.parse().unwrap());
        let mut after = cairo().first_at(first) - std::time::Duration::from_secs(1);
        let mut times = Vec::new();
        while let Some(next) = rule.next(first, &cairo(), after).filter(|_| times.len() < count) {
            times.push(cairo().local(next));
            after = next;
        }
        times
    }

    #[test]
    fn a_daily_time_stays_the_same_on_the_wall_when_the_clocks_change() {
        let spring = times("FREQ=DAILY;UNTIL=20260425T120000Z", "2026-04-22T00:30:00", 9);
        let expected = [
            "2026-04-22T00:30:00+02:00",
            "2026-04-23T00:30:00+02:00",
            "2026-04-24T01:00:00+03:00",
            "2026-04-25T00:30:00+03:00",
        ];
        assert_eq!(spring, expected, "half past midnight is skipped on the 24th: the jump stands for it");
        let autumn = times("FREQ=DAILY;INTERVAL=2;UNTIL=20261101T120000Z", "2026-10-27T23:15:00", 9);
        let expected =
            ["2026-10-27T23:15:00+03:00", "2026-10-29T23:15:00+03:00", "2026-10-31T23:15:00+02:00"];
        assert_eq!(autumn, expected, "it comes once although the clock shows it twice");
    }

    #[test]
    fn weekly_rules_have_days_and_intervals() {
        let rule = "FREQ=WEEKLY;INTERVAL=2;BYDAY=TH,SA;UNTIL=20260801T000000Z";
        let days: Vec<String> =
            times(rule, "2026-07-02T18:00:00", 9).iter().map(|time| time[..10].to_owned()).collect();
        assert_eq!(days, ["2026-07-02", "2026-07-04", "2026-07-16", "2026-07-18", "2026-07-30"]);
        assert_eq!(rule.parse::<Recurrence>().unwrap().to_string(), rule);
    }

    #[test]
    fn what_is_not_supported_is_said() {
        for rule in [
            "",
            "FREQ=HOURLY;UNTIL=20260801T000000Z",
            "FREQ=DAILY;COUNT=3",
            "FREQ=DAILY;UNTIL=tomorrow",
            "FREQ=DAILY;BYDAY=SA;UNTIL=20260801T000000Z",
            "FREQ=DAILY;INTERVAL=0;UNTIL=20260801T000000Z",
            "FREQ=DAILY",
        ] {
            assert!(rule.parse::<Recurrence>().is_err(), "{rule}");
        }
    }

    proptest! {
        #[test]
        fn each_time_is_later_and_each_day_has_one(minute in 0_i8..60, hour in 0_i8..24, day in 0_i32..2_500) {
            let first = jiff::civil::date(2024, 1, 1).at(hour, minute, 0, 0);
            let rule: Recurrence = "FREQ=DAILY;UNTIL=20311231T000000Z".parse().unwrap();
            let date = first.date().checked_add(day.days()).unwrap();
            let here = cairo().first_at(date.to_datetime(first.time()));
            let next = rule.next(first, &cairo(), here).unwrap();
            let hours = next.since(here).as_secs_f64() / 3_600.0;
            prop_assert!((22.0..=26.0).contains(&hours), "{} hours", hours);
            prop_assert_eq!(cairo().date_time(next).date(), date.tomorrow().unwrap());
        }
    }
}
