//! What comes at a time, and what people do not want: with a clock that the test moves.

use std::time::Duration;

use domain::{
    Action, Audience, Channel, DeliveryState, EventId, EventPlan, EventStatus, Lane, LocalizedText,
    NotificationId, Slot, Timestamp, UserId, Zone,
};
use store::preferences::{self, Kept};
use store::schedules::{self, Plan};
use store::venues::VenuePlan;
use store::{deliveries, events, notifications, stars, venues};

use crate::rig::Rig;

on_both_backends!(
    reminders_come_once_to_who_chose_their_time_and_follow_the_programme,
    quiet_hours_wait_preferences_suppress_and_emergencies_ask_nobody,
    a_schedule_has_its_turn_once_whoever_is_killed,
    a_digest_is_one_mail_with_what_was_not_read,
    dead_letters_go_again_with_their_next_attempt,
);

const HOUR: Duration = Duration::from_hours(1);
const MINUTE: Duration = Duration::from_mins(1);

fn slot(starts_at: Timestamp) -> Slot {
    Slot::new(starts_at, starts_at + HOUR).unwrap()
}

/// A concert at `starts_at` that all of `users` starred.
async fn concert(rig: &Rig, users: &[UserId], starts_at: Timestamp) -> EventId {
    let now = rig.clock.now();
    let zone = Zone::new("Africa/Cairo").unwrap();
    let venue = VenuePlan {
        name: LocalizedText::english("Stage"),
        capacity: None,
        position: None,
        zone: zone.clone(),
        setup_seconds: 0,
        turnaround_seconds: 0,
    };
    let mut tx = rig.store.begin().await.unwrap();
    let venue = venues::insert(&mut tx, None, &venue, now).await.unwrap();
    let plan = EventPlan {
        title: LocalizedText::english("Concert"),
        description: LocalizedText::default(),
        language: String::new(),
        venue_id: venue.id,
        category_id: None,
        performers: Vec::new(),
        slot: slot(starts_at),
        zone,
        capacity: None,
    };
    let event = events::insert(&mut tx, "guid", &plan, EventStatus::Published, now).await.unwrap();
    for user in users {
        stars::insert(&mut tx, *user, event, now).await.unwrap();
    }
    tx.commit().await.unwrap();
    event
}

async fn change(rig: &Rig, event: EventId, starts_at: Timestamp, status: EventStatus) {
    let mut tx = rig.store.begin().await.unwrap();
    let before = events::lock(&mut tx, event).await.unwrap().unwrap();
    let mut plan = before.plan.clone();
    plan.slot = slot(starts_at);
    assert!(events::update(&mut tx, (event, before.version), &plan, status, rig.clock.now()).await.unwrap());
    tx.commit().await.unwrap();
}

async fn keep(rig: &Rig, user: UserId, kept: Kept) {
    let mut tx = rig.store.begin().await.unwrap();
    preferences::keep(&mut tx, user, &kept, rig.clock.now()).await.unwrap().unwrap();
    tx.commit().await.unwrap();
}

/// Whom a reminder reached over their socket, once it is planned; `None`: there is none.
async fn reminded(rig: &Rig, id: NotificationId) -> Vec<String> {
    rig.until("it is planned and published", async || {
        let found = notifications::find(&rig.store, id).await.unwrap();
        let planned = found.is_some_and(|one| one.planned_at.is_some());
        planned && rig.counts(id).await.of(Channel::Socket, DeliveryState::Queued) == 0
    })
    .await;
    let published = rig.published().await;
    let has = |messages: &Vec<serde_json::Value>| {
        let of_it = messages.iter().filter(|one| one["notification_id"] == id.to_string());
        of_it.count() == 1
    };
    let mut topics: Vec<String> = published
        .into_iter()
        .filter(|(topic, messages)| topic.starts_with("user:") && has(messages))
        .map(|(topic, _)| topic)
        .collect();
    topics.sort();
    topics
}

