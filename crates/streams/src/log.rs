//! The change log: what it stores and what it promises.
//!
//! P partitions; a topic's partition is a stable hash of its name. Within a partition offsets are dense: 1, 2, 3, …
//! Each entry links to the topic's previous entry, so that a reader can prove that it missed nothing although the
//! offsets of one topic have gaps. The epoch names the incarnation of a partition and changes when its log was
//! lost or stepped back.

use std::time::Duration;

use bytes::Bytes;
use domain::{Lane, PublicationId, Timestamp, Topic};

use crate::StreamsError;

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
pub struct ChangeLog {}

impl ChangeLog {
    /// How many partitions there are.
    pub fn partitions(&self) -> u16 {
        unimplemented!()
    }

    /// The partition of a topic.
    pub fn partition_of(&self, topic: &Topic) -> Partition {
        u16::try_from(topic.stable_hash() % u64::from(self.partitions()))
            .expect("it is below the number of partitions")
    }

    /// Appends in the order given; durable when it returns. Repeating a publication id gives its first position.
    ///
    /// # Errors
    /// [`StreamsError::Unavailable`]: some may have been appended; repeat the whole call.
    pub async fn append(&self, publications: &[NewPublication]) -> Result<Vec<Position>, StreamsError> {
        let _ = publications;
        unimplemented!()
    }

    /// How a partition stands.
    ///
    /// # Errors
    /// [`StreamsError::Unavailable`].
    pub async fn state(&self, partition: Partition) -> Result<PartitionState, StreamsError> {
        let _ = partition;
        unimplemented!()
    }

    /// What lies after each cursor, at most `entries_max` per partition; waits up to `wait` when there is nothing.
    /// Returns as soon as one partition has something; an empty result means that the wait has passed.
    ///
    /// # Errors
    /// [`StreamsError::Unavailable`].
    pub async fn read(
        &self,
        cursors: &[Cursor],
        entries_max: usize,
        wait: Duration,
    ) -> Result<Vec<ReadBatch>, StreamsError> {
        let _ = (cursors, entries_max, wait);
        unimplemented!()
    }
}
