//! Redis cut off, dead, flushed and stepped back.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::{Clock, PublicationId};
use streams::{ChangeLog, Config, Cursor, PartitionState, ReadBatch, StreamsError, WorkQueue};
use testkit::proxy::Proxy;
use testkit::redis::{ServerOptions, TestRedis, own_server};
use tokio::time::{Instant, timeout};

use crate::backend::{PATIENCE, WallClock, ids, item, publication, publications, queue, read_on, start};

/// A server of the test's own, and a proxy in front of it.
async fn outage_prone(options: ServerOptions) -> (TestRedis, Proxy, Config) {
    let redis = own_server(options).await;
    let proxy = Proxy::start(redis.address()).await;
    let mut config =
        Config { url: format!("redis://{}", proxy.address()), partitions: 1, ..Config::default() };
    config.redis.command_timeout_ms = 300;
    config.redis.connect_timeout_ms = 300;
    config.redis.reconnect_delay_max_ms = 50;
    config.poll_ms = 50;
    (redis, proxy, config)
}

async fn open(config: &Config) -> (ChangeLog, WorkQueue) {
    let nowhere = tempfile::tempdir().unwrap();
    streams::open(config, nowhere.path(), Arc::new(WallClock)).await.unwrap()
}

/// Repeats a call until it is available again.
async fn again<T>(mut call: impl AsyncFnMut() -> Result<T, StreamsError>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match call().await {
            Ok(value) => return value,
            Err(StreamsError::Unavailable(..)) if Instant::now() < deadline => tokio::task::yield_now().await,
            Err(cause) => panic!("{cause}: {cause:?}"),
        }
    }
}

/// What a reader is told when the log at its cursor is no longer the one that it read.
async fn reset(log: &ChangeLog, cursor: &Cursor) -> PartitionState {
    let found = again(async || log.read(std::slice::from_ref(cursor), 100, PATIENCE).await).await;
    match &found[..] {
        [ReadBatch::Reset { state, .. }] => state.clone(),
        other => panic!("not reset: {other:?}"),
    }
}

#[tokio::test]
async fn a_stalled_server_is_unavailable_in_time_and_nothing_is_lost() {
    let (_redis, proxy, config) = outage_prone(ServerOptions::default()).await;
    let (log, queues) = open(&config).await;
    let name = queue("q");
    let mut cursor = start(&log, 0).await;
    let batch = publications("a", 50);
    for (index, publication) in batch.iter().enumerate() {
        match index {
            10 => proxy.stall(),
            30 => proxy.refuse(),
            _ => {}
        }
        if index == 10 || index == 30 {
            let before = Instant::now();
            let all = (
                log.append(std::slice::from_ref(publication)).await.map(drop),
                queues.push(&name, &[item("1")]).await,
                queues.claim(&name, 1, PATIENCE, PATIENCE).await.map(drop),
                log.ping().await,
            );
            for result in [all.0, all.1, all.2, all.3] {
                assert!(matches!(result, Err(StreamsError::Unavailable(..))), "{result:?}");
            }
            assert!(before.elapsed() < Duration::from_secs(5), "{:?}", before.elapsed());
            proxy.restore();
        }
        if index % 7 == 0 {
            proxy.cut();
        }
        again(async || log.append(std::slice::from_ref(publication)).await).await;
    }
    again(async || queues.push(&name, &[item("1"), item("2")]).await).await;

    // in order, each once, although many appends were repeated
    let entries = read_on(&log, &mut cursor, 50).await;
    let found: Vec<PublicationId> = entries.iter().map(|entry| entry.publication.id).collect();
    assert!(found.iter().eq(batch.iter().map(|publication| &publication.id)));
    assert_eq!(log.state(0).await.unwrap().last, 50);
    let stats = queues.stats(&name).await.unwrap();
    assert_eq!(stats.ready + stats.claimed, 2);
}

#[tokio::test]
async fn a_waiting_reader_outlives_the_loss_of_its_connection() {
    let (redis, proxy, config) = outage_prone(ServerOptions::default()).await;
    let (log, _) = open(&config).await;
    let direct = Config { url: redis.url.clone(), ..config.clone() };
    let (writer, _) = open(&direct).await;
    let mut cursor = start(&log, 0).await;
    for _ in 0..5 {
        let (found, ()) = tokio::join!(
            again(async || log.read(std::slice::from_ref(&cursor), 10, PATIENCE).await),
            async {
                proxy.cut();
                writer.append(&publications("a", 1)).await.unwrap();
            }
        );
        assert!(matches!(&found[..], [ReadBatch::Entries(entries)] if entries.len() == 1), "{found:?}");
        cursor.after += 1;
    }
}

#[tokio::test]
async fn a_flushed_log_resets_its_readers_even_when_nobody_writes() {
    let (redis, _proxy, config) = outage_prone(ServerOptions::default()).await;
    let (log, _) = open(&config).await;
    log.append(&publications("a", 3)).await.unwrap();
    let mut cursor = start(&log, 0).await;
    read_on(&log, &mut cursor, 3).await;
    let (state, _) = tokio::join!(reset(&log, &cursor), async { redis.command(&["FLUSHALL"]) });
    assert_ne!(state.epoch, cursor.epoch);
    assert_eq!((state.last, state.trimmed), (0, 0));

    // what was told lets the reader go on
    let mut cursor = Cursor { partition: 0, epoch: state.epoch, after: state.trimmed };
    let position = log.append(&publications("a", 1)).await.unwrap().remove(0);
    assert_eq!(read_on(&log, &mut cursor, 1).await[0].offset, position.offset);
    assert_eq!(position.epoch, cursor.epoch);
}

