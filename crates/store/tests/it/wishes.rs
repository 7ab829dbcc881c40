//! Preferences, consents, reminders, schedules, and dead letters.

use std::time::Duration;

use domain::{Audience, EventId, Lane, Language, LocalizedText, NotificationId, UserId};
use store::events;
use store::preferences::{self, Consent, Kept};
use store::reminders::{self, Reminder};
use store::schedules::{self, Advance, Plan};
use store::users::{self, NewUser};
use store::{Store, stars};
use uuid::Uuid;

use crate::programme::{self, at};

on_both_engines!(
    preferences_are_kept_by_version_and_consents_are_only_added_to,
    a_start_has_each_lead_once_and_a_change_of_the_programme_overtakes_it,
    a_schedule_comes_due_moves_on_and_is_stopped,
);

const CONCERT: EventId = EventId(1);

/// Two users who starred a concert from minute 100 to 160.
async fn two_people_and_a_concert(store: &Store) {
    let mut tx = store.begin().await.unwrap();
    let user = |number: u8| NewUser {
        email: format!("user{number}@example.org"),
        name: "User".to_owned(),
        password_hash: None,
        roles: Vec::new(),
        language: Language::Ar,
    };
    users::insert(&mut tx, &[user(1), user(2)], at(0)).await.unwrap();
    let venue = programme::new_venue(&mut tx, "Stage").await;
    assert_eq!(programme::new_event(&mut tx, &programme::plan(venue, 100, 160)).await, CONCERT);
    for user in [1, 2] {
        stars::insert(&mut tx, UserId(user), CONCERT, at(0)).await.unwrap();
    }
    tx.commit().await.unwrap();
}

