//! What every change log promises.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use domain::Lane;
use streams::{ChangeLog, Config, Cursor, Entry, Epoch, ReadBatch, StreamsError};
use tokio::time::{Instant, timeout};

use crate::backend::{
    Backend, PATIENCE, Streams, on_every_backend, publication, publications, read_on, start, topic,
};

on_every_backend! {
    entries_come_back_as_appended
    offsets_are_dense_and_links_name_the_topics_previous_entry
    a_repeated_id_gives_its_first_position
    concurrent_writers_leave_no_gap_and_keep_their_order
    a_waiting_read_is_woken
    an_empty_wait_gives_nothing
    one_read_covers_many_partitions
    a_read_gives_at_most_what_was_asked_for
    old_entries_are_trimmed_and_a_late_reader_is_told
    forgotten_topics_link_to_the_watermark
    a_cursor_of_another_epoch_or_beyond_the_end_is_reset
    too_large_publications_are_refused_and_change_nothing
}

/// A log that keeps few entries, in small files.
fn short(config: &mut Config) {
    config.partitions = 1;
    config.retention_entries = 100;
    config.embedded.segment_bytes = 4_096;
    config.embedded.memory_entries = 10;
}

async fn entries_come_back_as_appended(backend: Backend) {
    let streams = Streams::of(backend).await;
    let log = &streams.log;
    let mut plain = publication("festival", "مرحبا");
    plain.lane = Lane::Emergency;
    let mut primary = publication("event:17", "moved");
    primary.change = Some(Bytes::from_static(b"{\"kind\":\"event\"}"));
    primary.attributes = Some(Bytes::from_static(b"{\"ephemeral\":true}"));
    for publication in [plain, primary] {
        let positions = log.append(std::slice::from_ref(&publication)).await.unwrap();
        let mut cursor = start(log, log.partition_of(&publication.topic)).await;
        cursor.after = positions[0].offset - 1;
        let entry = read_on(log, &mut cursor, 1).await.remove(0);
        assert_eq!(format!("{:?}", entry.publication), format!("{publication:?}"));
        assert_eq!((entry.partition, entry.offset), (cursor.partition, positions[0].offset));
        assert_eq!(positions[0].epoch, cursor.epoch);
    }
}

async fn offsets_are_dense_and_links_name_the_topics_previous_entry(backend: Backend) {
    let streams = Streams::with(backend, |config| config.partitions = 1).await;
    let log = &streams.log;
    let names = ["a", "b", "a", "a", "c", "b"];
    let batch: Vec<_> = names.iter().map(|name| publication(name, name)).collect();
    let offsets: Vec<u64> =
        log.append(&batch).await.unwrap().into_iter().map(|position| position.offset).collect();
    assert_eq!(offsets, [1, 2, 3, 4, 5, 6]);
    log.append(&publications("a", 1)).await.unwrap();
    let entries = read_on(log, &mut start(log, 0).await, 7).await;
    let links: Vec<_> = entries.iter().map(|entry| (entry.offset, entry.prev, entry.first)).collect();
    assert_eq!(
        links,
        [
            (1, 0, true),
            (2, 0, true),
            (3, 1, false),
            (4, 3, false),
            (5, 0, true),
            (6, 2, false),
            (7, 4, false)
        ]
    );
    assert_eq!(log.topic_last(&topic("a")).await.unwrap(), Some(7));
    assert_eq!(log.topic_last(&topic("b")).await.unwrap(), Some(6));
    assert_eq!(log.topic_last(&topic("never")).await.unwrap(), None);
}

async fn a_repeated_id_gives_its_first_position(backend: Backend) {
    let streams = Streams::with(backend, |config| config.partitions = 2).await;
    let log = &streams.log;
    let mut batch = publications("a", 3);
    batch.extend(publications("b", 3));
    let first = log.append(&batch).await.unwrap();
    batch.push(publication("a", "new"));
    batch.push(batch[6].clone());
    let again = log.append(&batch).await.unwrap();
    assert_eq!(again[..6], first[..]);
    assert_eq!(again[6], again[7]);
    let last: u64 = log.state(0).await.unwrap().last + log.state(1).await.unwrap().last;
    assert_eq!(last, 7);
}

