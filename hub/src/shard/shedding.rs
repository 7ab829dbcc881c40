//! What a connection loses when it reads too slowly: its least important topics first, itself last.

use std::sync::Arc;

use protocol::codes::DisconnectCode;

use super::{Key, Shard};
use crate::metrics::Delivery;

impl Shard {
    /// Relieves each of these connections.
    pub(super) fn relieve_all(&mut self, slow: Vec<Key>) {
        let queue_bytes_max = self.shared.config.limits.queue_bytes_max as usize;
        for key in slow {
            self.relieve(key, queue_bytes_max);
        }
    }

    /// Writes to a connection whose queue is over its limit. When that does not help, ends its least important
    /// subscriptions, whose client then subscribes again and recovers; when that does not help either, closes it.
    fn relieve(&mut self, key: Key, queue_bytes_max: usize) {
        self.write(key);
        let is_over = |shard: &mut Self| {
            let connection = shard.get(key).filter(|connection| connection.is_open());
            connection.is_some_and(|connection| connection.outgoing.publication_bytes() > queue_bytes_max)
        };
        if !is_over(self) {
            return;
        }
        let shed = self.shed(key, queue_bytes_max / 2);
        if shed.is_err() || is_over(self) {
            let Some(connection) = self.get(key) else { return };
            let dropped = connection.outgoing.take_fresh();
            self.metrics.deliveries(Delivery::QueueFull, u64::from(dropped.max(1)));
            self.close(key, shed.err().unwrap_or(DisconnectCode::Slow).into());
        }
    }

    /// A client that asks without reading the answers is slow, too.
    pub(super) fn limit_answers(&mut self, key: Key) {
        let answer_bytes_max = self.shared.config.limits.answer_bytes_max as usize;
        let is_over = |shard: &mut Self| {
            shard.get(key).is_some_and(|connection| connection.outgoing.answer_bytes() > answer_bytes_max)
        };
        if is_over(self) {
            self.write(key);
        }
        if is_over(self) {
            self.close(key, DisconnectCode::Slow.into());
        }
    }

    /// Ends subscriptions until at most `bytes_max` wait, or none is left that can be ended.
    fn shed(&mut self, key: Key, bytes_max: usize) -> Result<(), DisconnectCode> {
        let config = Arc::clone(&self.shared.config);
        let Some(connection) = self.connections.get_mut(key.index as usize) else { return Ok(()) };
        self.out.wire = connection.wire;
        while connection.outgoing.publication_bytes() > bytes_max {
            let waiting = connection.outgoing.owners();
            let Some(least) = connection.session.least_important(&waiting, &self.topics, &config) else {
                break;
            };
            let dropped = connection.outgoing.drop_of(least);
            self.metrics.deliveries(Delivery::Shed, u64::from(dropped));
            self.metrics.sheds.increment(1);
            connection.session.end_for_now(least, &mut self.topics, &mut self.out)?;
        }
        self.say(key);
        Ok(())
    }
}
