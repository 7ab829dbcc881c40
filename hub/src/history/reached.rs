//! Waiting until this node has read as far as somebody has written, so that they can read what they wrote.

use std::sync::Arc;
use std::time::Duration;

use streams::{Partition, Position};
use tokio::time::{Instant, timeout_at};

use super::Histories;

impl Histories {
    /// Waits until the entry at `position` was applied here, at most until `deadline`. What another incarnation of the
    /// log had is not waited for.
    pub(crate) async fn reached(&self, partition: Partition, position: &Position, deadline: Instant) {
        loop {
            let moved = {
                let history = self.read(partition);
                if history.applied >= position.offset || history.epoch != position.epoch {
                    return;
                }
                // owned before the lock is given back: what is applied from here on wakes it
                Arc::clone(&history.moved).notified_owned()
            };
            if timeout_at(deadline, moved).await.is_err() {
                return;
            }
        }
    }

    /// As [`Histories::reached`], for the positions of several topics.
    pub(crate) async fn reached_all(&self, positions: &[(Partition, Position)], patience: Duration) {
        let deadline = Instant::now() + patience;
        for (partition, position) in positions {
            self.reached(*partition, position, deadline).await;
        }
    }
}
