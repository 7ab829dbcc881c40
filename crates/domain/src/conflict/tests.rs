//! The rules by example, and 10,000 random slots against an oracle that looks at every minute.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use super::*;

const VENUE: VenueRules = VenueRules {
    id: VenueId(1),
    capacity: Some(100),
    setup: Duration::ZERO,
    turnaround: Duration::from_mins(15),
};

fn minute(minute: i64) -> Timestamp {
    Timestamp::from_microsecond((29_000_000 + minute) * 60_000_000).unwrap()
}

fn booking(id: i64, from: i64, to: i64) -> Booking {
    Booking {
        event_id: Some(EventId(id)),
        status: EventStatus::Published,
        venue: VENUE,
        slot: Slot::new(minute(from), minute(to)).unwrap(),
        performers: Vec::new(),
        capacity: None,
    }
}

fn rules(candidate: &Booking, other: &Booking) -> Vec<(ConflictRule, Severity, i64)> {
    let found = conflicts_of(candidate, std::slice::from_ref(other));
    found.iter().map(|conflict| (conflict.rule, conflict.severity, conflict.minutes)).collect()
}

#[test]
fn slots_have_rules() {
    assert_eq!(Slot::new(minute(5), minute(5)), Err(SlotError::EndNotAfterStart));
    assert_eq!(Slot::new(minute(0), minute(32 * 1440)), Err(SlotError::TooLong));
    let early = Timestamp::from_microsecond(-1_000_000).unwrap();
    assert_eq!(Slot::new(early, minute(1)), Err(SlotError::OutOfRange));
}

#[test]
fn what_ends_when_the_next_begins_does_not_overlap_but_needs_its_turnaround() {
    use ConflictRule::{TurnaroundTooShort, VenueOverlap};
    let first = booking(1, 0, 60);
    assert_eq!(rules(&first, &booking(2, 59, 90)), [(VenueOverlap, Severity::Error, 1)]);
    assert_eq!(rules(&first, &booking(2, 60, 90)), [(TurnaroundTooShort, Severity::Warning, 15)]);
    assert_eq!(rules(&first, &booking(2, 70, 90)), [(TurnaroundTooShort, Severity::Warning, 5)]);
    assert_eq!(rules(&first, &booking(2, 75, 90)), []);
    let elsewhere = Booking { venue: VenueRules { id: VenueId(2), ..VENUE }, ..booking(2, 0, 60) };
    assert_eq!(rules(&first, &elsewhere), []);
}

#[test]
fn a_performer_is_in_one_place_at_a_time() {
    let playing = |id, venue, from| Booking {
        venue: VenueRules { id: VenueId(venue), ..VENUE },
        performers: vec![PerformerId(7), PerformerId(id + 100)],
        ..booking(id, from, from + 60)
    };
    let found = conflicts_of(&playing(1, 1, 0), &[playing(2, 2, 30), playing(3, 3, 60)]);
    let [only] = &found[..] else { panic!("one conflict: {found:?}") };
    assert_eq!((only.rule, only.other_id), (ConflictRule::PerformerDoubleBooking, Some(EventId(2))));
    assert_eq!((only.performer_id, only.minutes), (Some(PerformerId(7)), 30));
}

#[test]
fn status_decides_what_counts() {
    let with = |status| Booking { status, ..booking(2, 30, 90) };
    for (status, expected) in [
        (EventStatus::Draft, Some(Severity::Warning)),
        (EventStatus::Published, Some(Severity::Error)),
        (EventStatus::Live, Some(Severity::Error)),
        (EventStatus::Completed, Some(Severity::Error)),
        (EventStatus::Cancelled, None),
        (EventStatus::Postponed, None),
    ] {
        let found = conflicts_of(&booking(1, 0, 60), &[with(status)]);
        assert_eq!(found.first().map(|conflict| conflict.severity), expected, "{status}");
    }
}

#[test]
fn an_event_is_not_in_its_own_way_and_two_new_ones_are() {
    assert_eq!(conflicts_of(&booking(1, 0, 60), &[booking(1, 30, 90)]), []);
    let new = Booking { event_id: None, ..booking(1, 0, 60) };
    assert_eq!(conflicts_of(&new, &[Booking { event_id: None, ..booking(1, 0, 60) }]).len(), 1);
}

#[test]
fn an_event_admits_no_more_than_its_venue_holds() {
    let event = |capacity| Booking { capacity, ..booking(1, 0, 60) };
    assert_eq!(conflicts_of(&event(Some(100)), &[]), []);
    let found = conflicts_of(&event(Some(101)), &[]);
    assert_eq!((found[0].rule, found[0].other_id), (ConflictRule::CapacityAboveVenue, None));
    let unknown = Booking { venue: VenueRules { capacity: None, ..VENUE }, ..event(Some(101)) };
    assert_eq!(conflicts_of(&unknown, &[]), []);
}

