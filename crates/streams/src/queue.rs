//! Work queues: one per channel and lane, items claimed by lease.

mod embedded;
mod redis;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::Timestamp;
use tokio::time::Instant;

pub(crate) use self::embedded::EmbeddedQueue;
pub(crate) use self::redis::RedisQueue;
use crate::{Config, StreamsError};

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
pub struct WorkQueue {
    backend: Backend,
    batch_max: usize,
}

#[derive(Debug, Clone)]
enum Backend {
    Embedded(Arc<EmbeddedQueue>),
    Redis(Arc<RedisQueue>),
}

impl WorkQueue {
    /// Bytes in the largest body.
    pub const BODY_BYTES_MAX: usize = 64 * 1024;
    /// Bytes in the longest name of a queue and the longest id of an item.
    pub const NAME_BYTES_MAX: usize = 200;

    pub(crate) fn embedded(queue: EmbeddedQueue, config: &Config) -> Self {
        Self { backend: Backend::Embedded(Arc::new(queue)), batch_max: config.batch_max }
    }

    pub(crate) fn redis(queue: RedisQueue, config: &Config) -> Self {
        Self { backend: Backend::Redis(Arc::new(queue)), batch_max: config.batch_max }
    }

    /// Adds items; durable when it returns.
    ///
    /// # Errors
    /// [`StreamsError::Unavailable`]: some may have been added; repeat the whole call.
    /// [`StreamsError::Full`]: there is no room for all of them; the first ones of a call larger than the configured
    /// batch may have been added. [`StreamsError::TooLarge`]: nothing was added.
    pub async fn push(&self, queue: &QueueName, items: &[NewItem]) -> Result<(), StreamsError> {
        check_size(queue.0.as_bytes(), "the name of a queue", Self::NAME_BYTES_MAX)?;
        for item in items {
            check_size(item.id.as_bytes(), "the id of an item", Self::NAME_BYTES_MAX)?;
            check_size(&item.body, "the body of an item", Self::BODY_BYTES_MAX)?;
        }
        for batch in items.chunks(self.batch_max) {
            match &self.backend {
                Backend::Embedded(backend) => backend.push(queue, batch.to_vec()).await?,
                Backend::Redis(backend) => backend.push(queue, batch).await?,
            }
        }
        Ok(())
    }

    /// Claims up to `items_max` items (at most the configured batch) for `lease`: first those whose earlier lease has
    /// run out, then the oldest ready ones. Waits up to `wait` when there is nothing. Dropped while it waits, it may
    /// have claimed items that nobody sees until their lease runs out.
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
        let deadline = Instant::now() + wait;
        let items_max = items_max.clamp(1, self.batch_max);
        match &self.backend {
            Backend::Embedded(backend) => backend.claim(queue, items_max, lease, deadline).await,
            Backend::Redis(backend) => backend.claim(queue, items_max, lease, deadline).await,
        }
    }

    /// Ends items; unknown ids change nothing.
    ///
    /// # Errors
    /// [`StreamsError::Unavailable`].
    pub async fn acknowledge(&self, queue: &QueueName, ids: &[Box<str>]) -> Result<(), StreamsError> {
        for batch in ids.chunks(self.batch_max) {
            match &self.backend {
                Backend::Embedded(backend) => backend.acknowledge(queue, batch.to_vec()).await?,
                Backend::Redis(backend) => backend.acknowledge(queue, batch).await?,
            }
        }
        Ok(())
    }

    /// Puts a claimed item back, with a new body, not to be claimed before `at`. In one step: it is never lost
    /// between the two. An item that was ended meanwhile stays ended.
    ///
    /// # Errors
    /// [`StreamsError::Unavailable`]. [`StreamsError::TooLarge`]: nothing has changed.
    pub async fn retry(
        &self,
        queue: &QueueName,
        id: &str,
        body: Bytes,
        at: Timestamp,
    ) -> Result<(), StreamsError> {
        check_size(&body, "the body of an item", Self::BODY_BYTES_MAX)?;
        match &self.backend {
            Backend::Embedded(backend) => backend.retry(queue, id, body, at).await,
            Backend::Redis(backend) => backend.retry(queue, id, body, at).await,
        }
    }

    /// How a queue stands.
    ///
    /// # Errors
    /// [`StreamsError::Unavailable`].
    pub async fn stats(&self, queue: &QueueName) -> Result<QueueStats, StreamsError> {
        match &self.backend {
            Backend::Embedded(backend) => backend.stats(queue).await,
            Backend::Redis(backend) => backend.stats(queue).await,
        }
    }
}

fn check_size(bytes: impl AsRef<[u8]>, what: &str, bytes_max: usize) -> Result<(), StreamsError> {
    let bytes = bytes.as_ref().len();
    if bytes > bytes_max {
        return Err(StreamsError::TooLarge { what: what.to_owned(), bytes, bytes_max });
    }
    Ok(())
}