async fn reminders_come_once_to_who_chose_their_time_and_follow_the_programme(mut rig: Rig) {
    let users = rig.people(4).await;
    let start = rig.clock.now() + 70 * MINUTE;
    let event = concert(&rig, &users, start).await;
    keep(&rig, users[2], Kept { reminder_minutes: Some(Vec::new()), ..Kept::default() }).await;
    let mut tx = rig.store.begin().await.unwrap();
    preferences::set_star_minutes(&mut tx, users[1], event, Some(&[60])).await.unwrap();
    tx.commit().await.unwrap();
    rig.start().await;
    let first = std::mem::take(rig.life_mut());
    rig.start().await; // beside the first process
    let id = |starts_at, minutes| NotificationId::of_reminder(event, starts_at, minutes);
    let topic = |index: usize| format!("user:{}", users[index]);

    rig.forward(10 * MINUTE);
    assert_eq!(reminded(&rig, id(start, 60)).await, [topic(1)]);
    rig.forward(30 * MINUTE);
    assert_eq!(reminded(&rig, id(start, 30)).await, [topic(0), topic(3)]);
    rig.kill().await;
    first.abort().cancel();
    first.finished().await;
    rig.start().await;

    let later = start + 2 * HOUR;
    change(&rig, event, later, EventStatus::Published).await;
    rig.until("what was made for the old start is withdrawn", async || {
        let found = notifications::find(&rig.store, id(start, 30)).await.unwrap().unwrap();
        found.cancelled_at.is_some()
    })
    .await;
    rig.forward(20 * MINUTE); // ten minutes before the start that was
    rig.forward(100 * MINUTE);
    assert_eq!(reminded(&rig, id(later, 30)).await, [topic(0), topic(3)]);
    for gone in [id(start, 10), id(later, 120), id(later, 5)] {
        assert_eq!(notifications::find(&rig.store, gone).await.unwrap(), None);
    }
    change(&rig, event, later, EventStatus::Cancelled).await;
    rig.until("a cancelled event reminds nobody", async || {
        notifications::find(&rig.store, id(later, 30)).await.unwrap().unwrap().cancelled_at.is_some()
    })
    .await;
    rig.forward(20 * MINUTE);
    rig.until("the clock is looked at again", async || {
        store::reminders::overtaken(&rig.store, rig.clock.now(), 10).await.unwrap().is_empty()
    })
    .await;
    assert_eq!(notifications::find(&rig.store, id(later, 10)).await.unwrap(), None);
    rig.stop().await;
}

