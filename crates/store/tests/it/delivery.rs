//! Outbox, leases, deliveries and evidence.

use std::time::Duration;

use domain::{
    Action, Announced, AnnouncementId, Audience, Change, ChangeId, ChangeKind, Channel, DeliveryId,
    DeliveryState, EventId, EvidenceKind, Lane, Language, LocalizedText, NotificationId, NotificationKind,
    Timestamp, UserId, VenueId,
};
use serde_json::json;
use store::audience;
use store::deliveries::{self, Begin, Begun, NewDelivery, Settled, Settlement};
use store::evidence::{self, NewEvidence, RecordOutcome};
use store::lane_pauses::{self, LanePause};
use store::leases;
use store::log_cursors::{self, LogCursor};
use store::notifications::{self, Notification, Planned};
use store::outbox::{self, Wakeups};
use store::recipients::NewRecipient;
use store::users::{self, NewUser};
use store::{Store, Tx, stars};

use crate::programme;

on_both_engines!(
    the_outbox_keeps_order_and_wakes_at_commit,
    a_dropped_transaction_leaves_nothing_in_the_outbox,
    one_holder_at_a_time_and_the_fence_rises,
    a_page_is_planned_once,
    an_attempt_is_recorded_before_and_settled_after,
    an_open_attempt_is_unknown_when_its_lease_has_run_out,
    a_stale_fence_changes_no_state_unless_it_was_accepted,
    a_released_attempt_is_not_spent,
    receipts_raise_states_in_any_order_and_once,
    every_open_delivery_ends_at_its_deadline,
    a_withdrawn_notification_ends_what_has_not_left,
    audiences_come_in_pages,
    cursors_and_pauses_are_kept,
    an_emergency_is_open_until_it_is_proved,
);

fn start() -> Timestamp {
    "2026-07-18T12:00:00Z".parse().unwrap()
}

fn after(seconds: u64) -> Timestamp {
    start() + Duration::from_secs(seconds)
}

fn change(number: u8) -> Change {
    Change {
        id: ChangeId::at(start(), [number; 10]),
        at: start(),
        actor: None,
        mutation: None,
        kind: ChangeKind::Announcement(Announced {
            announcement_id: AnnouncementId(1),
            notification_id: NotificationId::of(ChangeId::at(start(), [number; 10])),
            lane: Lane::Standard,
            title: LocalizedText::english("Title"),
            body: LocalizedText::english("Body"),
            audience: Audience::Everyone,
            expires_at: after(3_600),
            alert: None,
            thread_id: None,
            replaces: None,
        }),
    }
}

fn notification(lane: Lane) -> Notification {
    Notification {
        id: NotificationId::of(ChangeId::at(start(), [9; 10])),
        kind: NotificationKind::Announcement,
        lane,
        title: LocalizedText::english("Title"),
        body: LocalizedText::english("Body"),
        data: json!({ "announcement_id": 1 }),
        audience: Audience::Everyone,
        event_id: None,
        announcement_id: Some(AnnouncementId(1)),
        thread_id: NotificationId::of(ChangeId::at(start(), [9; 10])),
        created_at: start(),
        expires_at: after(3_600),
    }
}

fn delivery(about: &Notification, user: i64, channel: Channel) -> NewDelivery {
    NewDelivery {
        id: DeliveryId::of(about.id, UserId(user), channel, "target"),
        notification_id: about.id,
        user_id: UserId(user),
        channel,
        device_id: None,
        target: "target".to_owned(),
        lane: about.lane,
        language: Language::Ar,
        suppressed: None,
        queued_at: start(),
        due_at: start(),
        expires_at: about.expires_at,
    }
}

fn person(about: &Notification, user: i64) -> NewRecipient {
    NewRecipient {
        notification_id: about.id,
        user_id: UserId(user),
        language: Language::Ar,
        venue_id: None,
        notified_at: start(),
    }
}