/// Goal: numbers that are used again after a failover with loss are not taken for the old entries.
#[tokio::test]
async fn a_log_restored_from_an_older_snapshot_resets_its_readers() {
    for written_before_anybody_looks in [0, 2, 3, 5] {
        let (mut redis, _proxy, config) = outage_prone(ServerOptions::default()).await;
        let (log, _) = open(&config).await;
        log.append(&publications("a", 3)).await.unwrap();
        redis.command(&["SAVE"]);
        log.append(&publications("a", 3)).await.unwrap();
        let mut cursor = start(&log, 0).await;
        read_on(&log, &mut cursor, 6).await;

        redis.kill();
        redis.start_again().await;
        let (other, _) = open(&config).await;
        other.append(&publications("b", written_before_anybody_looks)).await.unwrap();

        let state = reset(&log, &cursor).await;
        assert_ne!(state.epoch, cursor.epoch, "{written_before_anybody_looks}");
        assert_eq!(state.last, 3 + written_before_anybody_looks as u64);
        assert_eq!(state, other.state(0).await.unwrap());
        let mut cursor = Cursor { partition: 0, epoch: state.epoch, after: state.trimmed };
        read_on(&log, &mut cursor, 3 + written_before_anybody_looks).await;
    }
}

#[tokio::test]
async fn a_log_that_lost_some_of_its_keys_begins_a_new_epoch() {
    for name in ["log", "meta"] {
        for written_before_anybody_looks in [0, 4] {
            let (redis, _proxy, config) = outage_prone(ServerOptions::default()).await;
            let (log, _) = open(&config).await;
            log.append(&publications("a", 3)).await.unwrap();
            let mut cursor = start(&log, 0).await;
            read_on(&log, &mut cursor, 3).await;
            redis.command(&["DEL", &format!("{}:{{p0}}:{name}", config.key_prefix)]);
            log.append(&publications("a", written_before_anybody_looks)).await.unwrap();
            let state = reset(&log, &cursor).await;
            assert_ne!(state.epoch, cursor.epoch);
            let mut cursor = Cursor { partition: 0, epoch: state.epoch, after: state.trimmed };
            log.append(&[publication("a", "next")]).await.unwrap();
            let entries = read_on(&log, &mut cursor, written_before_anybody_looks + 1).await;
            assert!(entries[0].first && entries[0].prev == state.trimmed);
        }
    }
}

#[tokio::test]
async fn a_durable_server_that_was_killed_has_everything() {
    let (mut redis, _proxy, config) = outage_prone(ServerOptions { durable: true, cluster: false }).await;
    let (log, queues) = open(&config).await;
    let name = queue("q");
    let mut cursor = start(&log, 0).await;
    log.append(&publications("a", 3)).await.unwrap();
    read_on(&log, &mut cursor, 2).await;
    queues.push(&name, &[item("1"), item("2"), item("3")]).await.unwrap();
    queues.claim(&name, 2, Duration::from_millis(100), Duration::ZERO).await.unwrap();
    queues.acknowledge(&name, &ids(&["1"])).await.unwrap();
    queues.retry(&name, "2", Bytes::from_static(b"rest"), WallClock.now()).await.unwrap();
    redis.kill();
    redis.start_again().await;
    again(async || log.append(&publications("a", 1)).await).await;
    let entries = read_on(&log, &mut cursor, 2).await;
    assert!(entries.iter().map(|entry| entry.offset).eq(3..=4));
    let mut claimed = again(async || queues.claim(&name, 10, PATIENCE, Duration::ZERO).await).await;
    claimed.sort_by(|a, b| a.id.cmp(&b.id));
    assert!(claimed.iter().map(|item| &*item.id).eq(["2", "3"]));
    assert_eq!((&claimed[0].body[..], claimed[0].claims), (&b"rest"[..], 2));
}

#[tokio::test]
async fn what_cannot_be_opened_says_why_and_soon() {
    let (_redis, proxy, config) = outage_prone(ServerOptions::default()).await;
    open(&config).await;
    let nowhere = tempfile::tempdir().unwrap();
    let try_open = async |config: &Config| {
        let opening = streams::open(config, nowhere.path(), Arc::new(WallClock));
        timeout(PATIENCE, opening).await.unwrap().map(drop).unwrap_err()
    };
    let other = Config { partitions: 2, ..config.clone() };
    let error = try_open(&other).await;
    assert!(matches!(error, StreamsError::Layout { stored: 1, configured: 2 }), "{error}");
    let error = try_open(&Config { url: "redis://".to_owned(), ..config.clone() }).await;
    assert!(matches!(error, StreamsError::Url(_) | StreamsError::Unavailable(..)), "{error}");
    for break_it in [Proxy::refuse, Proxy::stall] {
        break_it(&proxy);
        let error = try_open(&config).await;
        assert!(matches!(error, StreamsError::Unavailable(..)), "{error}");
    }
}
