//! Files that were closed, cut, damaged, replaced by older ones, or are in use.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use streams::{ChangeLog, Config, Cursor, Fsync, NewPublication, ReadBatch, StreamsError, WorkQueue};
use tempfile::TempDir;

use crate::backend::{PATIENCE, WallClock, ids, item, publications, queue, read_on, start};

/// Small files, few entries in memory.
fn config() -> Config {
    let mut config = Config { partitions: 1, ..Config::default() };
    config.embedded.segment_bytes = 4_096;
    config.embedded.compact_bytes = 4_096;
    config.embedded.memory_entries = 5;
    config.embedded.lock_wait_ms = 50;
    config
}

async fn try_open(config: &Config, dir: &Path) -> Result<(ChangeLog, WorkQueue), StreamsError> {
    streams::open(config, dir, Arc::new(WallClock)).await
}

async fn open(config: &Config, dir: &Path) -> (ChangeLog, WorkQueue) {
    try_open(config, dir).await.unwrap()
}

fn copy(from: &Path) -> TempDir {
    fn copy_into(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for item in fs::read_dir(from).unwrap() {
            let item = item.unwrap();
            if item.file_type().unwrap().is_dir() {
                copy_into(&item.path(), &to.join(item.file_name()));
            } else {
                fs::copy(item.path(), to.join(item.file_name())).unwrap();
            }
        }
    }
    let to = tempfile::tempdir().unwrap();
    copy_into(from, to.path());
    to
}

/// The files of the log or the queues, oldest first.
fn files(dir: &Path, part: &str) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(dir.join("streams").join(part)).unwrap().map(|item| item.unwrap().path()).collect();
    paths.sort();
    paths
}

/// A log with `count` entries in several files, appended one by one.
async fn written(count: usize) -> (TempDir, Vec<NewPublication>) {
    let dir = tempfile::tempdir().unwrap();
    let (log, _queues) = open(&config(), dir.path()).await;
    let mut batch = publications("a", count);
    for publication in &mut batch {
        publication.data = vec![b'x'; 150].into();
    }
    for publication in &batch {
        log.append(std::slice::from_ref(publication)).await.unwrap();
    }
    assert!(files(dir.path(), "log").len() > 2);
    (dir, batch)
}

#[tokio::test]
async fn what_was_closed_opens_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let name = queue("q");
    let batch = publications("a", 100);
    let (log, queues) = open(&config(), dir.path()).await;
    let positions = log.append(&batch).await.unwrap();
    queues.push(&name, &[item("1"), item("2"), item("3")]).await.unwrap();
    queues.claim(&name, 2, PATIENCE, Duration::ZERO).await.unwrap();
    queues.acknowledge(&name, &ids(&["2"])).await.unwrap();
    let state = log.state(0).await.unwrap();
    drop((log, queues));

    let (log, queues) = open(&config(), dir.path()).await;
    assert_eq!(log.state(0).await.unwrap(), state);
    assert_eq!(log.append(&batch).await.unwrap(), positions, "the ids are known");
    assert_eq!(log.append(&publications("a", 1)).await.unwrap()[0].offset, 101);
    let entries = read_on(&log, &mut start(&log, 0).await, 101).await;
    assert_eq!((entries[100].prev, entries[100].first), (100, false), "the topics are known");
    assert_eq!(format!("{:?}", entries[0].publication), format!("{:?}", batch[0]));
    // the lease ended with the process that held it
    let claimed = queues.claim(&name, 10, PATIENCE, Duration::ZERO).await.unwrap();
    let found: Vec<_> = claimed.iter().map(|item| (&*item.id, item.claims)).collect();
    assert_eq!(found, [("1", 2), ("3", 1)]);
}

#[tokio::test]
async fn a_cut_log_gives_a_prefix_and_nothing_else() {
    let (dir, batch) = written(60).await;
    let newest = files(dir.path(), "log").pop().unwrap();
    let length = fs::metadata(&newest).unwrap().len();
    let mut counts = Vec::new();
    for round in 0..40 {
        let cut = if round == 0 { 0 } else { rand::rng().random_range(0..=length) };
        let copied = copy(dir.path());
        let file = copied.path().join(newest.strip_prefix(dir.path()).unwrap());
        fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(cut).unwrap();
        let (log, _queues) = open(&config(), copied.path()).await;
        let last = log.state(0).await.unwrap().last;
        let count = usize::try_from(last).unwrap();
        let entries = read_on(&log, &mut start(&log, 0).await, count).await;
        assert!(entries.iter().map(|entry| entry.publication.id).eq(batch[..count].iter().map(|it| it.id)));
        // it goes on where the prefix ends
        assert_eq!(log.append(&batch[count..]).await.unwrap().len(), 60 - count);
        assert_eq!(log.state(0).await.unwrap().last, 60);
        counts.push(count);
    }
    counts.sort_unstable();
    assert!(counts[0] < counts[39], "different cuts leave different prefixes");
}