/// A notification with `users` deliveries on each of two channels.
async fn planned(store: &Store, lane: Lane, users: i64) -> (Notification, Vec<DeliveryId>) {
    let about = notification(lane);
    let all: Vec<NewDelivery> = (1..=users)
        .flat_map(|user| [Channel::Socket, Channel::Email].map(|channel| delivery(&about, user, channel)))
        .collect();
    let mut tx = store.begin().await.unwrap();
    notifications::insert(&mut tx, &about).await.unwrap();
    let people: Vec<NewRecipient> = (1..=users).map(|user| person(&about, user)).collect();
    deliveries::insert(&mut tx, &people, &all).await.unwrap();
    tx.commit().await.unwrap();
    let ids = all.iter().map(|one| one.id).collect();
    assert_counted(store, &about, all.len()).await;
    (about, ids)
}

/// Audience = sum of states.
async fn assert_counted(store: &Store, about: &Notification, deliveries: usize) {
    let counts = notifications::counts(store, about.id).await.unwrap();
    let sum: u64 = counts.iter().map(|count| count.deliveries).sum();
    assert_eq!(sum, deliveries as u64, "{counts:?}");
}

async fn in_state(store: &Store, about: &Notification, channel: Channel, state: DeliveryState) -> u64 {
    let counts = notifications::counts(store, about.id).await.unwrap();
    counts.iter().find(|one| one.channel == channel && one.state == state).map_or(0, |one| one.deliveries)
}

async fn begin(store: &Store, ids: &[DeliveryId], now: Timestamp, resend_unknown: bool) -> Begun {
    let mut tx = store.begin().await.unwrap();
    let rules = Begin { ids, now, busy_until: now + Duration::from_mins(1), resend_unknown, attempts_max: 3 };
    let begun = deliveries::begin(&mut tx, rules).await.unwrap();
    tx.commit().await.unwrap();
    begun
}

fn settlement(begun: &Begun, index: usize, settled: Settled) -> Settlement {
    let one = &begun.sending[index];
    Settlement {
        id: one.id,
        attempt: one.attempt,
        fence: one.fence,
        settled,
        provider_id: None,
        status_code: Some(200),
        reason: "tested".to_owned(),
    }
}

async fn settle(store: &Store, all: &[Settlement], now: Timestamp) {
    let mut tx = store.begin().await.unwrap();
    deliveries::settle(&mut tx, all, now).await.unwrap();
    tx.commit().await.unwrap();
}

async fn the_outbox_keeps_order_and_wakes_at_commit(store: Store) {
    let mut wakeups = Wakeups::new(store.clone()).await;
    let mut tx = store.begin().await.unwrap();
    for number in 1..=3 {
        outbox::append(&mut tx, &change(number)).await.unwrap();
    }
    tx.commit().await.unwrap();
    let long = Duration::from_mins(1);
    tokio::time::timeout(Duration::from_secs(5), wakeups.wait(long)).await.expect("the commit wakes it");
    let waiting = outbox::read(&store, 2).await.unwrap();
    assert_eq!(waiting.iter().map(|one| &one.change).collect::<Vec<_>>(), [&change(1), &change(2)]);
    assert_eq!(outbox::backlog(&store).await.unwrap().rows, 3);
    let ids: Vec<i64> = waiting.iter().map(|one| one.id).collect();
    let mut tx = store.begin().await.unwrap();
    outbox::delete(&mut tx, &ids).await.unwrap();
    tx.commit().await.unwrap();
    let left = outbox::read(&store, 10).await.unwrap();
    assert_eq!(left.iter().map(|one| &one.change).collect::<Vec<_>>(), [&change(3)]);
    assert_eq!(outbox::backlog(&store).await.unwrap().oldest_at, Some(start()));
}

async fn a_dropped_transaction_leaves_nothing_in_the_outbox(store: Store) {
    let mut tx = store.begin().await.unwrap();
    outbox::append(&mut tx, &change(1)).await.unwrap();
    drop(tx);
    assert!(outbox::read(&store, 10).await.unwrap().is_empty());
}

