//! What was published lately, per topic, in memory: recovery is answered from here, never by a read of the log.
//!
//! The tail alone writes; shards read when a client subscribes or asks. A partition's history is behind a lock of
//! its own that guards memory only and is held for microseconds. No lock is on the way of a publication to sockets.
//!
//! Everything that happens to a partition here – an entry, a loss – has a *turn*, a number that only grows. A reader
//! that takes its snapshot at turn T and then follows the events after T has neither a gap nor a duplicate.

mod partition;
mod reached;
mod reading;
mod recovery;

use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

use streams::Partition;

pub(crate) use partition::{Applied, Budget, Hole, PartitionHistory};
pub(crate) use reading::read_page;
pub(crate) use recovery::{Page, Recovery, Wish};

/// The histories of all partitions. Cloning is cheap.
#[derive(Debug, Clone)]
pub(crate) struct Histories(Arc<[RwLock<PartitionHistory>]>);

impl Histories {
    /// Histories that begin as given, in the order of the partitions.
    pub(crate) fn new(partitions: impl IntoIterator<Item = PartitionHistory>) -> Self {
        Self(partitions.into_iter().map(RwLock::new).collect())
    }

    /// For a look that ends before anything else is done.
    pub(crate) fn read(&self, partition: Partition) -> RwLockReadGuard<'_, PartitionHistory> {
        self.0[usize::from(partition)].read().expect("no holder of this lock panics")
    }

    /// For the tail.
    pub(crate) fn write(&self, partition: Partition) -> RwLockWriteGuard<'_, PartitionHistory> {
        self.0[usize::from(partition)].write().expect("no holder of this lock panics")
    }

    /// How many partitions there are.
    pub(crate) fn partitions(&self) -> Partition {
        Partition::try_from(self.0.len()).expect("partitions are counted in 16 bits")
    }

    /// The partition of a topic, as the log decides it.
    pub(crate) fn partition_of(&self, topic: &domain::Topic) -> Partition {
        Partition::try_from(topic.stable_hash() % self.0.len() as u64)
            .expect("it is below the number of partitions")
    }
}

#[cfg(test)]
mod tests;
