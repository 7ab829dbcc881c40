//! The change log and the work queues, each embedded or on Redis. Alone in speaking Redis.
//!
//! [`ChangeLog`]: the partitioned, append-only log of publications that every hub node tails. [`WorkQueue`]: pages
//! of work, claimed by lease, acknowledged, retried later. Both promise *at least once*; consumers are idempotent
//! by id. One conformance suite runs over both backends.

mod bells;
mod codec;
mod config;
mod error;
mod journal;
mod log;
mod metrics;
mod open;
mod queue;
mod redis;

pub use config::{Config, Embedded, Fsync, Redis};
pub use error::StreamsError;
pub use log::{
    ChangeLog, Cursor, Entry, Epoch, NewPublication, Partition, PartitionState, Position, Publication,
    ReadBatch,
};
pub use open::open;
pub use queue::{Claimed, NewItem, QueueName, QueueStats, WorkQueue};
