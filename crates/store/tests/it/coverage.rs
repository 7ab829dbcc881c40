//! People and counts: kept by differences, the same whatever the order, and proved by counting again.

use std::collections::HashMap;
use std::time::Duration;

use domain::{
    Audience, ChangeId, Channel, DeliveryId, EvidenceKind, Lane, Language, LocalizedText, NotificationId,
    NotificationKind, Reach, Timestamp, UserId, VenueId,
};
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{Rng as _, SeedableRng as _};
use serde_json::json;
use store::coverage::{self, Covered};
use store::deliveries::{self, Begin, NewDelivery, Sending, Settled, Settlement};
use store::evidence::{self, NewEvidence};
use store::notifications::{self, Notification};
use store::recipients::NewRecipient;
use store::recount::recount;
use store::{Store, Tx};

on_both_engines!(
    evidence_in_any_order_and_any_batches_ends_the_same,
    whatever_happens_the_counts_are_those_of_the_rows,
    a_proof_supersedes_what_waits_on_the_other_channels,
);

const PEOPLE: i64 = 6;
const CHANNELS: [Channel; 4] = [Channel::Socket, Channel::Apns, Channel::Fcm, Channel::Email];

fn after(seconds: u64) -> Timestamp {
    "2026-07-18T12:00:00Z".parse::<Timestamp>().unwrap() + Duration::from_secs(seconds)
}

/// A notification with a delivery on each channel for each person; half of them at venue 5, half read Arabic.
async fn planned(store: &Store, number: u8) -> (NotificationId, Vec<DeliveryId>) {
    let about = Notification {
        id: NotificationId::of(ChangeId::at(after(0), [number; 10])),
        kind: NotificationKind::Announcement,
        lane: Lane::Emergency,
        title: LocalizedText::english("Title"),
        body: LocalizedText::english("Body"),
        data: json!({}),
        audience: Audience::Everyone,
        event_id: None,
        announcement_id: None,
        thread_id: NotificationId::of(ChangeId::at(after(0), [number; 10])),
        created_at: after(0),
        expires_at: after(600),
    };
    let people: Vec<NewRecipient> = (1..=PEOPLE)
        .map(|user| NewRecipient {
            notification_id: about.id,
            user_id: UserId(user),
            language: if user % 2 == 0 { Language::Ar } else { Language::En },
            venue_id: (user <= PEOPLE / 2).then_some(VenueId(5)),
            notified_at: after(0),
        })
        .collect();
    let all: Vec<NewDelivery> = people
        .iter()
        .flat_map(|person| CHANNELS.map(|channel| delivery(&about, person.user_id, channel)))
        .collect();
    let mut tx = store.begin().await.unwrap();
    notifications::insert(&mut tx, &about).await.unwrap();
    deliveries::insert(&mut tx, &people, &all).await.unwrap();
    tx.commit().await.unwrap();
    (about.id, all.iter().map(|one| one.id).collect())
}

fn delivery(about: &Notification, user_id: UserId, channel: Channel) -> NewDelivery {
    let no_mailbox = channel == Channel::Email && user_id.0 == PEOPLE;
    NewDelivery {
        id: DeliveryId::of(about.id, user_id, channel, "target"),
        notification_id: about.id,
        user_id,
        channel,
        device_id: None,
        target: "target".to_owned(),
        lane: about.lane,
        language: Language::Ar,
        suppressed: no_mailbox.then_some("no_target"),
        queued_at: after(0),
        due_at: after(if channel == Channel::Email { 30 } else { 0 }),
        expires_at: about.expires_at,
    }
}

async fn record(store: &Store, facts: &[NewEvidence], now: Timestamp) -> Vec<(NotificationId, UserId)> {
    let mut tx = store.begin().await.unwrap();
    let recorded = evidence::record_all(&mut tx, facts, now).await.unwrap();
    tx.commit().await.unwrap();
    recorded.proven
}

async fn board(store: &Store, id: NotificationId) -> Vec<Covered> {
    let board = coverage::board(store, id).await.unwrap();
    assert_eq!(board.iter().map(|one| one.people).sum::<u64>(), PEOPLE.unsigned_abs(), "{board:?}");
    board
}

fn people(board: &[Covered], reach: Reach) -> u64 {
    board.iter().filter(|one| one.reach == reach).map(|one| one.people).sum()
}

