//! Who comes and goes, told to the subscribers that wish to know.

use super::Shard;
use super::connection::Dirty;
use super::fanout::Round;
use super::outgoing::Chunk;
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
        let mut round = Round::new(&self.shared.config.limits, &mut self.dirty, Dirty::Waits);
        for member in self.topics.members(topic) {
            if !member.terms.as_ref().is_some_and(|terms| terms.signals) {
                continue;
            }
            let connection = &mut self.connections[member.connection as usize];
            let chunk = Chunk { bytes: signal.frame(connection.wire).clone(), publications: 0 };
            connection.outgoing.push_for(member.subscription, &chunk, Dirty::Waits);
            round.gave(member.connection, connection);
        }
        let slow = round.slow;
        self.relieve_all(slow);
    }
}