async fn one_holder_at_a_time_and_the_fence_rises(store: Store) {
    async fn acquire(store: &Store, holder: &str, span: Duration) -> Option<i64> {
        let mut tx = store.begin().await.unwrap();
        let lease = leases::acquire(&mut tx, "relay", holder, span).await.unwrap();
        tx.commit().await.unwrap();
        lease.map(|lease| lease.fence)
    }
    let long = Duration::from_mins(1);
    assert_eq!(acquire(&store, "a", long).await, Some(1));
    assert_eq!(acquire(&store, "b", long).await, None);
    assert_eq!(acquire(&store, "a", long).await, Some(1), "the holder renews it");
    let mut tx = store.begin().await.unwrap();
    leases::release(&mut tx, "relay", "b").await.unwrap(); // not its own
    tx.commit().await.unwrap();
    assert_eq!(acquire(&store, "b", long).await, None);
    let mut tx = store.begin().await.unwrap();
    leases::release(&mut tx, "relay", "a").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(acquire(&store, "b", Duration::ZERO).await, Some(2));
    assert_eq!(acquire(&store, "a", long).await, Some(3), "a lease of no length has run out");
}

async fn a_page_is_planned_once(store: Store) {
    let (about, ids) = planned(&store, Lane::Standard, 2).await;
    let again: Vec<NewDelivery> = (1..=3).map(|user| delivery(&about, user, Channel::Socket)).collect();
    let mut tx = store.begin().await.unwrap();
    assert!(!notifications::insert(&mut tx, &about).await.unwrap());
    let people: Vec<NewRecipient> = (1..=3).map(|user| person(&about, user)).collect();
    let new = deliveries::insert(&mut tx, &people, &again).await.unwrap();
    assert_eq!(new.len(), 1, "only the third user is new");
    let page = Planned {
        id: about.id,
        after: UserId(0),
        through: UserId(3),
        recipients: 3,
        finished_at: Some(start()),
    };
    assert!(notifications::advance(&mut tx, page).await.unwrap());
    assert!(!notifications::advance(&mut tx, page).await.unwrap());
    tx.commit().await.unwrap();
    let progress = notifications::find(&store, about.id).await.unwrap().unwrap();
    assert_eq!((progress.recipients, progress.planned_at), (3, Some(start())));
    assert_eq!(progress.notification, about);
    assert!(notifications::unplanned(&store, 10).await.unwrap().is_empty());
    assert_counted(&store, &about, ids.len() + 1).await;
}

async fn an_attempt_is_recorded_before_and_settled_after(store: Store) {
    use DeliveryState::{Accepted, Dead, Expired, Failed, Unknown, Waiting};
    let (about, ids) = planned(&store, Lane::Standard, 4).await;
    let begun = begin(&store, &ids, after(1), true).await;
    assert_eq!(begun.sending.len(), 8);
    assert_eq!(in_state(&store, &about, Channel::Email, DeliveryState::Sending).await, 4);
    let all = [
        settlement(&begun, 0, Settled::Accepted),
        settlement(&begun, 1, Settled::Again(after(100))),
        settlement(&begun, 2, Settled::Unknown(Some(after(100)))),
        settlement(&begun, 3, Settled::Unknown(None)),
        settlement(&begun, 4, Settled::Failed(Action::FixMessage)),
        settlement(&begun, 5, Settled::Dead(Action::Retry)),
        settlement(&begun, 6, Settled::TooLate),
        settlement(&begun, 7, Settled::Failed(Action::DropTarget)),
    ];
    settle(&store, &all, after(2)).await;
    assert_counted(&store, &about, 8).await;
    let counts = notifications::counts(&store, about.id).await.unwrap();
    let of = |state| counts.iter().filter(|one| one.state == state).map(|one| one.deliveries).sum::<u64>();
    assert_eq!([Accepted, Waiting, Unknown, Failed, Dead, Expired].map(of), [1, 1, 2, 2, 1, 1]);
    let early = begin(&store, &ids, after(50), true).await;
    assert!(early.sending.is_empty());
    assert_eq!(early.later.len(), 2, "their time has not come");
    let due = begin(&store, &ids, after(101), true).await;
    assert_eq!(due.sending.iter().map(|one| one.attempt).collect::<Vec<_>>(), [2, 2]);
    assert_eq!(in_state(&store, &about, Channel::Socket, Waiting).await, 0);
}