async fn assert_recounted(store: &Store, id: NotificationId) {
    let found = recount(store, id).await.unwrap();
    assert_eq!(found.told, Vec::<String>::new());
    assert_eq!((found.deliveries, found.people), (24, 6));
}

/// Facts about each of `ids` by its place, told of the same places of another notification by [`of`].
fn facts(rng: &mut StdRng) -> Vec<(usize, EvidenceKind, u64)> {
    (0..60)
        .map(|_| {
            let place = rng.random_range(0..24);
            (place, *EvidenceKind::ALL.choose(rng).unwrap(), rng.random_range(0..400))
        })
        .collect()
}

fn of(ids: &[DeliveryId], facts: &[(usize, EvidenceKind, u64)]) -> Vec<NewEvidence> {
    facts
        .iter()
        .map(|(place, kind, at)| NewEvidence {
            delivery_id: ids[*place],
            kind: *kind,
            source: "test".to_owned(),
            code: at.to_string(),
            at: after(*at),
        })
        .collect()
}

async fn evidence_in_any_order_and_any_batches_ends_the_same(store: Store) {
    let mut rng = StdRng::seed_from_u64(7);
    for round in 0..8_u8 {
        let (first, first_ids) = planned(&store, 100 + round).await;
        let (second, second_ids) = planned(&store, 200 + round).await;
        let mut all = facts(&mut rng);
        record(&store, &of(&first_ids, &all), after(500)).await;
        let repeated = all.iter().take(30).copied().collect::<Vec<_>>();
        all.extend(repeated);
        all.shuffle(&mut rng);
        let mut left = &all[..];
        while !left.is_empty() {
            let (batch, rest) = left.split_at(rng.random_range(1..=left.len().min(9)));
            record(&store, &of(&second_ids, batch), after(500)).await;
            left = rest;
        }
        let states = async |id| notifications::counts(&store, id).await.unwrap();
        assert_eq!(states(first).await, states(second).await);
        // the cause of who cannot be reached is the last one heard: not a matter of evidence
        let places = async |id| {
            let board = board(&store, id).await;
            let known =
                |one: &Covered| if one.reach == Reach::Proven { one.detail.clone() } else { String::new() };
            let mut all: Vec<_> = board
                .iter()
                .map(|one| (one.venue_id, one.language, one.reach, known(one), one.people))
                .collect();
            all.sort();
            all
        };
        let proven = |all: &[(i64, Language, Reach, String, u64)]| {
            all.iter().filter(|one| one.2 == Reach::Proven).cloned().collect::<Vec<_>>()
        };
        assert_eq!(proven(&places(first).await), proven(&places(second).await));
        assert_recounted(&store, first).await;
        assert_recounted(&store, second).await;
    }
}

/// One random thing that can happen to deliveries. What was begun is settled later.
async fn step(
    store: &Store,
    rng: &mut StdRng,
    ids: &[DeliveryId],
    now: Timestamp,
    begun: &mut Vec<Settlement>,
) {
    let some: Vec<DeliveryId> = ids.choose_multiple(rng, 5).copied().collect();
    let mut tx: Tx = store.begin().await.unwrap();
    match rng.random_range(0..6) {
        0 | 1 => {
            let rules = Begin {
                ids: &some,
                now,
                busy_until: now + Duration::from_secs(20),
                resend_unknown: rng.random(),
                attempts_max: 3,
            };
            let sending = deliveries::begin(&mut tx, rules).await.unwrap().sending;
            begun.extend(sending.iter().map(|one| verdict(rng, one, now)));
        }
        2 | 3 => {
            let number = begun.len().min(4);
            // a batch settles a delivery once
            let settled: HashMap<DeliveryId, Settlement> =
                begun.drain(..number).map(|one| (one.id, one)).collect();
            deliveries::settle(&mut tx, &settled.into_values().collect::<Vec<_>>(), now).await.unwrap();
        }
        4 => {
            let kind = *EvidenceKind::ALL.choose(rng).unwrap();
            let at = now - Duration::from_secs(rng.random_range(0..60));
            let facts = some[..2].iter().map(|id| fact(*id, kind, at)).collect::<Vec<_>>();
            let proven = evidence::record_all(&mut tx, &facts, now).await.unwrap().proven;
            tx.commit().await.unwrap();
            tx = store.begin().await.unwrap();
            deliveries::supersede(&mut tx, &proven, now).await.unwrap();
        }
        _ if rng.random_ratio(1, 3) => {
            deliveries::cancel(&mut tx, &some, now).await.unwrap();
        }
        _ => {
            deliveries::end_overdue(&mut tx, &some, now).await.unwrap();
        }
    }
    tx.commit().await.unwrap();
}

