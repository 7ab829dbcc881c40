//! What every work queue promises.

use std::time::Duration;

use bytes::Bytes;
use domain::Clock;
use streams::{Claimed, NewItem, QueueName, StreamsError, WorkQueue};
use tokio::time::{Instant, sleep};

use crate::backend::{Backend, PATIENCE, Streams, WallClock, ids, item, on_every_backend, queue};

on_every_backend! {
    items_are_claimed_in_order_and_acknowledged
    a_pushed_id_is_in_the_queue_once
    an_expired_lease_is_claimed_again_first
    a_delayed_item_waits_for_its_time
    a_retry_replaces_the_body_and_waits
    late_words_about_ended_items_change_nothing
    a_waiting_claim_is_woken
    an_empty_wait_claims_nothing
    a_full_queue_refuses_and_keeps_what_it_has
    too_large_items_are_refused
    queues_are_apart
    consumers_share_the_work_without_overlap
}

const LONG: Duration = Duration::from_mins(1);

async fn claim(queues: &WorkQueue, name: &QueueName, count: usize) -> Vec<Claimed> {
    queues.claim(name, count, LONG, Duration::ZERO).await.unwrap()
}

fn names(claimed: &[Claimed]) -> Vec<&str> {
    claimed.iter().map(|item| &*item.id).collect()
}

async fn items_are_claimed_in_order_and_acknowledged(backend: Backend) {
    let streams = Streams::of(backend).await;
    let queues = &streams.queues;
    let name = queue("deliver.apns.emergency");
    let before = WallClock.now();
    queues.push(&name, &[item("1"), item("2")]).await.unwrap();
    queues.push(&name, &[item("3")]).await.unwrap();
    let stats = queues.stats(&name).await.unwrap();
    assert_eq!((stats.ready, stats.delayed, stats.claimed), (3, 0, 0));
    let oldest_at = stats.oldest_at.unwrap();
    assert!(oldest_at >= before - Duration::from_millis(5) && oldest_at <= WallClock.now());

    let claimed = claim(queues, &name, 2).await;
    assert_eq!(names(&claimed), ["1", "2"]);
    assert_eq!((&claimed[0].body[..], claimed[0].claims), (&b"body of 1"[..], 1));
    let stats = queues.stats(&name).await.unwrap();
    assert_eq!((stats.ready, stats.claimed, stats.oldest_at), (1, 2, Some(oldest_at)));

    queues.acknowledge(&name, &ids(&["1", "2"])).await.unwrap();
    assert_eq!(names(&claim(queues, &name, 2).await), ["3"]);
    queues.acknowledge(&name, &ids(&["3"])).await.unwrap();
    assert_eq!(queues.stats(&name).await.unwrap(), streams::QueueStats::default());
    assert!(claim(queues, &name, 2).await.is_empty());
}

async fn a_pushed_id_is_in_the_queue_once(backend: Backend) {
    let streams = Streams::of(backend).await;
    let queues = &streams.queues;
    let name = queue("receipts");
    queues.push(&name, &[item("1"), item("1"), item("2")]).await.unwrap();
    let other = NewItem { body: Bytes::from_static(b"other"), ..item("1") };
    queues.push(&name, std::slice::from_ref(&other)).await.unwrap();
    let claimed = claim(queues, &name, 10).await;
    assert_eq!(names(&claimed), ["1", "2"]);
    assert_eq!(claimed[0].body, "body of 1");
    queues.push(&name, std::slice::from_ref(&other)).await.unwrap();
    assert!(claim(queues, &name, 10).await.is_empty(), "claimed items count, too");
    queues.acknowledge(&name, &ids(&["1"])).await.unwrap();
    queues.push(&name, &[other]).await.unwrap();
    let claimed = claim(queues, &name, 10).await;
    assert_eq!((&claimed[0].body[..], claimed[0].claims), (&b"other"[..], 1));
}