async fn quiet_hours_wait_preferences_suppress_and_emergencies_ask_nobody(mut rig: Rig) {
    let users = rig.people(3).await;
    let minute = |at: Timestamp| u16::try_from(at.as_second().rem_euclid(86_400) / 60).unwrap();
    let now = rig.clock.now();
    let quiet = Some((minute(now - HOUR), minute(now + HOUR)));
    keep(&rig, users[0], Kept { quiet, time_zone: "UTC".to_owned(), ..Kept::default() }).await;
    let choices = serde_json::from_str(r#"{"announcements":{"apns":false}}"#).unwrap();
    keep(&rig, users[1], Kept { choices, promotions_since: Some(now), ..Kept::default() }).await;
    rig.config.preferences.promotions_opt_in = true;
    rig.config.preferences.promotional_cap = 1;
    rig.start().await;
    let standard = rig.announce(Lane::Standard, 4 * HOUR).await;
    let apns = |counts: &crate::rig::Counts, state| counts.of(Channel::Apns, state);
    rig.until_counts(standard, 12, |counts| apns(counts, DeliveryState::Accepted) == 1).await;
    let counts = rig.until_counts(standard, 12, |counts| counts.under_way() == 3).await;
    assert_eq!(apns(&counts, DeliveryState::Queued), 1, "it waits: {counts:?}");
    assert_eq!(apns(&counts, DeliveryState::Suppressed), 1, "it is not wanted: {counts:?}");
    assert_eq!(counts.of(Channel::Socket, DeliveryState::Accepted), 3, "a socket makes no noise: {counts:?}");
    let short = rig.announce(Lane::Standard, 10 * MINUTE).await;
    let counts = rig.until_counts(short, 12, |counts| counts.sum() == 12 && counts.under_way() == 0).await;
    assert_eq!(apns(&counts, DeliveryState::Suppressed), 2, "it would be over by then: {counts:?}");
    let emergency = rig.announce(Lane::Emergency, HOUR / 2).await;
    let everything = |counts: &crate::rig::Counts| counts.of(Channel::Apns, DeliveryState::Accepted) == 3;
    rig.until_counts(emergency, 12, everything).await;
    rig.withdraw(emergency).await;
    let promotion = rig.announce(Lane::Promotional, 4 * HOUR).await;
    let counts = rig.until_counts(promotion, 9, |counts| counts.sum() == 9).await;
    assert_eq!(counts.of(Channel::Socket, DeliveryState::Suppressed), 2, "one consented: {counts:?}");
    let another = rig.announce(Lane::Promotional, 4 * HOUR).await;
    let counts = rig.until_counts(another, 9, |counts| counts.sum() == 9).await;
    assert_eq!(counts.of(Channel::Socket, DeliveryState::Suppressed), 3, "one a day is enough: {counts:?}");
    rig.forward(HOUR + 15 * MINUTE);
    rig.until_counts(standard, 12, |counts| apns(counts, DeliveryState::Accepted) == 2).await;
    rig.stop().await;
}

async fn a_schedule_has_its_turn_once_whoever_is_killed(mut rig: Rig) {
    let users = rig.people(2).await;
    let now = rig.clock.now();
    let plan = Plan {
        lane: Lane::Standard,
        title: LocalizedText::english("Gates"),
        body: LocalizedText::english("are open"),
        audience: Audience::Everyone,
        ttl_seconds: 86_400,
        first_local: now.to_string()[..19].to_owned(),
        time_zone: "UTC".to_owned(),
        recurrence: Some("FREQ=DAILY;UNTIL=21991231T000000Z".to_owned()),
    };
    let mut tx = rig.store.begin().await.unwrap();
    let schedule = schedules::insert(&mut tx, &plan, now, users[0], now).await.unwrap();
    tx.commit().await.unwrap();
    for turn in 1..=3_i64 {
        rig.start().await;
        let first = std::mem::take(rig.life_mut());
        rig.start().await; // beside the first process
        rig.until("it had its turn", async || {
            schedules::find(&rig.store, schedule.id).await.unwrap().unwrap().sent == turn
        })
        .await;
        rig.kill().await;
        first.abort().cancel();
        first.finished().await;
        let made = store::announcements::list(&rig.store, None, 10).await.unwrap();
        assert_eq!(i64::try_from(made.len()).unwrap(), turn, "each turn is one announcement");
        rig.forward(24 * HOUR);
    }
    let found = schedules::find(&rig.store, schedule.id).await.unwrap().unwrap();
    assert_eq!((found.sent, found.missed), (3, 0));
}

async fn a_digest_is_one_mail_with_what_was_not_read(mut rig: Rig) {
    let users = rig.people(2).await;
    rig.config.planner.email_announcement_lanes = vec![Lane::Emergency];
    rig.start().await;
    let news = [rig.announce(Lane::Standard, 48 * HOUR).await, rig.announce(Lane::Standard, 48 * HOUR).await];
    for id in news {
        rig.until_counts(id, 6, |counts| counts.sum() == 6 && counts.under_way() == 0).await;
    }
    let read = rig.socket_messages(news[0]).await.iter().map(crate::rig::delivery_id).collect::<Vec<_>>();
    rig.confirm(&read, "delivered").await;
    rig.until_counts(news[0], 6, |counts| counts.of(Channel::Socket, DeliveryState::Delivered) == 2).await;
    let due = rig.clock.now() + 6 * HOUR;
    let minute = u16::try_from(due.as_second().rem_euclid(86_400) / 60).unwrap();
    let kept = Kept {
        digest_at: Some(due),
        digest_minute: Some(minute),
        time_zone: "UTC".to_owned(),
        ..Kept::default()
    };
    keep(&rig, users[0], kept).await;
    assert!(rig.email.sent().is_empty());
    rig.forward(6 * HOUR + MINUTE);
    rig.until("the digest is mailed", async || !rig.email.sent().is_empty()).await;
    let id = NotificationId::of_digest(users[0], due);
    let counts =
        rig.until_counts(id, 1, |counts| counts.of(Channel::Email, DeliveryState::Accepted) == 1).await;
    assert_eq!(counts.sum(), 1);
    assert_eq!(rig.email.sent()[0].title, "رسالة واحدة لم تقرأها");
    let next = preferences::of_users(&rig.store, &users).await.unwrap()[&users[0]].digest_at.unwrap();
    assert!(next > rig.clock.now() && next.since(due) <= 24 * HOUR);
    rig.stop().await;
}

async fn dead_letters_go_again_with_their_next_attempt(mut rig: Rig) {
    rig.people(3).await;
    rig.apns.script("apns-1", &[Action::Retry, Action::Retry, Action::Retry]);
    rig.apns.script("apns-2", &[Action::FixMessage]);
    rig.config.sweeper.orphan_ms = 100;
    rig.start().await;
    let id = rig.announce(Lane::Standard, HOUR).await;
    let apns = |counts: &crate::rig::Counts, state| counts.of(Channel::Apns, state);
    rig.until_counts(id, 12, |counts| {
        apns(counts, DeliveryState::Dead) == 1 && apns(counts, DeliveryState::Failed) == 1
    })
    .await;
    let now = rig.clock.now();
    let filter =
        deliveries::DeadFilter { since: now - HOUR, cause: None, channel: Some(Channel::Apns), lane: None };
    let groups = deliveries::dead_groups(&rig.store, &filter, now).await.unwrap();
    assert_eq!(
        groups.iter().map(|one| (one.deliveries, one.redrivable)).collect::<Vec<_>>(),
        [(1, 1), (1, 1)]
    );
    let letters = deliveries::dead_letters(&rig.store, &filter, None, 10).await.unwrap();
    let ids: Vec<_> = letters.iter().map(|one| one.id).collect();
    for moved in [2, 0] {
        let mut tx = rig.store.begin().await.unwrap();
        let moves = deliveries::redrive(&mut tx, &ids, rig.clock.now()).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(moves.len(), moved, "again, nothing is dead any more");
    }
    rig.until_counts(id, 12, |counts| apns(counts, DeliveryState::Accepted) == 3).await;
    let attempts = |target: &str| {
        rig.apns.sent().iter().filter(|one| one.target == target).map(|one| one.attempt).collect::<Vec<_>>()
    };
    assert_eq!((attempts("apns-1"), attempts("apns-2")), (vec![1, 2, 3, 4], vec![1, 2]));
    rig.stop().await;
}