async fn an_open_attempt_is_unknown_when_its_lease_has_run_out(store: Store) {
    let (about, ids) = planned(&store, Lane::Standard, 1).await;
    assert_eq!(begin(&store, &ids, after(0), true).await.sending.len(), 2);
    let busy = begin(&store, &ids, after(30), true).await;
    assert_eq!((busy.sending.len(), busy.later.len(), busy.lost), (0, 2, 0), "another worker has them");
    let once_more = begin(&store, &ids[..1], after(61), true).await;
    assert_eq!((once_more.sending[0].attempt, once_more.lost), (2, 1));
    let left_alone = begin(&store, &ids[1..], after(61), false).await;
    assert_eq!((left_alone.sending.len(), left_alone.lost), (0, 1));
    let counts = notifications::counts(&store, about.id).await.unwrap();
    assert!(counts.iter().all(|one| one.state == DeliveryState::Unknown), "{counts:?}");
    assert_counted(&store, &about, 2).await;
}

async fn a_stale_fence_changes_no_state_unless_it_was_accepted(store: Store) {
    let (about, ids) = planned(&store, Lane::Standard, 1).await;
    let slow = begin(&store, &ids, after(0), true).await;
    let quick = begin(&store, &ids, after(61), true).await;
    settle(&store, &[settlement(&slow, 0, Settled::Failed(Action::DropTarget))], after(62)).await;
    let counts = notifications::counts(&store, about.id).await.unwrap();
    assert!(counts.iter().all(|one| one.state == DeliveryState::Unknown), "{counts:?}");
    settle(&store, &[settlement(&slow, 1, Settled::Accepted)], after(63)).await;
    settle(&store, &[settlement(&quick, 1, Settled::Failed(Action::DropTarget))], after(64)).await;
    let counts = notifications::counts(&store, about.id).await.unwrap();
    assert!(!counts.iter().any(|one| one.state == DeliveryState::Accepted), "a newer refusal is final");
    assert_counted(&store, &about, 2).await;
}

async fn a_released_attempt_is_not_spent(store: Store) {
    let (about, ids) = planned(&store, Lane::Standard, 1).await;
    for round in 0..5 {
        let begun = begin(&store, &ids, after(round * 10), true).await;
        assert_eq!(begun.sending.len(), 2, "round {round}: five rounds are more than the three attempts");
        assert!(begun.sending.iter().all(|one| one.attempt == 1));
        let released: Vec<Settlement> =
            (0..2).map(|index| settlement(&begun, index, Settled::Released(after(round * 10 + 5)))).collect();
        settle(&store, &released, after(round * 10 + 1)).await;
        assert_eq!(in_state(&store, &about, Channel::Socket, DeliveryState::Queued).await, 1);
    }
}

async fn receipts_raise_states_in_any_order_and_once(store: Store) {
    let (about, ids) = planned(&store, Lane::Standard, 1).await;
    let fact = |kind, at| NewEvidence {
        delivery_id: ids[0],
        kind,
        source: "app".to_owned(),
        code: "callback".to_owned(),
        at,
    };
    let record = async |one: NewEvidence| {
        let mut tx: Tx = store.begin().await.unwrap();
        let outcome = evidence::record(&mut tx, &one, after(20)).await.unwrap();
        tx.commit().await.unwrap();
        outcome
    };
    let applied = |state| RecordOutcome::Applied { state };
    let opened = fact(EvidenceKind::Opened, after(10));
    assert_eq!(record(opened.clone()).await, applied(DeliveryState::Opened));
    assert_eq!(record(opened).await, RecordOutcome::Repeated);
    assert_eq!(
        record(fact(EvidenceKind::Opened, after(11))).await,
        RecordOutcome::Repeated,
        "another time is no other fact"
    );
    assert_eq!(record(fact(EvidenceKind::Delivered, after(9))).await, applied(DeliveryState::Opened));
    assert_eq!(record(fact(EvidenceKind::Bounced, after(12))).await, applied(DeliveryState::Opened));
    let stranger = NewEvidence {
        delivery_id: DeliveryId::of(about.id, UserId(77), Channel::Apns, "x"),
        ..fact(EvidenceKind::Delivered, after(1))
    };
    assert_eq!(record(stranger).await, RecordOutcome::UnknownDelivery);
    assert!(begin(&store, &ids[..1], after(30), true).await.sending.is_empty(), "what is proved is not sent");
    assert_counted(&store, &about, 2).await;
}

