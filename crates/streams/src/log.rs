//! The change log: what it stores and what it promises.
//!
//! P partitions; a topic's partition is a stable hash of its name. Within a partition offsets are dense: 1, 2, 3, …
//! Each entry links to the topic's previous entry, so that a reader can prove that it missed nothing although the
//! offsets of one topic have gaps. The epoch names the incarnation of a partition and changes when its log was
//! lost or stepped back.

mod embedded;
mod redis;

use std::sync::Arc;
use std::time::Duration;

use ::metrics::{counter, histogram};
use bytes::Bytes;
use domain::{Lane, PublicationId, Timestamp, Topic};
use rand::Rng;
use rand::distr::Alphanumeric;
use tokio::time::Instant;

pub(crate) use self::embedded::EmbeddedLog;
pub(crate) use self::redis::RedisLog;
use crate::{Config, StreamsError, metrics};

/// Number of a partition, from 0.
pub type Partition = u16;

/// The incarnation of a partition: short, opaque, never empty, never `_`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Epoch(pub Box<str>);

/// A place in a partition's log: everything up to and including `offset` lies behind it. Offset 0 is before all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The incarnation that `offset` counts in.
    pub epoch: Epoch,
    /// Below 2^53.
    pub offset: u64,
}

/// Something to append.
#[derive(Debug, Clone)]
pub struct NewPublication {
    /// Appending the same id again within the log's retention changes nothing and gives the first position.
    pub id: PublicationId,
    /// Where it is heard.
    pub topic: Topic,
    /// What sockets receive: one JSON document without raw line breaks.
    pub data: Bytes,
    /// How urgent it is.
    pub lane: Lane,
    /// The whole [`domain::Change`] as JSON, on the publication of its primary topic only: for the planner.
    pub change: Option<Bytes>,
    /// What travels along for the hubs: [`domain::Attributes`], encoded. The log does not look into it.
    pub attributes: Option<Bytes>,
    /// When the change was made.
    pub at: Timestamp,
}

/// One entry's content.
pub type Publication = NewPublication;

/// One entry of the log.
#[derive(Debug, Clone)]
pub struct Entry {
    /// In which partition.
    pub partition: Partition,
    /// Its number there.
    pub offset: u64,
    /// Number of the topic's previous entry; when the topic has none that the log still knows of: the trim watermark
    /// at the time of writing (see `first`).
    pub prev: u64,
    /// Whether the log knew of no previous entry of the topic.
    pub first: bool,
    /// What was appended.
    pub publication: Publication,
}

/// How a partition stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionState {
    /// Its incarnation.
    pub epoch: Epoch,
    /// Number of the newest entry; 0 when there was none.
    pub last: u64,
    /// Highest number that is no longer in the log; 0 when nothing was trimmed.
    pub trimmed: u64,
}

/// How far a reader has come in one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// Which partition.
    pub partition: Partition,
    /// The incarnation that the reader believes in.
    pub epoch: Epoch,
    /// Everything up to and including this number was read.
    pub after: u64,
}

/// What a read found for one partition.
#[derive(Debug)]
pub enum ReadBatch {
    /// The entries after the cursor, in order, without gaps.
    Entries(Vec<Entry>),
    /// The cursor lies before the trim watermark: entries were lost to this reader.
    Trimmed {
        /// Which partition, and how it stands.
        partition: Partition,
        /// Start again from `trimmed`.
        state: PartitionState,
    },
    /// The log was lost or stepped back: the incarnation is another, all positions are void.
    Reset {
        /// Which partition.
        partition: Partition,
        /// Start again from here.
        state: PartitionState,
    },
}

/// The change log over its two backends. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct ChangeLog {
    backend: Backend,
    partitions: u16,
    publication_bytes_max: usize,
    batch_max: usize,
}

#[derive(Debug, Clone)]
enum Backend {
    Embedded(Arc<EmbeddedLog>),
    Redis(Arc<RedisLog>),
}

impl Epoch {
    /// A new incarnation: 8 letters and digits.
    pub(crate) fn random() -> Self {
        let letters = rand::rng().sample_iter(Alphanumeric).take(8).map(char::from);
        Self(letters.collect::<String>().into_boxed_str())
    }
}

impl ChangeLog {
    pub(crate) fn embedded(log: EmbeddedLog, config: &Config) -> Self {
        Self::new(Backend::Embedded(Arc::new(log)), config)
    }

    pub(crate) fn redis(log: RedisLog, config: &Config) -> Self {
        Self::new(Backend::Redis(Arc::new(log)), config)
    }

    fn new(backend: Backend, config: &Config) -> Self {
        Self {
            backend,
            partitions: config.partitions,
            publication_bytes_max: config.publication_bytes_max,
            batch_max: config.batch_max,
        }
    }