async fn an_expired_lease_is_claimed_again_first(backend: Backend) {
    let streams = Streams::of(backend).await;
    let queues = &streams.queues;
    let name = queue("q");
    queues.push(&name, &[item("1"), item("2"), item("3")]).await.unwrap();
    // a consumer that dies with two items
    let lost = queues.claim(&name, 2, Duration::from_millis(60), Duration::ZERO).await.unwrap();
    assert_eq!(names(&lost), ["1", "2"]);
    assert_eq!(names(&claim(queues, &name, 1).await), ["3"]);
    queues.push(&name, &[item("4")]).await.unwrap();
    let again = queues.claim(&name, 1, LONG, Duration::ZERO).await.unwrap();
    assert_eq!(names(&again), ["4"], "leases that have not run out hold");
    queues.push(&name, &[item("5")]).await.unwrap();
    until(async || queues.stats(&name).await.unwrap().ready == 3).await;
    let again = queues.claim(&name, 10, LONG, PATIENCE).await.unwrap();
    assert_eq!(names(&again), ["1", "2", "5"]);
    assert_eq!((again[0].claims, again[2].claims), (2, 1));
}

async fn a_delayed_item_waits_for_its_time(backend: Backend) {
    let streams = Streams::with(backend, |config| config.poll_ms = 10_000).await;
    let queues = &streams.queues;
    let name = queue("q");
    let at = WallClock.now() + Duration::from_millis(150);
    queues.push(&name, &[NewItem { not_before: Some(at), ..item("later") }, item("now")]).await.unwrap();
    let stats = queues.stats(&name).await.unwrap();
    assert_eq!((stats.ready, stats.delayed), (1, 1));
    assert_eq!(names(&claim(queues, &name, 10).await), ["now"]);
    let claimed = queues.claim(&name, 10, LONG, PATIENCE).await.unwrap();
    let late = WallClock.now().since(at);
    assert_eq!(names(&claimed), ["later"]);
    assert!(WallClock.now() >= at && late < Duration::from_secs(5), "claimed {late:?} after its time");
}

async fn a_retry_replaces_the_body_and_waits(backend: Backend) {
    let streams = Streams::of(backend).await;
    let queues = &streams.queues;
    let name = queue("q");
    queues.push(&name, &[item("1")]).await.unwrap();
    claim(queues, &name, 1).await;
    let at = WallClock.now() + Duration::from_millis(100);
    queues.retry(&name, "1", Bytes::from_static(b"rest"), at).await.unwrap();
    let stats = queues.stats(&name).await.unwrap();
    assert_eq!((stats.ready, stats.delayed, stats.claimed, stats.oldest_at), (0, 1, 0, None));
    queues.push(&name, &[item("1")]).await.unwrap();
    let claimed = queues.claim(&name, 10, LONG, PATIENCE).await.unwrap();
    assert!(WallClock.now() >= at);
    assert_eq!((names(&claimed), &claimed[0].body[..]), (vec!["1"], &b"rest"[..]));
    assert_eq!(claimed[0].claims, 2);
}

async fn late_words_about_ended_items_change_nothing(backend: Backend) {
    let streams = Streams::of(backend).await;
    let queues = &streams.queues;
    let name = queue("q");
    queues.acknowledge(&name, &ids(&["never"])).await.unwrap();
    queues.push(&name, &[item("1")]).await.unwrap();
    claim(queues, &name, 1).await;
    queues.acknowledge(&name, &ids(&["1"])).await.unwrap();
    queues.retry(&name, "1", Bytes::new(), WallClock.now()).await.unwrap();
    queues.acknowledge(&name, &ids(&["1"])).await.unwrap();
    assert_eq!(queues.stats(&name).await.unwrap(), streams::QueueStats::default());
}

async fn a_waiting_claim_is_woken(backend: Backend) {
    let streams = Streams::with(backend, |config| config.poll_ms = 10_000).await;
    let queues = &streams.queues;
    let name = queue("q");
    for number in 0..5 {
        let waiting = async {
            let claimed = queues.claim(&name, 1, LONG, PATIENCE).await.unwrap();
            (Instant::now(), claimed)
        };
        let pushing = async {
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            queues.push(&name, &[item(&number.to_string())]).await.unwrap();
            Instant::now()
        };
        let ((woken_at, claimed), pushed_at) = tokio::join!(biased; waiting, pushing);
        assert_eq!(claimed.len(), 1);
        assert!(woken_at.saturating_duration_since(pushed_at) < Duration::from_secs(2), "woken, not polled");
    }
}