async fn every_open_delivery_ends_at_its_deadline(store: Store) {
    let (about, ids) = planned(&store, Lane::Standard, 2).await;
    let begun = begin(&store, &ids, after(1), true).await;
    let accepted: Vec<Settlement> = begun
        .sending
        .iter()
        .enumerate()
        .filter(|(_, one)| one.user_id == UserId(1))
        .map(|(index, _)| settlement(&begun, index, Settled::Accepted))
        .collect();
    settle(&store, &accepted, after(2)).await;
    assert!(deliveries::overdue(&store, after(3_600), 100).await.unwrap().is_empty());
    let overdue = deliveries::overdue(&store, after(3_601), 100).await.unwrap();
    assert_eq!(overdue.len(), 4);
    let mut tx = store.begin().await.unwrap();
    deliveries::end_overdue(&mut tx, &overdue, after(3_601)).await.unwrap();
    tx.commit().await.unwrap();
    assert!(deliveries::overdue(&store, after(9_999), 100).await.unwrap().is_empty(), "all have ended");
    assert_eq!(in_state(&store, &about, Channel::Email, DeliveryState::Accepted).await, 1);
    assert_eq!(in_state(&store, &about, Channel::Email, DeliveryState::Expired).await, 1);
    assert_eq!(in_state(&store, &about, Channel::Socket, DeliveryState::Expired).await, 2);
    assert_counted(&store, &about, 4).await;
}

async fn a_withdrawn_notification_ends_what_has_not_left(store: Store) {
    let (about, ids) = planned(&store, Lane::Standard, 2).await;
    let begun = begin(&store, &ids[..2], after(1), true).await;
    let mut tx = store.begin().await.unwrap();
    notifications::cancel(&mut tx, about.id, after(2)).await.unwrap();
    tx.commit().await.unwrap();
    let open = deliveries::cancellable(&store, about.id, 100).await.unwrap();
    assert_eq!(open.len(), 2, "two are being sent");
    let mut tx = store.begin().await.unwrap();
    deliveries::cancel(&mut tx, &open, after(2)).await.unwrap();
    tx.commit().await.unwrap();
    let outcomes =
        [settlement(&begun, 0, Settled::Accepted), settlement(&begun, 1, Settled::Again(after(50)))];
    settle(&store, &outcomes, after(3)).await;
    let counts = notifications::counts(&store, about.id).await.unwrap();
    let of = |state| counts.iter().filter(|one| one.state == state).map(|one| one.deliveries).sum::<u64>();
    assert_eq!((of(DeliveryState::Cancelled), of(DeliveryState::Accepted)), (3, 1));
    assert!(deliveries::orphans(&store, after(9_999), 100).await.unwrap().is_empty());
}

/// Four users; the first and the third starred event 1, the second and the third event 2, both at venue 1.
async fn people(store: &Store) {
    let mut tx = store.begin().await.unwrap();
    let users: Vec<NewUser> = (1..=4)
        .map(|number| NewUser {
            email: format!("user{number}@example.org"),
            name: "User".to_owned(),
            password_hash: None,
            roles: Vec::new(),
            language: Language::Ar,
        })
        .collect();
    let users = users::insert(&mut tx, &users, start()).await.unwrap();
    let venue = programme::new_venue(&mut tx, "Stage").await;
    let first = programme::new_event(&mut tx, &programme::plan(venue, 0, 60)).await;
    let second = programme::new_event(&mut tx, &programme::plan(venue, 100, 160)).await;
    for (user, event) in [(0, first), (2, first), (1, second), (2, second)] {
        stars::insert(&mut tx, users[user], event, start()).await.unwrap();
    }
    tx.commit().await.unwrap();
}