    /// How many partitions there are.
    pub fn partitions(&self) -> u16 {
        self.partitions
    }

    /// The partition of a topic.
    pub fn partition_of(&self, topic: &Topic) -> Partition {
        partition_of(topic, self.partitions)
    }

    /// Appends in the order given; durable when it returns. Repeating a publication id gives its first position.
    ///
    /// # Errors
    /// [`StreamsError::Unavailable`]: some may have been appended; repeat the whole call.
    /// [`StreamsError::TooLarge`]: nothing was appended.
    pub async fn append(&self, publications: &[NewPublication]) -> Result<Vec<Position>, StreamsError> {
        for publication in publications {
            self.check(publication)?;
        }
        let started_at = Instant::now();
        let result = self.append_batches(publications).await;
        histogram!(metrics::APPEND_SECONDS).record(started_at.elapsed());
        if result.is_err() {
            counter!(metrics::APPEND_FAILURES).increment(1);
        }
        result
    }

    async fn append_batches(&self, publications: &[NewPublication]) -> Result<Vec<Position>, StreamsError> {
        let mut positions = Vec::with_capacity(publications.len());
        for batch in publications.chunks(self.batch_max) {
            positions.extend(match &self.backend {
                Backend::Embedded(log) => log.append(batch.to_vec()).await?,
                Backend::Redis(log) => log.append(batch).await?,
            });
        }
        Ok(positions)
    }

    /// How a partition stands.
    ///
    /// # Errors
    /// [`StreamsError::Unavailable`].
    ///
    /// # Panics
    /// When there is no such partition.
    pub async fn state(&self, partition: Partition) -> Result<PartitionState, StreamsError> {
        match &self.backend {
            Backend::Embedded(log) => Ok(log.state(partition)),
            Backend::Redis(log) => log.state(partition).await,
        }
    }

    /// Number of the topic's newest entry, as long as the log retains it.
    ///
    /// # Errors
    /// [`StreamsError::Unavailable`].
    pub async fn topic_last(&self, topic: &Topic) -> Result<Option<u64>, StreamsError> {
        match &self.backend {
            Backend::Embedded(log) => Ok(log.topic_last(self.partition_of(topic), topic)),
            Backend::Redis(log) => log.topic_last(self.partition_of(topic), topic).await,
        }
    }

    /// What lies after each cursor, at most `entries_max` per partition; waits up to `wait` when there is nothing.
    /// Returns as soon as one partition has something; an empty result means that the wait has passed. May be
    /// dropped at any time: reading changes nothing.
    ///
    /// # Errors
    /// [`StreamsError::Unavailable`].
    ///
    /// # Panics
    /// When a cursor names no partition.
    pub async fn read(
        &self,
        cursors: &[Cursor],
        entries_max: usize,
        wait: Duration,
    ) -> Result<Vec<ReadBatch>, StreamsError> {
        let batches = match &self.backend {
            Backend::Embedded(log) => log.read(cursors, entries_max, wait).await,
            Backend::Redis(log) => log.read(cursors, entries_max, wait).await,
        }?;
        for batch in &batches {
            match batch {
                ReadBatch::Entries(entries) => {
                    counter!(metrics::READ_ENTRIES).increment(entries.len() as u64);
                }
                ReadBatch::Trimmed { .. } | ReadBatch::Reset { .. } => {
                    counter!(metrics::READ_GAPS).increment(1);
                }
            }
        }
        Ok(batches)
    }

    /// Whether the log can be reached, for health checks.
    ///
    /// # Errors
    /// [`StreamsError::Unavailable`].
    pub async fn ping(&self) -> Result<(), StreamsError> {
        match &self.backend {
            Backend::Embedded(log) => log.ping(),
            Backend::Redis(log) => log.ping().await,
        }
    }

    /// Whether a publication can be appended at all.
    ///
    /// # Errors
    /// [`StreamsError::TooLarge`].
    pub fn check(&self, publication: &NewPublication) -> Result<(), StreamsError> {
        let bytes = [&publication.change, &publication.attributes]
            .into_iter()
            .flatten()
            .map(Bytes::len)
            .sum::<usize>()
            + publication.data.len();
        if bytes > self.publication_bytes_max {
            return Err(StreamsError::TooLarge {
                what: format!("a publication in {}", publication.topic),
                bytes,
                bytes_max: self.publication_bytes_max,
            });
        }
        Ok(())
    }
}

/// The partition of a topic among `partitions`.
fn partition_of(topic: &Topic, partitions: u16) -> Partition {
    u16::try_from(topic.stable_hash() % u64::from(partitions)).expect("it is below the number of partitions")
}