async fn preferences_are_kept_by_version_and_consents_are_only_added_to(store: Store) {
    two_people_and_a_concert(&store).await;
    let user = UserId(1);
    let mut kept = Kept {
        choices: serde_json::from_str(r#"{"programme":{"email":false}}"#).unwrap(),
        quiet: Some((1_380, 420)),
        time_zone: "Africa/Cairo".to_owned(),
        caps: [(Lane::Promotional, 1)].into(),
        reminder_minutes: Some(vec![60, 5]),
        promotions_since: Some(at(1)),
        digest_at: Some(at(2)),
        digest_minute: Some(540),
        version: 0,
    };
    let mut tx = store.begin().await.unwrap();
    assert_eq!(preferences::lock(&mut tx, user).await.unwrap(), Kept::default());
    assert_eq!(preferences::keep(&mut tx, user, &kept, at(1)).await.unwrap(), Some(1));
    assert_eq!(preferences::keep(&mut tx, user, &kept, at(1)).await.unwrap(), None, "version 0 is gone");
    kept.version = 1;
    assert_eq!(preferences::lock(&mut tx, user).await.unwrap(), kept);
    let said = |granted: bool, minute| Consent {
        granted,
        wording_version: "v1".to_owned(),
        means: "app".to_owned(),
        at: at(minute),
    };
    for one in [said(true, 1), said(false, 2)] {
        preferences::add_consent(&mut tx, user, &one).await.unwrap();
    }
    assert!(preferences::set_star_minutes(&mut tx, user, CONCERT, Some(&[])).await.unwrap());
    assert!(!preferences::set_star_minutes(&mut tx, user, EventId(9), None).await.unwrap());
    tx.commit().await.unwrap();
    let all = preferences::of_users(&store, &[user, UserId(2)]).await.unwrap();
    assert_eq!(all.into_iter().collect::<Vec<_>>(), [(user, kept)]);
    assert_eq!(preferences::consents(&store, user).await.unwrap(), [said(false, 2), said(true, 1)]);
    let stars = preferences::star_minutes(&store, CONCERT, &[user, UserId(2)]).await.unwrap();
    assert_eq!(stars.into_iter().collect::<Vec<_>>(), [(user, Vec::new())]);
    let due = reminders::digests_due(&store, at(2), 10).await.unwrap();
    assert_eq!(due, [(user, at(2))]);
    let mut tx = store.begin().await.unwrap();
    assert!(reminders::advance_digest(&mut tx, user, at(2), at(3)).await.unwrap());
    assert!(!reminders::advance_digest(&mut tx, user, at(2), at(3)).await.unwrap(), "once");
    tx.commit().await.unwrap();
}

async fn a_start_has_each_lead_once_and_a_change_of_the_programme_overtakes_it(store: Store) {
    two_people_and_a_concert(&store).await;
    let one = |minute, lead_minutes| Reminder { event_id: CONCERT, starts_at: at(minute), lead_minutes };
    let starting = reminders::starting(&store, at(0), at(100), 10).await.unwrap();
    assert_eq!(starting, [(CONCERT, at(100))]);
    assert!(reminders::starting(&store, at(0), at(99), 10).await.unwrap().is_empty());
    assert!(reminders::wanted(&store, one(100, 30), &[30, 10]).await.unwrap());
    assert!(!reminders::wanted(&store, one(100, 3), &[30, 10]).await.unwrap(), "3 is not 30");
    let id = NotificationId(Uuid::from_u128(7));
    let make = async |reminder: Reminder| {
        let mut tx = store.begin().await.unwrap();
        let made = reminders::make(&mut tx, reminder, id, at(70)).await.unwrap();
        tx.commit().await.unwrap();
        made
    };
    assert!(make(one(100, 30)).await);
    assert!(!make(one(100, 30)).await, "once");
    assert!(!make(one(101, 30)).await, "it does not start then");
    assert_eq!(reminders::made(&store, at(0)).await.unwrap(), [one(100, 30)]);
    assert!(reminders::stands(&store, id).await.unwrap());
    assert!(reminders::overtaken(&store, at(70), 10).await.unwrap().is_empty());

    let mut tx = store.begin().await.unwrap();
    let event = events::lock(&mut tx, CONCERT).await.unwrap().unwrap();
    let mut plan = event.plan.clone();
    plan.slot = domain::Slot::new(at(120), at(180)).unwrap();
    events::update(&mut tx, (CONCERT, event.version), &plan, event.status, at(71)).await.unwrap();
    tx.commit().await.unwrap();
    assert!(!reminders::stands(&store, id).await.unwrap());
    assert_eq!(reminders::overtaken(&store, at(71), 10).await.unwrap(), [id]);
    let mut tx = store.begin().await.unwrap();
    reminders::withdraw(&mut tx, id, at(71)).await.unwrap();
    tx.commit().await.unwrap();
    assert!(reminders::overtaken(&store, at(71), 10).await.unwrap().is_empty());
    assert!(make(one(120, 30)).await, "another start is another reminder");
}

async fn a_schedule_comes_due_moves_on_and_is_stopped(store: Store) {
    two_people_and_a_concert(&store).await;
    let plan = Plan {
        lane: Lane::Standard,
        title: LocalizedText::english("Gates"),
        body: LocalizedText::english("are open"),
        audience: Audience::Everyone,
        ttl_seconds: 600,
        first_local: "2026-07-18T18:00:00".to_owned(),
        time_zone: "Africa/Cairo".to_owned(),
        recurrence: Some("FREQ=DAILY;INTERVAL=1;UNTIL=20260720T200000Z".to_owned()),
    };
    let mut tx = store.begin().await.unwrap();
    let made = schedules::insert(&mut tx, &plan, at(10), UserId(1), at(0)).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(schedules::find(&store, made.id).await.unwrap(), Some(made.clone()));
    assert_eq!(schedules::list(&store, None, 10).await.unwrap(), std::slice::from_ref(&made));
    assert!(schedules::due(&store, at(10) - Duration::from_secs(1), 10).await.unwrap().is_empty());
    assert_eq!(schedules::due(&store, at(10), 10).await.unwrap(), [made.id]);
    let mut tx = store.begin().await.unwrap();
    let to = Advance { next_at: Some(at(20)), sent: 1, missed: 2 };
    schedules::advance(&mut tx, made.id, to, at(10)).await.unwrap();
    let moved = schedules::lock(&mut tx, made.id).await.unwrap().unwrap();
    assert_eq!((moved.next_at, moved.sent, moved.missed, moved.version), (Some(at(20)), 1, 2, 2));
    schedules::cancel(&mut tx, made.id, at(11)).await.unwrap();
    tx.commit().await.unwrap();
    assert!(schedules::due(&store, at(30), 10).await.unwrap().is_empty());
    let stopped = schedules::find(&store, made.id).await.unwrap().unwrap();
    assert_eq!((stopped.next_at, stopped.cancelled_at), (None, Some(at(11))));
}