async fn audiences_come_in_pages(store: Store) {
    people(&store).await;
    let ids = async |audience: &Audience, after: i64, max: u64| -> Vec<i64> {
        let page = audience::page(&store, audience, UserId(after), max).await.unwrap();
        page.into_iter().map(|one| one.user_id.0).collect()
    };
    assert_eq!(ids(&Audience::Everyone, 0, 2).await, [1, 2]);
    assert_eq!(ids(&Audience::Everyone, 2, 2).await, [3, 4]);
    assert_eq!(ids(&Audience::Event { event_id: EventId(1) }, 0, 10).await, [1, 3]);
    assert_eq!(ids(&Audience::Venue { venue_id: VenueId(1) }, 1, 10).await, [2, 3], "each user once");
    let users = Audience::Users { user_ids: vec![UserId(4), UserId(2), UserId(99)] };
    assert_eq!(ids(&users, 0, 10).await, [2, 4]);
    assert!(ids(&Audience::Users { user_ids: Vec::new() }, 0, 10).await.is_empty());
}

async fn cursors_and_pauses_are_kept(store: Store) {
    let cursor = |partition, offset| LogCursor { partition, epoch: "e".to_owned(), offset };
    let mut tx = store.begin().await.unwrap();
    log_cursors::save(&mut tx, "planner", &[cursor(0, 5), cursor(1, 6)]).await.unwrap();
    log_cursors::save(&mut tx, "planner", &[cursor(1, 7)]).await.unwrap();
    log_cursors::save(&mut tx, "other", &[cursor(0, 1)]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(log_cursors::load(&store, "planner").await.unwrap(), [cursor(0, 5), cursor(1, 7)]);
    let pause = |reason: &str, at| LanePause {
        channel: Channel::Apns,
        lane: Lane::Standard,
        reason: reason.to_owned(),
        paused_at: at,
        retry_at: at + Duration::from_secs(5),
        held_by: None,
    };
    let mut tx = store.begin().await.unwrap();
    lane_pauses::set(&mut tx, &pause("first", after(0))).await.unwrap();
    lane_pauses::set(&mut tx, &pause("second", after(9))).await.unwrap();
    tx.commit().await.unwrap();
    let known = lane_pauses::list(&store).await.unwrap();
    assert_eq!(
        (known[0].reason.as_str(), known[0].paused_at, known[0].retry_at),
        ("second", start(), after(14))
    );
    let mut tx = store.begin().await.unwrap();
    lane_pauses::clear(&mut tx, Channel::Apns, Lane::Standard).await.unwrap();
    tx.commit().await.unwrap();
    assert!(lane_pauses::list(&store).await.unwrap().is_empty());
}

async fn an_emergency_is_open_until_it_is_proved(store: Store) {
    let (_, ids) = planned(&store, Lane::Emergency, 1).await;
    let open = async |since: Timestamp| notifications::emergency_open(&store, since, after(5)).await.unwrap();
    let before = start() - Duration::from_secs(1);
    assert!(open(before).await, "it is being planned");
    assert!(!open(start()).await, "it is too old to hold anything back");
    let about = notification(Lane::Emergency);
    let mut tx = store.begin().await.unwrap();
    let page = Planned {
        id: about.id,
        after: UserId(0),
        through: UserId(1),
        recipients: 1,
        finished_at: Some(start()),
    };
    notifications::advance(&mut tx, page).await.unwrap();
    tx.commit().await.unwrap();
    assert!(open(before).await, "nobody has proved it");
    for id in ids {
        let proof = NewEvidence {
            delivery_id: id,
            kind: EvidenceKind::Delivered,
            source: "app".to_owned(),
            code: "callback".to_owned(),
            at: after(4),
        };
        let mut tx = store.begin().await.unwrap();
        evidence::record(&mut tx, &proof, after(5)).await.unwrap();
        tx.commit().await.unwrap();
    }
    assert!(!open(before).await);
}
