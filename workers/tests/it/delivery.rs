//! From a change to final states, over every channel.

use std::time::Duration;

use domain::{
    Action, Aspect, ChangeKind, Channel, DeliveryState, EventId, EventSnapshot, Lane, LocalizedText, VenueId,
    VenueSnapshot,
};
use store::lane_pauses;

use crate::rig::{Rig, at, delivery_id};

on_both_backends!(
    an_announcement_reaches_every_channel_and_is_confirmed,
    every_action_has_its_path,
    a_wrong_configuration_pauses_the_lane_and_burns_nobody,
    what_is_not_proved_by_its_deadline_expires,
    a_withdrawn_announcement_ends_what_has_not_left,
    a_moved_event_is_told_to_nobody_without_a_star,
    receipts_in_the_wrong_order_end_at_the_highest,
);

const HOUR: Duration = Duration::from_hours(1);

async fn an_announcement_reaches_every_channel_and_is_confirmed(mut rig: Rig) {
    rig.people(25).await;
    rig.start().await;
    let id = rig.announce(Lane::Standard, HOUR).await;
    rig.until_counts(id, 100, |counts| {
        Channel::ALL
            .into_iter()
            .filter(|one| *one != Channel::Webpush)
            .all(|channel| counts.of(channel, DeliveryState::Accepted) == 25)
    })
    .await;
    let sent = rig.apns.sent();
    assert_eq!(sent.len(), 25);
    assert!(sent.iter().all(|one| one.title == "Storm"), "in the language of the device");
    assert!(rig.email.sent().iter().all(|one| one.title == "عاصفة"), "in the language of the user");
    let messages = rig.socket_messages(id).await;
    assert_eq!(messages.len(), 25);
    for message in &messages {
        assert!(rig.key.verifies(delivery_id(message), message["receipt_code"].as_str().unwrap()));
    }
    let confirmed: Vec<_> = messages.iter().map(delivery_id).collect();
    rig.confirm(&confirmed, "delivered").await;
    rig.until_counts(id, 100, |counts| counts.of(Channel::Socket, DeliveryState::Delivered) == 25).await;
    rig.until("the organizers see it", async || {
        let published = rig.published().await;
        published.get("staff:notifications").is_some_and(|counts| {
            let last = counts.last().unwrap();
            last["recipients"] == 25
                && last["deliveries"] == 100
                && last["by_state"]["delivered"] == 25
                && last["by_channel"]["apns"]["accepted"] == 25
        })
    })
    .await;
    rig.stop().await;
}

async fn every_action_has_its_path(mut rig: Rig) {
    use Action::{DropTarget, FixMessage, Quarantine, Retry, Unknown};
    rig.people(8).await;
    rig.apns.script("apns-1", &[Retry, Retry]);
    rig.apns.script("apns-2", &[Retry, Retry, Retry]);
    rig.apns.script("apns-3", &[Unknown]);
    rig.apns.script("apns-4", &[DropTarget]);
    rig.apns.script("apns-5", &[Quarantine]);
    rig.apns.script("apns-6", &[FixMessage]);
    rig.apns.ask_to_wait("apns-7", 2 * HOUR);
    rig.start().await;
    let id = rig.announce(Lane::Standard, HOUR).await;
    let counts = rig.until_counts(id, 32, |counts| counts.sum() == 32 && counts.under_way() == 0).await;
    let apns = |state| counts.of(Channel::Apns, state);
    assert_eq!(apns(DeliveryState::Accepted), 3, "two retries, one without verdict, one at once");
    assert_eq!(apns(DeliveryState::Dead), 1);
    assert_eq!(apns(DeliveryState::Failed), 3);
    assert_eq!(apns(DeliveryState::Expired), 1, "the provider asked for more time than there is");
    let attempts = |target: &str| {
        rig.apns.sent().iter().filter(|one| one.target == target).map(|one| one.attempt).collect::<Vec<_>>()
    };
    assert_eq!(attempts("apns-1"), [1, 2, 3]);
    assert_eq!(attempts("apns-2"), [1, 2, 3], "the third was the last permitted");
    assert_eq!(attempts("apns-3"), [1, 2]);
    assert_eq!(attempts("apns-4"), [1]);
    let next = rig.announce(Lane::Standard, HOUR).await;
    let counts = rig.until_counts(next, 30, |counts| counts.sum() == 30 && counts.under_way() == 0).await;
    assert_eq!(
        counts.of(Channel::Apns, DeliveryState::Accepted),
        6,
        "the retired and the quarantined target are left out"
    );
    rig.stop().await;
}

async fn a_wrong_configuration_pauses_the_lane_and_burns_nobody(mut rig: Rig) {
    rig.people(30).await;
    rig.apns.misconfigure(true);
    rig.start().await;
    let id = rig.announce(Lane::Standard, HOUR).await;
    rig.until("the lane is paused", async || !lane_pauses::list(&rig.store).await.unwrap().is_empty()).await;
    let pause = lane_pauses::list(&rig.store).await.unwrap().remove(0);
    assert_eq!((pause.channel, pause.lane, &*pause.reason), (Channel::Apns, Lane::Standard, "scripted"));
    rig.until_counts(id, 120, |counts| counts.of(Channel::Fcm, DeliveryState::Accepted) == 30).await;
    let probes = |sent: usize| rig.apns.sent().len() >= sent;
    let before = rig.apns.sent().len();
    rig.until("it is tried again", async || probes(before + 2)).await;
    let counts = rig.counts(id).await;
    let waits = [DeliveryState::Queued, DeliveryState::Waiting, DeliveryState::Sending];
    assert_eq!(waits.map(|state| counts.of(Channel::Apns, state)).iter().sum::<u64>(), 30, "{counts:?}");
    rig.apns.misconfigure(false);
    rig.until_counts(id, 120, |counts| counts.of(Channel::Apns, DeliveryState::Accepted) == 30).await;
    assert!(lane_pauses::list(&rig.store).await.unwrap().is_empty());
    rig.stop().await;
}