/// Any verdict on an attempt.
fn verdict(rng: &mut StdRng, sending: &Sending, now: Timestamp) -> Settlement {
    let again = now + Duration::from_secs(5);
    let all = [
        Settled::Accepted,
        Settled::Again(again),
        Settled::Unknown(None),
        Settled::Unknown(Some(again)),
        Settled::Failed(domain::Action::DropTarget),
        Settled::Dead(domain::Action::Retry),
        Settled::TooLate,
        Settled::Released(now),
    ];
    Settlement {
        id: sending.id,
        attempt: sending.attempt,
        fence: sending.fence,
        settled: *all.choose(rng).unwrap(),
        provider_id: None,
        status_code: None,
        reason: "tested".to_owned(),
    }
}

fn fact(delivery_id: DeliveryId, kind: EvidenceKind, at: Timestamp) -> NewEvidence {
    NewEvidence { delivery_id, kind, source: "test".to_owned(), code: "step".to_owned(), at }
}

async fn whatever_happens_the_counts_are_those_of_the_rows(store: Store) {
    let mut rng = StdRng::seed_from_u64(11);
    for round in 0..4_u8 {
        let (id, ids) = planned(&store, round).await;
        let mut begun = Vec::new();
        for number in 0..40 {
            step(&store, &mut rng, &ids, after(number * 20), &mut begun).await;
            if number % 8 == 7 {
                assert_recounted(&store, id).await;
            }
        }
        board(&store, id).await;
        let mut tx = store.begin().await.unwrap();
        deliveries::end_overdue(&mut tx, &ids, after(100_000)).await.unwrap();
        tx.commit().await.unwrap();
        assert!(
            deliveries::overdue(&store, after(100_001), 100).await.unwrap().is_empty(),
            "every delivery ends"
        );
        assert_recounted(&store, id).await;
    }
}

async fn a_proof_supersedes_what_waits_on_the_other_channels(store: Store) {
    let (id, ids) = planned(&store, 1).await;
    assert_eq!(people(&board(&store, id).await, Reach::Open), 6);
    let push: Vec<DeliveryId> = ids.chunks(4).map(|of_person| of_person[1]).collect();
    let begin = async |ids: &[DeliveryId], now| {
        let mut tx = store.begin().await.unwrap();
        let rules = Begin { ids, now, busy_until: now, resend_unknown: true, attempts_max: 3 };
        let begun = deliveries::begin(&mut tx, rules).await.unwrap();
        tx.commit().await.unwrap();
        begun
    };
    assert_eq!(begin(&push, after(1)).await.sending.len(), 6);
    let proof = |place: usize, seconds| NewEvidence {
        delivery_id: ids[place],
        kind: EvidenceKind::Delivered,
        source: "socket".to_owned(),
        code: "delivered".to_owned(),
        at: after(seconds),
    };
    // the first person's socket is proved and their other deliveries end; the second one's are found proved later
    let proven = record(&store, &[proof(0, 4)], after(8)).await;
    assert_eq!(proven, [(id, UserId(1))]);
    let mut tx = store.begin().await.unwrap();
    let moves = deliveries::supersede(&mut tx, &proven, after(8)).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(moves.len(), 2, "Android and mail; the iPhone's is under way: {moves:?}");
    record(&store, &[proof(4, 31)], after(40)).await;
    let mails = [ids[3], ids[7], ids[11]];
    let batch = begin(&mails, after(45)).await;
    assert_eq!(batch.sending.iter().map(|one| one.user_id).collect::<Vec<_>>(), [UserId(3)]);
    assert_eq!(batch.moves.len(), 2, "one is sent, one is superseded");
    let board = board(&store, id).await;
    let proven: Vec<_> = board.iter().filter(|one| one.reach == Reach::Proven).collect();
    let marks: Vec<_> = proven.iter().map(|one| (one.language, one.venue_id, one.detail.as_str())).collect();
    assert_eq!(marks, [(Language::Ar, 5, "60"), (Language::En, 5, "5")]);
    assert_recounted(&store, id).await;
}
