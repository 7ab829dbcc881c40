//! Who comes and goes, told to the subscribers that wish to know.

use super::{Key, Shard};
use crate::presence::Signal;

impl Shard {
    /// Queues what has happened for those who are told.
    pub(super) fn signal(&mut self, signals: &[Signal]) {
        for signal in signals {
            self.signal_one(signal);
        }
    }

    fn signal_one(&mut self, signal: &Signal) {
        let Some(topic) = self.topics.find(&signal.topic) else { return };
        let queue_bytes_max = self.shared.config.limits.queue_bytes_max as usize;
        let mut slow = Vec::new();
        for member in self.topics.members(topic) {
            if !member.terms.as_ref().is_some_and(|terms| terms.signals) {
                continue;
            }
            let connection = &mut self.connections[member.connection as usize];
            let frame = signal.frame(connection.wire).clone();
            connection.outgoing.push_for(member.subscription, frame, 0);
            let key = Key { index: member.connection, generation: connection.generation };
            if connection.outgoing.publication_bytes() > queue_bytes_max {
                slow.push(key);
            }
            if !std::mem::replace(&mut connection.dirty, true) {
                self.dirty.push(key);
            }
        }
        for key in slow {
            self.relieve(key, queue_bytes_max);
        }
    }
}
