//! A process of its own writes and is killed at random points: what it had acknowledged is there afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use streams::{ChangeLog, Config, WorkQueue};

use crate::backend::{PATIENCE, WallClock, item, publication, queue, read_on, start};

/// Names the directory to the process that writes.
const DIR: &str = "STREAMS_CRASH_TEST_DIR";
const ROUNDS: usize = 20;

fn config() -> Config {
    let mut config = Config { partitions: 3, ..Config::default() };
    // files are begun and rewritten all the time, so that the kill hits that, too
    config.embedded.segment_bytes = 4_096;
    config.embedded.compact_bytes = 4_096;
    config
}

async fn open(dir: &Path) -> (ChangeLog, WorkQueue) {
    streams::open(&config(), dir, Arc::new(WallClock)).await.unwrap()
}

/// Not a test: what the process does that [`what_was_acknowledged_survives_kill_9`] starts and kills.
#[tokio::test]
#[ignore = "it is run by another test, and writes until it is killed"]
#[expect(clippy::disallowed_methods, reason = "a test has no other way to talk to itself in another process")]
async fn writer() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let (log, queues) = open(Path::new(&dir)).await;
    let say = |line: String| writeln!(std::io::stdout().lock(), "{line}").unwrap();
    let name = queue("q");
    for round in 0.. {
        let batch: Vec<_> = (0..3).map(|number| publication(&format!("topic:{number}"), "x")).collect();
        let positions = log.append(&batch).await.unwrap();
        for (publication, position) in batch.iter().zip(positions) {
            let partition = log.partition_of(&publication.topic);
            say(format!("appended {partition} {} {}", position.offset, publication.id));
        }
        let id = uuid::Uuid::new_v4().to_string();
        queues.push(&name, &[item(&id)]).await.unwrap();
        say(format!("pushed {id}"));
        if round % 3 > 0 {
            let claimed = queues.claim(&name, 1, PATIENCE, Duration::ZERO).await.unwrap();
            say(format!("ending {}", claimed[0].id));
            queues.acknowledge(&name, &[claimed[0].id.clone()]).await.unwrap();
            say(format!("ended {}", claimed[0].id));
        }
    }
}

/// What the killed processes had said.
#[derive(Default)]
struct Said {
    appended: BTreeMap<(u16, u64), String>,
    pushed: BTreeSet<String>,
    /// May have ended or not.
    ending: BTreeSet<String>,
    ended: BTreeSet<String>,
}

impl Said {
    fn hear(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["appended", partition, offset, id] => {
                let place = (partition.parse().unwrap(), offset.parse().unwrap());
                assert_eq!(self.appended.insert(place, id.to_owned()), None, "an offset was given twice");
            }
            ["pushed", id] => drop(self.pushed.insert(id.to_owned())),
            ["ending", id] => drop(self.ending.insert(id.to_owned())),
            ["ended", id] => drop(self.ended.insert(id.to_owned())),
            _ => {} // the test harness talks, too
        }
    }
}

fn start_writer(dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::writer", "--ignored", "--nocapture"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn what_was_acknowledged_survives_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut said = Said::default();
    for _ in 0..ROUNDS {
        let mut writer = start_writer(dir.path());
        let mut lines = BufReader::new(writer.stdout.take().unwrap()).lines();
        let target = said.appended.len() + rand::rng().random_range(1..200);
        while said.appended.len() < target {
            said.hear(&lines.next().expect("the writer lives").unwrap());
        }
        writer.kill().unwrap();
        writer.wait().unwrap();
        for line in lines {
            said.hear(&line.unwrap());
        }
        check(dir.path(), &mut said).await;
    }
    assert!(said.appended.len() > ROUNDS && said.ended.len() > ROUNDS);
}

/// Everything acknowledged is there, under its number, and what has ended is not.
async fn check(dir: &Path, said: &mut Said) {
    let (log, queues) = open(dir).await;
    for partition in 0..3 {
        let state = log.state(partition).await.unwrap();
        let count = usize::try_from(state.last - state.trimmed).unwrap();
        let entries = read_on(&log, &mut start(&log, partition).await, count).await;
        for ((_, offset), id) in said.appended.range((partition, 0)..=(partition, u64::MAX)) {
            let index = usize::try_from(offset - state.trimmed - 1).unwrap();
            let entry = entries.get(index).expect("an acknowledged entry is lost");
            assert_eq!((entry.offset, entry.publication.id.to_string()), (*offset, id.clone()));
        }
    }
    let name = queue("q");
    let mut there = BTreeSet::new();
    loop {
        let claimed = queues.claim(&name, 100, PATIENCE, Duration::ZERO).await.unwrap();
        if claimed.is_empty() {
            break;
        }
        for item in claimed {
            assert!(there.insert(item.id.to_string()), "{} is there twice", item.id);
        }
    }
    for id in said.pushed.difference(&said.ending) {
        assert!(there.contains(id), "the acknowledged item {id} is lost");
    }
    assert!(there.is_disjoint(&said.ended), "an item that has ended is back");
    // what was not said any more may have happened
    said.ended.extend(said.ending.iter().filter(|id| !there.contains(*id)).cloned());
    said.ending.retain(|id| said.ended.contains(id));
}