async fn an_empty_wait_claims_nothing(backend: Backend) {
    let streams = Streams::of(backend).await;
    let queues = &streams.queues;
    let before = Instant::now();
    assert!(queues.claim(&queue("q"), 1, LONG, Duration::from_millis(50)).await.unwrap().is_empty());
    assert!(before.elapsed() >= Duration::from_millis(50));
}

async fn a_full_queue_refuses_and_keeps_what_it_has(backend: Backend) {
    let streams = Streams::with(backend, |config| config.queue_items_max = 3).await;
    let queues = &streams.queues;
    let name = queue("q");
    queues.push(&name, &[item("1"), item("2")]).await.unwrap();
    let error = queues.push(&name, &[item("3"), item("4")]).await.unwrap_err();
    assert!(matches!(&error, StreamsError::Full { queue, items_max: 3 } if **queue == *"q"), "{error}");
    assert_eq!(queues.stats(&name).await.unwrap().ready, 2, "all or none");
    queues.push(&name, &[item("1"), item("2"), item("3")]).await.unwrap();
    let claimed = claim(queues, &name, 10).await;
    assert_eq!(names(&claimed), ["1", "2", "3"]);
    assert!(queues.push(&name, &[item("4")]).await.is_err(), "claimed items take room, too");
    queues.acknowledge(&name, &ids(&["2"])).await.unwrap();
    queues.push(&name, &[item("4")]).await.unwrap();
}

async fn too_large_items_are_refused(backend: Backend) {
    let streams = Streams::of(backend).await;
    let queues = &streams.queues;
    let name = queue("q");
    let body = |bytes| Bytes::from(vec![b'x'; bytes]);
    let large = NewItem { body: body(WorkQueue::BODY_BYTES_MAX + 1), ..item("large") };
    let error = queues.push(&name, &[item("1"), large]).await.unwrap_err();
    assert!(matches!(error, StreamsError::TooLarge { .. }), "{error}");
    assert_eq!(queues.stats(&name).await.unwrap().ready, 0);
    let largest = NewItem { body: body(WorkQueue::BODY_BYTES_MAX), ..item("large") };
    queues.push(&name, &[largest]).await.unwrap();
    assert_eq!(claim(queues, &name, 1).await[0].body.len(), WorkQueue::BODY_BYTES_MAX);
    let too_large = body(WorkQueue::BODY_BYTES_MAX + 1);
    assert!(queues.retry(&name, "large", too_large, WallClock.now()).await.is_err());
}

async fn queues_are_apart(backend: Backend) {
    let streams = Streams::of(backend).await;
    let queues = &streams.queues;
    let (one, two) = (queue("deliver.fcm.standard"), queue("deliver.fcm.promotional"));
    queues.push(&one, &[item("1")]).await.unwrap();
    queues.push(&two, &[item("1"), item("2")]).await.unwrap();
    assert_eq!(names(&claim(queues, &one, 10).await), ["1"]);
    queues.acknowledge(&one, &ids(&["1", "2"])).await.unwrap();
    assert_eq!(names(&claim(queues, &two, 10).await), ["1", "2"]);
}

async fn consumers_share_the_work_without_overlap(backend: Backend) {
    let streams = Streams::of(backend).await;
    let queues = &streams.queues;
    let name = queue("q");
    let items: Vec<NewItem> = (0..400).map(|number| item(&number.to_string())).collect();
    queues.push(&name, &items).await.unwrap();
    let mut consumers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (queues, name) = (queues.clone(), name.clone());
        consumers.spawn(async move {
            let mut done = Vec::new();
            loop {
                let claimed = queues.claim(&name, 7, LONG, Duration::ZERO).await.unwrap();
                if claimed.is_empty() {
                    return done;
                }
                let ended: Vec<Box<str>> = claimed.into_iter().map(|item| item.id).collect();
                queues.acknowledge(&name, &ended).await.unwrap();
                done.extend(ended);
            }
        });
    }
    let mut done: Vec<u32> =
        consumers.join_all().await.concat().iter().map(|id| id.parse().unwrap()).collect();
    done.sort_unstable();
    assert!(done.into_iter().eq(0..400));
}

/// Waits until `condition` holds.
async fn until(mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "it has not come to hold");
        sleep(Duration::from_millis(2)).await;
    }
}
