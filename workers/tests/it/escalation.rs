//! Step by step until there is proof, and what takes the place of what.

use std::sync::Arc;
use std::time::Duration;

use domain::{Audience, Channel, DeliveryState, Lane, UserId};
use store::{coverage, notifications, recount};
use workers::Steps;

use crate::gateway::Scripted;
use crate::rig::{Rig, delivery_id};

on_both_backends!(
    a_proof_ends_the_steps_that_are_to_come_and_a_crash_does_not,
    an_update_withdraws_what_waits_and_takes_the_place_of_what_is_shown,
);

const HOUR: Duration = Duration::from_hours(1);

async fn a_proof_ends_the_steps_that_are_to_come_and_a_crash_does_not(mut rig: Rig) {
    rig.people(4).await;
    rig.config.escalation.emergency =
        Steps { push_after_ms: 0, next_device_after_ms: 4_000, email_after_ms: 6_000 };
    rig.start().await;
    let id = rig.announce(Lane::Emergency, HOUR).await;
    rig.until_counts(id, 16, |counts| counts.of(Channel::Socket, DeliveryState::Accepted) == 4).await;
    let messages = rig.socket_messages(id).await;
    let proved: Vec<_> = messages.iter().take(2).map(delivery_id).collect();
    rig.confirm(&proved, "delivered").await;
    let superseded = |counts: &crate::rig::Counts| {
        counts.of(Channel::Apns, DeliveryState::Superseded)
            + counts.of(Channel::Email, DeliveryState::Superseded)
    };
    let counts = rig.until_counts(id, 16, |counts| superseded(counts) == 4).await;
    let phones =
        counts.of(Channel::Fcm, DeliveryState::Accepted) + counts.of(Channel::Fcm, DeliveryState::Superseded);
    assert!(phones <= 4 && rig.email.sent().is_empty(), "the later steps wait: {counts:?}");
    rig.kill().await;
    rig.start().await;
    let counts = rig
        .until_counts(id, 16, |counts| {
            counts.of(Channel::Apns, DeliveryState::Accepted) == 2
                && counts.of(Channel::Email, DeliveryState::Accepted) == 2
        })
        .await;
    assert_eq!(superseded(&counts), 4, "who proved it is left in peace");
    assert_eq!((rig.apns.sent().len(), rig.email.sent().len()), (2, 2));
    rig.until("the board is kept at its first mark", async || {
        let marks = coverage::marks(&rig.store, id).await.unwrap();
        marks.first().is_some_and(|mark| mark.after_seconds == 5 && mark.people["proven"] == 2)
    })
    .await;
    rig.until("the organizers see the board", async || {
        let published = rig.published().await;
        published.get("staff:coverage").and_then(|all| all.last()).is_some_and(|last| {
            last["coverage"]["people"] == serde_json::json!({ "accepted": 2, "proven": 2 })
                && last["coverage"]["audience"] == 4
        })
    })
    .await;
    let found = recount::recount(&rig.store, id).await.unwrap();
    assert_eq!((found.told, found.deliveries, found.people), (Vec::new(), 16, 4));
    rig.stop().await;
}

async fn an_update_withdraws_what_waits_and_takes_the_place_of_what_is_shown(mut rig: Rig) {
    let users = rig.people(3).await;
    rig.apns = Arc::new(Scripted::held());
    rig.start().await;
    let two: Vec<UserId> = users[..2].to_vec();
    let first = rig.announce_as(Lane::Emergency, HOUR, Audience::Users { user_ids: two }, None).await;
    rig.until_counts(first, 8, |counts| {
        counts.of(Channel::Fcm, DeliveryState::Accepted) == 2
            && counts.of(Channel::Apns, DeliveryState::Sending) == 2
    })
    .await;
    let reached = Audience::Reached { notification_id: first };
    let update = rig.announce_as(Lane::Emergency, HOUR, reached, Some(first)).await;
    rig.until("the update is planned", async || {
        let found = notifications::find(&rig.store, update).await.unwrap();
        found.is_some_and(|one| one.planned_at.is_some() && one.recipients == 2)
    })
    .await;
    assert!(notifications::find(&rig.store, first).await.unwrap().unwrap().cancelled_at.is_some());
    rig.apns.let_pass(100);
    rig.until_counts(update, 8, |counts| counts.under_way() == 0 && counts.sum() == 8).await;
    for gateway in [&rig.apns, &rig.fcm] {
        let sent = gateway.sent();
        let updates: Vec<_> = sent.iter().filter(|one| one.notification_id == update).collect();
        assert_eq!(updates.len(), 2);
        assert!(sent.iter().all(|one| one.thread_id == first), "one takes the place of the other: {sent:?}");
    }
    rig.stop().await;
}
