use std::time::Duration;

use jiff::civil;
use proptest::prelude::*;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn quiet(from: u16, to: u16, zone: &str) -> QuietHours {
    QuietHours { from, to, zone: Zone::new(zone).unwrap() }
}

fn wish(channel: Channel, lane: Lane) -> Wish {
    Wish {
        category: NotificationCategory::of(NotificationKind::Announcement, lane),
        lane,
        channel,
        had: 0,
        now: at("2026-07-15T22:00:00Z"), // 01:00 in Cairo
        expires_at: at("2026-07-16T22:00:00Z"),
    }
}

#[test]
fn quiet_hours_over_midnight_end_in_the_morning_of_the_user() {
    let night = quiet(23 * 60, 7 * 60, "Africa/Cairo");
    assert_eq!(night.end_of(at("2026-07-15T19:59:59Z")), None, "22:59");
    assert_eq!(night.end_of(at("2026-07-15T20:00:00Z")), Some(at("2026-07-16T04:00:00Z")), "23:00");
    assert_eq!(night.end_of(at("2026-07-16T03:59:59Z")), Some(at("2026-07-16T04:00:00Z")));
    assert_eq!(night.end_of(at("2026-07-16T04:00:00Z")), None, "07:00");
    let siesta = quiet(13 * 60, 15 * 60, "America/New_York");
    assert_eq!(siesta.end_of(at("2026-07-15T17:30:00Z")), Some(at("2026-07-15T19:00:00Z")));
}

#[test]
fn a_clock_that_jumps_over_the_end_ends_the_quiet_and_an_hour_shown_twice_is_quiet_twice() {
    // in Cairo 2026-04-24 00:00 does not exist until 01:00, and 2026-10-29 23:00 to 24:00 comes twice
    let spring = quiet(22 * 60, 30, "Africa/Cairo");
    assert_eq!(spring.end_of(at("2026-04-23T21:59:00Z")), Some(at("2026-04-23T22:00:00Z")));
    let autumn = quiet(23 * 60, 23 * 60 + 30, "Africa/Cairo");
    assert_eq!(autumn.end_of(at("2026-10-29T20:10:00Z")), Some(at("2026-10-29T20:30:00Z")));
    assert_eq!(autumn.end_of(at("2026-10-29T21:10:00Z")), Some(at("2026-10-29T21:30:00Z")));
}

#[test]
fn an_emergency_asks_nobody_and_quiet_hours_spare_what_makes_no_noise() {
    let mut somebody =
        Preferences { quiet: Some(quiet(23 * 60, 7 * 60, "Africa/Cairo")), ..Preferences::default() };
    let all_off = Channel::ALL.into_iter().map(|channel| (channel, false)).collect();
    let ask = |who: &Preferences, channel, lane| who.allow(wish(channel, lane), 0);
    let (now, morning) = (at("2026-07-15T22:00:00Z"), at("2026-07-16T04:00:00Z"));
    assert_eq!(ask(&somebody, Channel::Apns, Lane::Standard), Ok(morning));
    assert_eq!(ask(&somebody, Channel::Socket, Lane::Standard), Ok(now));
    assert_eq!(ask(&somebody, Channel::Apns, Lane::Transactional), Ok(now));
    let short = Wish { expires_at: morning, ..wish(Channel::Apns, Lane::Standard) };
    assert_eq!(somebody.allow(short, 0), Err(Unwanted::QuietHours), "it would be over by then");
    somebody.choices.insert(NotificationCategory::Announcements, all_off);
    assert_eq!(ask(&somebody, Channel::Socket, Lane::Standard), Err(Unwanted::Preference));
    assert_eq!(ask(&somebody, Channel::Apns, Lane::Emergency), Ok(now));
}

#[test]
fn promotions_need_a_consent_and_caps_are_the_users_before_the_installations() {
    let mut somebody = Preferences::default();
    let promotion = |had| Wish { had, ..wish(Channel::Socket, Lane::Promotional) };
    assert_eq!(somebody.allow(promotion(0), 2), Err(Unwanted::NoConsent));
    somebody.promotions = true;
    assert!(somebody.allow(promotion(1), 2).is_ok());
    assert_eq!(somebody.allow(promotion(2), 2), Err(Unwanted::FrequencyCap));
    assert!(somebody.allow(promotion(2), 0).is_ok(), "0 is no cap");
    somebody.caps.insert(Lane::Promotional, 1);
    assert_eq!(somebody.allow(promotion(1), 2), Err(Unwanted::FrequencyCap));
}

proptest! {
    /// Goal: in every hour around every change of Cairo's clocks from 2024 to 2030 the quiet ends when the clock on the
    /// wall leaves it, not earlier, not later, and never more than a day and an hour away.
    #[test]
    fn quiet_hours_end_when_the_clock_on_the_wall_leaves_them(
        year in 2024_i16..=2030, spring in any::<bool>(), minutes in -1_500_i64..1_500, from in 0_u16..1_440, length in 1_u16..1_439,
    ) {
        let rules = jiff::tz::TimeZone::get("Africa/Cairo").unwrap();
        let after = civil::date(year, if spring { 3 } else { 9 }, 1).at(12, 0, 0, 0).to_zoned(rules.clone()).unwrap();
        let change = rules.following(after.timestamp()).next().unwrap().timestamp();
        let now = Timestamp::from_jiff(change + jiff::SignedDuration::from_mins(minutes));
        let quiet = quiet(from, (from + length) % QuietHours::DAY, "Africa/Cairo");
        if let Some(end) = quiet.end_of(now) {
            prop_assert!(end > now && end.since(now) <= Duration::from_hours(25));
            prop_assert_eq!(quiet.end_of(end), None, "it has ended");
            let mut instant = now;
            while instant < end {
                prop_assert_eq!(quiet.end_of(instant), Some(end), "{} is quiet", instant);
                instant = instant + Duration::from_mins(7);
            }
            prop_assert!(quiet.end_of(end - Duration::from_micros(1)).is_some());
        }
    }
}