#[tokio::test]
async fn a_log_damaged_in_the_middle_is_refused() {
    let (dir, _) = written(60).await;
    let paths = files(dir.path(), "log");
    for round in 0..30 {
        let copied = copy(dir.path());
        let older = &paths[rand::rng().random_range(0..paths.len() - 1)];
        let path = copied.path().join(older.strip_prefix(dir.path()).unwrap());
        let mut bytes = fs::read(&path).unwrap();
        match round {
            0 => fs::remove_file(copied.path().join(paths[1].strip_prefix(dir.path()).unwrap())).unwrap(),
            1..10 => {
                bytes.truncate(rand::rng().random_range(0..bytes.len()));
                fs::write(&path, bytes).unwrap();
            }
            _ => {
                let at = rand::rng().random_range(0..bytes.len());
                bytes[at] ^= 1 << rand::rng().random_range(0..8);
                fs::write(&path, bytes).unwrap();
            }
        }
        let error = try_open(&config(), copied.path()).await.map(drop).unwrap_err();
        assert!(matches!(error, StreamsError::Corrupt { .. }), "{error}");
    }
}

#[tokio::test]
async fn garbage_in_place_of_files_is_refused_or_cut_off() {
    let (dir, _) = written(60).await;
    for part in ["log", "queues"] {
        for _ in 0..20 {
            let copied = copy(dir.path());
            let path = files(copied.path(), part).pop().unwrap();
            let mut garbage = vec![0; rand::rng().random_range(1..500)];
            rand::rng().fill(&mut garbage[..]);
            fs::write(&path, garbage).unwrap();
            match try_open(&config(), copied.path()).await {
                Ok((log, _)) => assert!(log.state(0).await.unwrap().last <= 60),
                Err(error) => assert!(matches!(error, StreamsError::Corrupt { .. }), "{error}"),
            }
        }
    }
}

#[tokio::test]
async fn older_files_in_place_of_newer_ones_reset_the_readers() {
    let (dir, _) = written(60).await;
    let older = copy(dir.path());
    let (log, _queues) = open(&config(), dir.path()).await;
    log.append(&publications("a", 5)).await.unwrap();
    let mut cursor = start(&log, 0).await;
    read_on(&log, &mut cursor, 65).await;

    let (log, queues) = open(&config(), older.path()).await;
    let found = log.read(std::slice::from_ref(&cursor), 10, PATIENCE).await.unwrap();
    let [ReadBatch::Reset { state, .. }] = &found[..] else { panic!("{found:?}") };
    assert_ne!(state.epoch, cursor.epoch);
    drop((log, queues));
    let (log, _queues) = open(&config(), older.path()).await;
    assert_eq!(log.state(0).await.unwrap(), *state, "the new epoch is on the disk");
    let mut cursor = Cursor { partition: 0, epoch: state.epoch.clone(), after: state.trimmed };
    read_on(&log, &mut cursor, 60).await;
}

#[tokio::test]
async fn without_syncing_every_start_begins_a_new_epoch() {
    let mut config = config();
    config.embedded.fsync = Fsync::Never;
    let dir = tempfile::tempdir().unwrap();
    let (log, queues) = open(&config, dir.path()).await;
    log.append(&publications("a", 10)).await.unwrap();
    let before = log.state(0).await.unwrap();
    drop((log, queues));
    let (log, _queues) = open(&config, dir.path()).await;
    let after = log.state(0).await.unwrap();
    assert_ne!(after.epoch, before.epoch);
    assert_eq!(after.last, 10);
}

#[tokio::test]
async fn one_process_at_a_time_with_the_partitions_that_are_there() {
    let dir = tempfile::tempdir().unwrap();
    let (log, queues) = open(&config(), dir.path()).await;
    let error = try_open(&config(), dir.path()).await.map(drop).unwrap_err();
    assert!(matches!(error, StreamsError::Locked(_)), "{error}");
    drop(queues);
    assert!(try_open(&config(), dir.path()).await.is_err(), "the log is still open");
    drop(log);
    let other = Config { partitions: 2, ..config() };
    let error = try_open(&other, dir.path()).await.map(drop).unwrap_err();
    assert!(matches!(error, StreamsError::Layout { stored: 1, configured: 2 }), "{error}");
    open(&config(), dir.path()).await;
}

#[tokio::test]
async fn the_journal_of_the_queues_stays_as_long_as_what_it_holds() {
    let dir = tempfile::tempdir().unwrap();
    let name = queue("q");
    let (log, queues) = open(&config(), dir.path()).await;
    for round in 0..200 {
        queues.push(&name, &[item(&format!("round {round}"))]).await.unwrap();
        let claimed = queues.claim(&name, 1, PATIENCE, Duration::ZERO).await.unwrap();
        if round != 7 {
            queues.acknowledge(&name, &[claimed[0].id.clone()]).await.unwrap();
        }
    }
    let paths = files(dir.path(), "queues");
    assert_eq!(paths.len(), 1);
    assert!(fs::metadata(&paths[0]).unwrap().len() < 10_000);
    drop((log, queues));
    let (_log, queues) = open(&config(), dir.path()).await;
    let claimed = queues.claim(&name, 10, PATIENCE, Duration::ZERO).await.unwrap();
    assert!(claimed.iter().map(|item| (&*item.id, item.claims)).eq([("round 7", 2)]));
}