async fn concurrent_writers_leave_no_gap_and_keep_their_order(backend: Backend) {
    let streams = Streams::with(backend, |config| config.partitions = 4).await;
    let log = &streams.log;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..8 {
        let log = log.clone();
        writers.spawn(async move {
            for publication in publications(&format!("writer:{writer}"), 25) {
                log.append(&[publication]).await.unwrap();
            }
        });
    }
    writers.join_all().await;
    let mut by_topic: HashMap<String, Vec<Entry>> = HashMap::new();
    for partition in 0..4 {
        let last = log.state(partition).await.unwrap().last;
        let entries = read_on(log, &mut start(log, partition).await, usize::try_from(last).unwrap()).await;
        assert!(entries.iter().map(|entry| entry.offset).eq(1..=last));
        for entry in entries {
            by_topic.entry(entry.publication.topic.to_string()).or_default().push(entry);
        }
    }
    assert_eq!(by_topic.len(), 8);
    for entries in by_topic.values() {
        let texts: Vec<String> = (1..=25).map(|number| format!("{{\"text\":\"{number}\"}}")).collect();
        assert!(
            entries.iter().map(|entry| &entry.publication.data[..]).eq(texts.iter().map(String::as_bytes))
        );
        assert!(entries.windows(2).all(|pair| pair[1].prev == pair[0].offset && !pair[1].first));
    }
}

async fn a_waiting_read_is_woken(backend: Backend) {
    let streams = Streams::with(backend, |config| {
        config.partitions = 1;
        config.poll_ms = 10_000;
    })
    .await;
    let log = &streams.log;
    let mut cursor = start(log, 0).await;
    for _ in 0..5 {
        let reader = log.clone();
        let cursors = [cursor.clone()];
        let waiting = async {
            let found = reader.read(&cursors, 10, PATIENCE).await.unwrap();
            (Instant::now(), found)
        };
        let appending = async {
            // the reader has begun to wait: this future is polled after it has yielded
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            log.append(&publications("a", 1)).await.unwrap();
            Instant::now()
        };
        let ((woken_at, found), written_at) = tokio::join!(biased; waiting, appending);
        assert_eq!(found.len(), 1);
        assert!(woken_at.saturating_duration_since(written_at) < Duration::from_secs(2), "woken, not polled");
        cursor.after += 1;
    }
}

async fn an_empty_wait_gives_nothing(backend: Backend) {
    let streams = Streams::of(backend).await;
    let log = &streams.log;
    let cursors = [start(log, 0).await, start(log, 1).await];
    let before = Instant::now();
    assert!(log.read(&cursors, 10, Duration::from_millis(50)).await.unwrap().is_empty());
    assert!(before.elapsed() >= Duration::from_millis(50));
    assert!(log.read(&cursors, 10, Duration::ZERO).await.unwrap().is_empty());
    assert!(log.read(&[], 10, Duration::ZERO).await.unwrap().is_empty());
}

async fn one_read_covers_many_partitions(backend: Backend) {
    let streams = Streams::with(backend, |config| config.partitions = 8).await;
    let log = &streams.log;
    let mut cursors = Vec::new();
    for partition in 0..8 {
        cursors.push(start(log, partition).await);
    }
    let batch: Vec<_> = (0..50).map(|number| publication(&format!("t{number}"), "x")).collect();
    log.append(&batch).await.unwrap();
    let mut count = 0;
    for found in log.read(&cursors, 100, PATIENCE).await.unwrap() {
        let ReadBatch::Entries(entries) = found else { panic!("not entries") };
        assert!(entries.iter().all(|entry| log.partition_of(&entry.publication.topic) == entry.partition));
        count += entries.len();
    }
    assert_eq!(count, 50);
}

async fn a_read_gives_at_most_what_was_asked_for(backend: Backend) {
    let streams = Streams::with(backend, |config| config.partitions = 1).await;
    let log = &streams.log;
    log.append(&publications("a", 5)).await.unwrap();
    let cursor = start(log, 0).await;
    let found = log.read(&[cursor], 2, PATIENCE).await.unwrap();
    let [ReadBatch::Entries(entries)] = &found[..] else { panic!("not one batch of entries") };
    assert!(entries.iter().map(|entry| entry.offset).eq(1..=2));
}

