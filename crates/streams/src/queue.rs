//! Work queues: one per channel and lane, items claimed by lease.

use std::time::Duration;

use bytes::Bytes;
use domain::Timestamp;

use crate::StreamsError;

/// Which queue: short printable ASCII, such as `deliver.apns.emergency` or `receipts`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueName(pub Box<str>);

/// Something to do.
#[derive(Debug, Clone)]
pub struct NewItem {
    /// Pushing the same id again while the first is in the queue changes nothing.
    pub id: Box<str>,
    /// What the worker needs; at most 64 KiB.
    pub body: Bytes,
    /// Not to be claimed before; `None`: at once.
    pub not_before: Option<Timestamp>,
}

/// Something that this consumer has to do before the lease runs out.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// Its id.
    pub id: Box<str>,
    /// As pushed.
    pub body: Bytes,
    /// How often it was claimed, this time included.
    pub claims: u32,
}

/// How a queue stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueStats {
    /// Items that can be claimed now.
    pub ready: u64,
    /// Items whose time has not come.
    pub delayed: u64,
    /// Items under lease.
    pub claimed: u64,
    /// Since when the oldest ready or claimed item waits.
    pub oldest_at: Option<Timestamp>,
}

/// The work queues over their two backends. Cloning is cheap. Queues come into being when they are first used.
#[derive(Debug, Clone)]
pub struct WorkQueue {}

impl WorkQueue {
    /// Adds items; durable when it returns.
    ///
    /// # Errors
    /// [`StreamsError::Unavailable`]: some may have been added; repeat the whole call.
    pub async fn push(&self, queue: &QueueName, items: &[NewItem]) -> Result<(), StreamsError> {
        let _ = (queue, items);
        unimplemented!()
    }

    /// Claims up to `items_max` items for `lease`: first those whose earlier lease has run out, then the oldest
    /// ready ones. Waits up to `wait` when there is nothing.
    ///
    /// # Errors
    /// [`StreamsError::Unavailable`].
    pub async fn claim(
        &self,
        queue: &QueueName,
        items_max: usize,
        lease: Duration,
        wait: Duration,
    ) -> Result<Vec<Claimed>, StreamsError> {
        let _ = (queue, items_max, lease, wait);
        unimplemented!()
    }

    /// Ends items; unknown ids change nothing.
    ///
    /// # Errors
    /// [`StreamsError::Unavailable`].
    pub async fn acknowledge(&self, queue: &QueueName, ids: &[Box<str>]) -> Result<(), StreamsError> {
        let _ = (queue, ids);
        unimplemented!()
    }

    /// Puts a claimed item back, with a new body, not to be claimed before `at`. In one step: it is never lost
    /// between the two.
    ///
    /// # Errors
    /// [`StreamsError::Unavailable`].
    pub async fn retry(
        &self,
        queue: &QueueName,
        id: &str,
        body: Bytes,
        at: Timestamp,
    ) -> Result<(), StreamsError> {
        let _ = (queue, id, body, at);
        unimplemented!()
    }

    /// How a queue stands.
    ///
    /// # Errors
    /// [`StreamsError::Unavailable`].
    pub async fn stats(&self, queue: &QueueName) -> Result<QueueStats, StreamsError> {
        let _ = queue;
        unimplemented!()
    }
}
