//! The backends that the suite runs over, and what tests write and wait for.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use domain::{Clock, Lane, PublicationId, Timestamp, Topic};
use streams::{
    ChangeLog, Config, Cursor, Entry, NewItem, NewPublication, Partition, QueueName, ReadBatch, WorkQueue,
};
use tempfile::TempDir;
use testkit::redis::{ServerOptions, TestRedis, own_server, unique_prefix};
use tokio::sync::OnceCell;
use uuid::Uuid;

/// Longer than anything that works takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A cluster takes seconds to form: one serves all tests, each with its own keys. It ends with the process.
static CLUSTER: OnceCell<TestRedis> = OnceCell::const_new();

/// Runs each test once per backend.
macro_rules! on_every_backend {
    ($($test:ident)+) => {
        mod embedded {
            $(#[tokio::test] async fn $test() { super::$test($crate::backend::Backend::Embedded).await; })+
        }
        mod redis {
            $(#[tokio::test] async fn $test() { super::$test($crate::backend::Backend::Redis).await; })+
        }
        mod cluster {
            $(#[tokio::test] async fn $test() { super::$test($crate::backend::Backend::Cluster).await; })+
        }
    };
}
pub(crate) use on_every_backend;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    Embedded,
    Redis,
    /// Redis Cluster of one node: it refuses commands on keys of several slots.
    Cluster,
}

/// An open log and its queues.
pub(crate) struct Streams {
    pub(crate) log: ChangeLog,
    pub(crate) queues: WorkQueue,
    _dir: TempDir,
    _redis: Option<TestRedis>,
}

#[derive(Debug)]
pub(crate) struct WallClock;

impl Clock for WallClock {
    #[expect(clippy::disallowed_methods, reason = "Redis measures leases with the machine's clock, too")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Timestamp::from_microsecond(i64::try_from(since.as_micros()).unwrap()).unwrap()
    }
}

impl Streams {
    pub(crate) async fn of(backend: Backend) -> Self {
        Self::with(backend, |_| {}).await
    }

    pub(crate) async fn with(backend: Backend, adjust: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        let redis = match backend {
            Backend::Embedded => None,
            Backend::Redis => Some(testkit::redis::server().await),
            Backend::Cluster => {
                let cluster =
                    CLUSTER.get_or_init(|| own_server(ServerOptions { cluster: true, durable: false }));
                config.url.clone_from(&cluster.await.url);
                config.key_prefix = unique_prefix();
                None
            }
        };
        if let Some(redis) = &redis {
            config.url.clone_from(&redis.url);
            config.key_prefix.clone_from(&redis.key_prefix);
        }
        adjust(&mut config);
        let (log, queues) = streams::open(&config, dir.path(), Arc::new(WallClock)).await.unwrap();
        Self { log, queues, _dir: dir, _redis: redis }
    }
}

pub(crate) fn topic(name: &str) -> Topic {
    Topic::new(name).unwrap()
}

/// A publication with an id of its own.
pub(crate) fn publication(topic_name: &str, text: &str) -> NewPublication {
    NewPublication {
        id: PublicationId(Uuid::new_v4()),
        topic: topic(topic_name),
        data: Bytes::from(format!("{{\"text\":\"{text}\"}}")),
        lane: Lane::Standard,
        change: None,
        attributes: None,
        at: WallClock.now(),
    }
}

/// `count` publications in one topic, numbered from 1.
pub(crate) fn publications(topic_name: &str, count: usize) -> Vec<NewPublication> {
    (1..=count).map(|number| publication(topic_name, &number.to_string())).collect()
}

/// The beginning of a partition, as it stands.
pub(crate) async fn start(log: &ChangeLog, partition: Partition) -> Cursor {
    let state = log.state(partition).await.unwrap();
    Cursor { partition, epoch: state.epoch, after: state.trimmed }
}

/// Reads until `count` entries have come, moving the cursor.
pub(crate) async fn read_on(log: &ChangeLog, cursor: &mut Cursor, count: usize) -> Vec<Entry> {
    let mut entries = Vec::new();
    while entries.len() < count {
        let batches = log.read(std::slice::from_ref(cursor), count - entries.len(), PATIENCE).await.unwrap();
        assert!(!batches.is_empty(), "only {} of {count} entries have come", entries.len());
        for batch in batches {
            let ReadBatch::Entries(found) = batch else { panic!("not entries: {batch:?}") };
            cursor.after = found.last().expect("a batch of entries is never empty").offset;
            entries.extend(found);
        }
    }
    entries
}

pub(crate) fn queue(name: &str) -> QueueName {
    QueueName(name.into())
}

pub(crate) fn item(id: &str) -> NewItem {
    NewItem { id: id.into(), body: Bytes::from(format!("body of {id}")), not_before: None }
}

pub(crate) fn ids(ids: &[&str]) -> Vec<Box<str>> {
    ids.iter().map(|id| (*id).into()).collect()
}
