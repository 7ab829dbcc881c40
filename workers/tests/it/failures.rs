//! Jobs that are killed at any moment.

use std::collections::HashMap;
use std::time::Duration;

use domain::{Channel, DeliveryState, Lane};

use crate::rig::Rig;

on_both_backends!(
    killed_at_any_moment_every_delivery_ends_and_none_is_doubled,
    work_that_is_in_no_queue_is_found
);

const HOUR: Duration = Duration::from_hours(1);

async fn killed_at_any_moment_every_delivery_ends_and_none_is_doubled(mut rig: Rig) {
    rig.people(40).await;
    let mut ids = Vec::new();
    for round in 0..12_u64 {
        rig.start().await;
        ids.push(rig.announce(if round % 2 == 0 { Lane::Standard } else { Lane::Emergency }, HOUR).await);
        let moment = Duration::from_micros(rand::random_range(0..120_000));
        tokio::time::sleep(moment).await; // the moment of the crash, not a wait for something
        rig.kill().await;
    }
    rig.start().await;
    for id in &ids {
        let counts =
            rig.until_counts(*id, 160, |counts| counts.sum() == 160 && counts.under_way() == 0).await;
        for channel in [Channel::Socket, Channel::Apns, Channel::Fcm, Channel::Email] {
            assert_eq!(counts.of(channel, DeliveryState::Accepted), 40, "{channel}: {counts:?}");
        }
        assert_eq!(rig.socket_messages(*id).await.len(), 40, "each socket heard of it once");
    }
    let mut attempts: HashMap<_, Vec<u32>> = HashMap::new();
    for one in rig.apns.sent() {
        attempts.entry(one.delivery_id).or_default().push(one.attempt);
    }
    assert_eq!(attempts.len(), 40 * ids.len());
    for numbers in attempts.values() {
        let ordered = numbers.windows(2).all(|pair| pair[0] < pair[1]);
        assert!(ordered, "every repetition was recorded as one: {numbers:?}");
    }
    rig.stop().await;
}

async fn work_that_is_in_no_queue_is_found(mut rig: Rig) {
    rig.people(5).await;
    rig.apns = std::sync::Arc::new(crate::gateway::Scripted::held());
    rig.config.sweeper.orphan_ms = 100;
    rig.start().await;
    let id = rig.announce(Lane::Standard, HOUR).await;
    rig.until_counts(id, 20, |counts| counts.of(Channel::Apns, DeliveryState::Sending) == 5).await;
    rig.kill().await;
    // as if the queue had lost its items: they are acknowledged although nothing was sent
    let queue = streams::QueueName("deliver.apns.standard".into());
    rig.until("the item can be taken", async || {
        let lease = Duration::from_mins(1);
        let items = rig.queue.claim(&queue, 10, lease, Duration::ZERO).await.unwrap();
        let ids: Vec<Box<str>> = items.into_iter().map(|item| item.id).collect();
        rig.queue.acknowledge(&queue, &ids).await.unwrap();
        !ids.is_empty()
    })
    .await;
    rig.apns.let_pass(1_000);
    rig.start().await;
    rig.until_counts(id, 20, |counts| counts.of(Channel::Apns, DeliveryState::Accepted) == 5).await;
    rig.stop().await;
}
