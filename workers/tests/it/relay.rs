//! From a commit to the log.

use std::time::Duration;

use domain::{ChangeKind, LocalizedText, Revocation, RevocationReason, UserId, VenueId, VenueSnapshot};
use tokio::time::Instant;

use crate::rig::Rig;

on_both_backends!(
    changes_are_published_in_order_and_the_outbox_is_emptied,
    a_change_too_large_for_the_log_holds_up_nothing,
    two_processes_publish_each_change_once,
    a_revocation_reaches_the_control_topic_and_no_planner,
);

fn venue(capacity: i64) -> ChangeKind {
    ChangeKind::Venue {
        venue: VenueSnapshot {
            id: VenueId(5),
            name: LocalizedText::english("Stage"),
            capacity: Some(capacity),
        },
        deleted: false,
    }
}

async fn capacities(rig: &Rig) -> Vec<i64> {
    let published = rig.published().await;
    let of_venue = published.get("venue:5").cloned().unwrap_or_default();
    of_venue.iter().map(|message| message["venue"]["capacity"].as_i64().unwrap()).collect()
}

async fn changes_are_published_in_order_and_the_outbox_is_emptied(mut rig: Rig) {
    for number in 0..20 {
        rig.change(venue(number)).await;
    }
    rig.start().await;
    for number in 20..40 {
        rig.change(venue(number)).await;
    }
    rig.until("all are published", async || capacities(&rig).await.len() == 40).await;
    assert_eq!(capacities(&rig).await, (0..40).collect::<Vec<_>>());
    rig.until("the outbox is empty", async || store::outbox::backlog(&rig.store).await.unwrap().rows == 0)
        .await;
    rig.stop().await;
}

async fn a_change_too_large_for_the_log_holds_up_nothing(mut rig: Rig) {
    rig.change(venue(1)).await;
    rig.change(ChangeKind::Venue {
        venue: VenueSnapshot {
            id: VenueId(5),
            name: LocalizedText::english("long ".repeat(300_000)),
            capacity: Some(2),
        },
        deleted: false,
    })
    .await;
    rig.change(venue(3)).await;
    rig.start().await;
    rig.until("the last is published", async || {
        let published = rig.published().await;
        published.get("venue:5").is_some_and(|messages| messages.len() == 3)
    })
    .await;
    let messages = rig.published().await.remove("venue:5").unwrap();
    assert_eq!((&messages[1]["type"], &messages[1]["truncated"]), (&"venue.changed".into(), &true.into()));
    assert_eq!(messages[2]["venue"]["capacity"], 3);
    rig.stop().await;
}

async fn two_processes_publish_each_change_once(mut rig: Rig) {
    rig.start().await;
    let first = std::mem::take(rig.life_mut());
    rig.start().await;
    for number in 0..30 {
        rig.change(venue(number)).await;
        if number == 15 {
            first.abort().cancel(); // one of them dies
        }
    }
    rig.until("all are published", async || capacities(&rig).await.len() == 30).await;
    assert_eq!(capacities(&rig).await, (0..30).collect::<Vec<_>>());
    rig.stop().await;
}

on_both_backends_ignored!(a_commit_is_in_the_log_within_ten_milliseconds);

/// A measurement for an idle machine: `cargo test -p workers --release -- --ignored --nocapture --test-threads 1`.
async fn a_commit_is_in_the_log_within_ten_milliseconds(mut rig: Rig) {
    rig.start().await;
    let mut spans = Vec::new();
    for number in 0..500 {
        let topic = domain::Topic::venue(VenueId(5));
        let partition = rig.log.partition_of(&topic);
        let state = rig.log.state(partition).await.unwrap();
        let cursor = streams::Cursor { partition, epoch: state.epoch, after: state.last };
        rig.change(venue(number)).await;
        let committed_at = Instant::now();
        rig.log.read(&[cursor], 1, Duration::from_secs(5)).await.unwrap();
        spans.push(committed_at.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await; // idle between two changes
    }
    spans.sort();
    println!("commit -> log: p50 {:?}, p99 {:?}, max {:?}", spans[250], spans[495], spans[499]);
    assert!(spans[495] < Duration::from_millis(10), "p99 {:?}", spans[495]);
    rig.stop().await;
}

/// Goal: the nodes hear what they need and no more; nobody is notified.
async fn a_revocation_reaches_the_control_topic_and_no_planner(mut rig: Rig) {
    rig.start().await;
    let revocations = [
        Revocation::Session { session: "a".to_owned(), user_id: UserId(1) },
        Revocation::User { user_id: UserId(1), reason: RevocationReason::Blocked, except: None },
    ];
    for revocation in revocations {
        rig.change(ChangeKind::Revocation { revocation }).await;
    }
    rig.until("both are published", async || {
        rig.published().await.get("$control").is_some_and(|messages| messages.len() == 2)
    })
    .await;
    let messages = rig.published().await.remove("$control").unwrap();
    assert_eq!((&messages[0]["type"], &messages[0]["session"]), (&"session.revoked".into(), &"a".into()));
    assert_eq!((&messages[1]["type"], &messages[1]["user_id"]), (&"user.revoked".into(), &1.into()));
    assert!(messages.iter().all(|message| message["at"].is_string()));
    assert!(rig.publications().await.iter().all(|publication| publication.change.is_none()));
    rig.stop().await;
}