async fn old_entries_are_trimmed_and_a_late_reader_is_told(backend: Backend) {
    let streams = Streams::with(backend, short).await;
    let log = &streams.log;
    let beginning = start(log, 0).await;
    log.append(&publications("a", 1)).await.unwrap();
    let mut late = Cursor { after: 1, ..beginning.clone() };
    for _ in 0..20 {
        log.append(&publications("a", 20)).await.unwrap();
    }
    let state = log.state(0).await.unwrap();
    assert_eq!(state.last, 401);
    assert!(state.trimmed > 1 && state.last - state.trimmed >= 100, "{state:?}");
    let found = log.read(&[late.clone()], 10, PATIENCE).await.unwrap();
    let [ReadBatch::Trimmed { partition: 0, state: told }] = &found[..] else { panic!("{found:?}") };
    assert_eq!(*told, state);

    // the state that was told lets the reader go on
    late.after = told.trimmed;
    let count = usize::try_from(told.last - told.trimmed).unwrap();
    let entries = read_on(log, &mut late, count).await;
    assert!(entries.iter().map(|entry| entry.offset).eq(told.trimmed + 1..=told.last));
    assert!(entries[1..].iter().all(|entry| entry.prev == entry.offset - 1));
}

async fn forgotten_topics_link_to_the_watermark(backend: Backend) {
    let streams = Streams::with(backend, short).await;
    let log = &streams.log;
    let once = publications("once", 1);
    log.append(&once).await.unwrap();
    for _ in 0..20 {
        log.append(&publications("a", 20)).await.unwrap();
    }
    assert_eq!(log.topic_last(&topic("once")).await.unwrap(), None);
    let trimmed = log.state(0).await.unwrap().trimmed;
    // the id was forgotten together with its entry
    let position = log.append(&once).await.unwrap().remove(0);
    assert_eq!(position.offset, 402);
    let mut cursor = Cursor { partition: 0, epoch: position.epoch, after: 401 };
    let entry = read_on(log, &mut cursor, 1).await.remove(0);
    assert_eq!((entry.prev, entry.first), (trimmed, true));
}

async fn a_cursor_of_another_epoch_or_beyond_the_end_is_reset(backend: Backend) {
    let streams = Streams::with(backend, |config| config.partitions = 1).await;
    let log = &streams.log;
    log.append(&publications("a", 3)).await.unwrap();
    let state = log.state(0).await.unwrap();

    let foreign = Cursor { partition: 0, epoch: Epoch("elsewhere".into()), after: 2 };
    let told = reset(log, foreign).await;
    assert_eq!(told, state);

    // a reader that has seen more than there is proves that the log stepped back: positions are void for all
    let ahead = Cursor { partition: 0, epoch: state.epoch.clone(), after: 9 };
    let told = reset(log, ahead.clone()).await;
    assert_ne!(told.epoch, state.epoch);
    assert_eq!(told, log.state(0).await.unwrap());
    assert_eq!(reset(log, ahead).await, told, "the second to notice finds the new epoch");

    let mut cursor = Cursor { partition: 0, epoch: told.epoch, after: told.trimmed };
    let position = log.append(&publications("a", 1)).await.unwrap().remove(0);
    assert_eq!(position.epoch, cursor.epoch);
    let rest = usize::try_from(position.offset - told.trimmed).unwrap();
    assert_eq!(read_on(log, &mut cursor, rest).await.last().unwrap().offset, position.offset);
}

async fn reset(log: &ChangeLog, cursor: Cursor) -> streams::PartitionState {
    let mut found = timeout(PATIENCE, log.read(&[cursor], 10, PATIENCE)).await.unwrap().unwrap();
    match found.pop() {
        Some(ReadBatch::Reset { partition: 0, state }) => state,
        other => panic!("not reset: {other:?}"),
    }
}

async fn too_large_publications_are_refused_and_change_nothing(backend: Backend) {
    let streams = Streams::with(backend, |config| {
        config.partitions = 1;
        config.publication_bytes_max = 1_024;
    })
    .await;
    let log = &streams.log;
    let mut batch = publications("a", 2);
    batch[1].data = vec![b'x'; 1_000].into();
    batch[1].change = Some(vec![b'x'; 25].into());
    let error = log.append(&batch).await.unwrap_err();
    assert!(matches!(error, StreamsError::TooLarge { bytes: 1_025, bytes_max: 1_024, .. }), "{error}");
    assert_eq!(log.state(0).await.unwrap().last, 0);
    batch[1].change = Some(vec![b'x'; 24].into());
    assert_eq!(log.append(&batch).await.unwrap().len(), 2);
}