async fn what_is_not_proved_by_its_deadline_expires(mut rig: Rig) {
    rig.people(5).await;
    rig.start().await;
    let id = rig.announce(Lane::Standard, Duration::from_secs(3)).await;
    rig.until_counts(id, 20, |counts| counts.sum() == 20 && counts.under_way() == 0).await;
    let proved: Vec<_> = rig.socket_messages(id).await.iter().take(2).map(delivery_id).collect();
    rig.confirm(&proved, "opened").await;
    let counts = rig
        .until_counts(id, 20, |counts| {
            counts.of(Channel::Apns, DeliveryState::Expired) == 5
                && counts.of(Channel::Fcm, DeliveryState::Expired) == 5
                && counts.of(Channel::Socket, DeliveryState::Expired) == 3
        })
        .await;
    assert_eq!(counts.of(Channel::Socket, DeliveryState::Opened), 2);
    assert_eq!(counts.of(Channel::Email, DeliveryState::Accepted), 5, "a mail in the mailbox stays there");
    rig.stop().await;
}

async fn a_withdrawn_announcement_ends_what_has_not_left(mut rig: Rig) {
    rig.people(20).await;
    rig.apns = std::sync::Arc::new(crate::gateway::Scripted::held());
    rig.config.deliver.apns.batch = 5;
    rig.config.deliver.apns.concurrency = 5;
    rig.start().await;
    let id = rig.announce(Lane::Standard, HOUR).await;
    rig.until_counts(id, 80, |counts| counts.of(Channel::Apns, DeliveryState::Sending) == 5).await;
    rig.withdraw(id).await;
    rig.until("the rest is withdrawn", async || {
        rig.counts(id).await.of(Channel::Apns, DeliveryState::Cancelled) >= 15
    })
    .await;
    rig.apns.let_pass(1_000);
    rig.until("nothing is under way", async || rig.counts(id).await.under_way() == 0).await;
    let counts = rig.counts(id).await;
    assert_eq!(counts.sum(), 80);
    assert!(rig.apns.sent().len() <= 10, "what was withdrawn did not leave: {}", rig.apns.sent().len());
    rig.stop().await;
}

async fn a_moved_event_is_told_to_nobody_without_a_star(mut rig: Rig) {
    rig.people(3).await;
    rig.start().await;
    let event = |starts_at: &str| EventSnapshot {
        id: EventId(17),
        version: 2,
        status: "published".to_owned(),
        title: LocalizedText::english("Concert"),
        venue: VenueSnapshot { id: VenueId(5), name: LocalizedText::english("Stage"), capacity: None },
        starts_at: at(starts_at),
        ends_at: at("2126-07-18T19:00:00Z"),
        time_zone: "Africa/Cairo".to_owned(),
    };
    let change = rig
        .change(ChangeKind::Event {
            event: Box::new(event("2126-07-18T18:00:00Z")),
            previous: Some(Box::new(event("2126-07-18T17:00:00Z"))),
            aspects: vec![Aspect::Moved],
        })
        .await;
    let id = domain::NotificationId::of(change.id);
    rig.until("it is planned", async || {
        let found = store::notifications::find(&rig.store, id).await.unwrap();
        found.is_some_and(|one| one.planned_at.is_some())
    })
    .await;
    assert_eq!(rig.counts(id).await.sum(), 0);
    let published = rig.published().await;
    for topic in ["event:17", "venue:5", "festival"] {
        assert_eq!(published[topic][0]["type"], "event.moved", "{topic}");
    }
    rig.stop().await;
}

async fn receipts_in_the_wrong_order_end_at_the_highest(mut rig: Rig) {
    rig.people(4).await;
    rig.start().await;
    let id = rig.announce(Lane::Transactional, HOUR).await;
    rig.until_counts(id, 16, |counts| counts.of(Channel::Socket, DeliveryState::Accepted) == 4).await;
    let all: Vec<_> = rig.socket_messages(id).await.iter().map(delivery_id).collect();
    rig.confirm(&all, "opened").await;
    rig.until_counts(id, 16, |counts| counts.of(Channel::Socket, DeliveryState::Opened) == 4).await;
    rig.confirm(&all, "delivered").await;
    let unknown = domain::DeliveryId::of(id, domain::UserId(999), Channel::Socket, "x");
    rig.confirm(&[unknown], "delivered").await;
    rig.until("the queue is empty", async || {
        let stats = rig.queue.stats(&streams::QueueName("receipts".into())).await.unwrap();
        stats.ready + stats.claimed == 0
    })
    .await;
    assert_eq!(rig.counts(id).await.of(Channel::Socket, DeliveryState::Opened), 4);
    rig.stop().await;
}