/// Timetables of 50 events, in whole minutes, on four venues with differing buffers, six performers.
fn timetable() -> impl Strategy<Value = Vec<Booking>> {
    let status = prop::sample::select(EventStatus::ALL.to_vec());
    let one = (0_i64..2_000, 1_i64..240, 1_i64..5, status, prop::collection::btree_set(1_i64..7, 0..3));
    prop::collection::vec(one, 50).prop_map(|rows| {
        let bookings = rows.into_iter().zip(1..).map(|((from, minutes, venue, status, performers), id)| {
            let venue = VenueRules {
                id: VenueId(venue),
                setup: Duration::from_secs(60 * 7 * u64::try_from(venue - 1).unwrap()),
                turnaround: Duration::from_secs(60 * 5 * u64::try_from(4 - venue).unwrap()),
                capacity: None,
            };
            let performers = performers.into_iter().map(PerformerId).collect();
            Booking { status, venue, performers, ..booking(id, from, from + minutes) }
        });
        bookings.collect()
    })
}

/// A bit for each minute of the timetable.
type Minutes = [u64; 48];

/// The minutes that a booking occupies with `before` and `after` around it, set one by one.
fn minutes(booking: &Booking, before: Duration, after: Duration) -> Minutes {
    let seconds = |span: Duration| i64::try_from(span.as_secs()).unwrap();
    let origin = minute(-100).as_second();
    let mut set = [0; 48];
    for bit in 0..48 * 64_i64 {
        let second = origin + bit * 60;
        let begun = second >= booking.slot.starts_at.as_second() - seconds(before);
        if begun && second < booking.slot.ends_at.as_second() + seconds(after) {
            set[usize::try_from(bit / 64).unwrap()] |= 1 << (bit % 64);
        }
    }
    set
}

fn shared(one: &Minutes, other: &Minutes) -> i64 {
    one.iter().zip(other).map(|(one, other)| i64::from((one & other).count_ones())).sum()
}

/// A booking with the minutes of its show, and with those of its set-up and turnaround.
type Occupied<'a> = (&'a Booking, Minutes, Minutes);

fn occupied(booking: &Booking) -> Occupied<'_> {
    let wide = minutes(booking, booking.venue.setup, booking.venue.turnaround);
    (booking, minutes(booking, Duration::ZERO, Duration::ZERO), wide)
}

/// Who occupies what in each minute, without any arithmetic on intervals.
fn oracle(one: &Occupied<'_>, other: &Occupied<'_>) -> BTreeSet<(ConflictRule, Option<PerformerId>, i64)> {
    let mut found = BTreeSet::new();
    let uncounted = [EventStatus::Cancelled, EventStatus::Postponed];
    if uncounted.contains(&one.0.status) || uncounted.contains(&other.0.status) {
        return found;
    }
    let (shows, wide) = (shared(&one.1, &other.1), shared(&one.2, &other.2));
    let (one, other) = (one.0, other.0);
    if one.venue.id == other.venue.id && shows > 0 {
        found.insert((ConflictRule::VenueOverlap, None, shows));
    } else if one.venue.id == other.venue.id && wide > 0 {
        found.insert((ConflictRule::TurnaroundTooShort, None, wide));
    }
    for performer in one.performers.iter().filter(|one| shows > 0 && other.performers.contains(one)) {
        found.insert((ConflictRule::PerformerDoubleBooking, Some(*performer), shows));
    }
    found
}

/// Goal: the sweep and the examination of one event find what an oracle finds that looks at every minute.
/// 200 timetables of 50 events: 10,000 slots.
#[test]
fn ten_thousand_random_slots_agree_with_the_oracle() {
    let config = Config { cases: 200, rng_seed: RngSeed::Fixed(2_026), ..Config::default() };
    let mut conflicts_seen = 0;
    TestRunner::new(config)
        .run(&timetable(), |timetable| {
            let mut expected = BTreeSet::new();
            let occupied: Vec<_> = timetable.iter().map(occupied).collect();
            for (index, one) in occupied.iter().enumerate() {
                for other in &occupied[index + 1..] {
                    let ids = BTreeSet::from([one.0.event_id, other.0.event_id]);
                    expected.extend(oracle(one, other).into_iter().map(|found| (ids.clone(), found)));
                }
            }
            let seen = |conflicts: Vec<Conflict>| -> BTreeSet<_> {
                let key = |conflict: Conflict| {
                    let ids = BTreeSet::from([conflict.event_id, conflict.other_id]);
                    (ids, (conflict.rule, conflict.performer_id, conflict.minutes))
                };
                conflicts.into_iter().map(key).collect()
            };
            let singly = timetable.iter().flat_map(|one| conflicts_of(one, &timetable)).collect();
            prop_assert_eq!(&seen(conflicts_within(&timetable)), &expected);
            prop_assert_eq!(&seen(singly), &expected);
            Ok(())
        })
        .unwrap();
    // the generator makes conflicts of each rule, or the comparison would prove nothing
    let mut runner = TestRunner::new(Config { rng_seed: RngSeed::Fixed(2_026), ..Config::default() });
    let sample = timetable().new_tree(&mut runner).unwrap().current();
    for conflict in conflicts_within(&sample) {
        conflicts_seen |= 1 << conflict.rule as u8;
    }
    assert_eq!(conflicts_seen, 0b1011);
}
