//! From a publication to the sockets: encoded once, joined once for all who are at the same place, and written to each
//! subscriber.

use std::sync::Arc;

use protocol::codes::DisconnectCode;
use streams::{Partition, PartitionState};

use super::connection::{Connection, Dirty, NEVER};
use super::joining::Joined;
use super::turn::DirtyList;
use super::{Key, Shard};
use crate::config::Limits;
use crate::metrics::Delivery;
use crate::publication::{Batch, Form, Live};
use crate::topics::{ConnectionIndex, TopicIndex};
use crate::world::Patience;

/// A round in which several connections are given something: who is to be written to, and who is too slow for it.
pub(super) struct Round<'s> {
    dirty: &'s mut DirtyList,
    urgency: Dirty,
    queue_bytes_max: usize,
    pub(super) slow: Vec<Key>,
}

impl<'s> Round<'s> {
    pub(super) fn new(limits: &Limits, dirty: &'s mut DirtyList, urgency: Dirty) -> Self {
        Self { dirty, urgency, queue_bytes_max: limits.queue_bytes_max as usize, slow: Vec::new() }
    }

    /// The connection at `index` was given something that belongs to a subscription.
    pub(super) fn gave(&mut self, index: ConnectionIndex, connection: &mut Connection) {
        let key = Key { index, generation: connection.generation };
        if connection.outgoing.publication_bytes() > self.queue_bytes_max {
            self.slow.push(key);
        }
        self.dirty.note(key, &mut connection.dirty, self.urgency);
    }
}

impl Shard {
    /// Queues what several reads of the log have brought for the subscribers of its topics. Within a topic the order is
    /// the log's; topics in which something is urgent come first.
    pub(super) fn publish(&mut self, batches: &[Arc<Batch>]) {
        let lives = batches.iter().flat_map(|batch| &batch.publications);
        let mut followed: Vec<(TopicIndex, &Live)> =
            lives.filter_map(|live| self.topics.find(&live.topic).map(|topic| (topic, live))).collect();
        followed.sort_by_key(|(topic, _)| *topic); // stable: the order within a topic stays
        let runs = followed.chunk_by(|one, next| one.0 == next.0);
        let (urgent, waiting): (Vec<_>, Vec<_>) =
            runs.partition(|run| run.iter().any(|(_, live)| live.urgent));
        for (runs, urgency) in [(urgent, Dirty::Urgent), (waiting, Dirty::Waits)] {
            for run in runs {
                let lives: Vec<&Live> = run.iter().map(|(_, live)| *live).collect();
                self.publish_run(run[0].0, &lives, urgency);
            }
        }
        for batch in batches {
            if !followed.is_empty() {
                self.dirty.note_batch(batch.read_at);
            }
            self.look_at_holds(batch.partition, None);
        }
    }

    /// Queues the publications of one topic, oldest first, for each of its subscribers.
    fn publish_run(&mut self, topic: TopicIndex, lives: &[&Live], urgency: Dirty) {
        let (Some(first), Some(last)) = (lives.first(), lives.last()) else { return };
        let mut joined = Joined::new(lives);
        let mut round = Round::new(&self.shared.config.limits, &mut self.dirty, urgency);
        for member in self.topics.members(topic) {
            if member.from >= last.turn {
                continue; // its first answer has them all
            }
            let connection = &mut self.connections[member.connection as usize];
            let common = if member.from < first.turn { joined.form_for(member) } else { None };
            if let Some(form) = common {
                for chunk in joined.of(connection.wire, form) {
                    connection.outgoing.push_for(member.subscription, chunk, urgency);
                }
            } else {
                for live in lives.iter().filter(|live| live.turn > member.from) {
                    let form = member.terms.as_mut().map_or(Some(Form::Plain), |terms| terms.form_of(live));
                    if let Some(form) = form {
                        let chunk = live.chunk(connection.wire, form);
                        connection.outgoing.push_for(member.subscription, &chunk, urgency);
                    }
                }
            }
            round.gave(member.connection, connection);
        }
        let slow = round.slow;
        self.relieve_all(slow);
    }

    /// Writes what waits for one connection, as far as its socket takes it.
    pub(super) fn write(&mut self, key: Key) {
        let Some(connection) = self.get(key) else { return };
        let Ok(progress) = connection.outgoing.write_to(&connection.socket) else {
            let lost = connection.outgoing.take_fresh();
            self.metrics.deliveries(Delivery::Closed, u64::from(lost));
            self.lose(key, DisconnectCode::WriteError.into());
            return;
        };
        if progress.drained {
            connection.deadlines.write = NEVER;
            if connection.is_deaf() {
                connection.socket.finish(); // the peer sees the end at once, and ends its side
            }
        }
        let left = u32::try_from(connection.outgoing.bytes()).unwrap_or(u32::MAX);
        let was_left = std::mem::replace(&mut connection.left, left);
        let done = connection.is_done();
        self.left = self.left + u64::from(left) - u64::from(was_left);
        self.metrics.written.increment(progress.bytes as u64);
        let outcome = if progress.drained { Delivery::Sent } else { Delivery::Queued };
        self.metrics.deliveries(outcome, u64::from(progress.fresh));
        if !progress.drained {
            self.await_room(key, progress.bytes > 0);
        }
        if done {
            self.remove(key);
        }
    }

    /// A socket has not taken all; it has to take more in time.
    fn await_room(&mut self, key: Key, progressed: bool) {
        let until = self.tick_in(self.shared.config.write_timeout_ms);
        let Some(connection) = self.get(key) else { return };
        if progressed || connection.deadlines.write == NEVER {
            connection.deadlines.write = until;
        }
        self.arm(key);
    }

    /// Ends what the subscribers of a partition believe: something was lost to them. They hear nothing more, and
    /// are told so one by one over the configured window.
    pub(super) fn void(&mut self, partition: Partition, turn: u64) {
        let now_ms = self.uptime_ms();
        let spread_ms = self.shared.config.resync_spread_ms;
        for member in self.topics.void(partition, turn) {
            let key = self.key(member.connection as usize);
            let due_ms = now_ms + self.random_below(spread_ms);
            self.resyncs.push(std::cmp::Reverse((due_ms, key, member.subscription)));
        }
        self.look_at_holds(partition, None);
    }

    /// The log of a partition stands like this: positions beyond it are void.
    pub(super) fn probed(&mut self, partition: Partition, state: &PartitionState) {
        if self.shared.histories.read(partition).epoch == state.epoch {
            self.look_at_holds(partition, Some(state.last));
        }
    }

    /// Goes on with held commands whose position was reached, or lies beyond `last` of the log.
    fn look_at_holds(&mut self, partition: Partition, last: Option<u64>) {
        if self.holds.is_empty() {
            return;
        }
        let applied = self.shared.histories.read(partition).applied;
        for key in std::mem::take(&mut self.holds) {
            let Some(paused) = self.get(key).and_then(|connection| connection.paused.as_deref()) else {
                continue;
            };
            let here = paused.partition == partition;
            match last {
                _ if here && paused.offset <= applied => self.resume(key, Patience::Wait),
                Some(last) if here && paused.offset > last => {
                    self.resume(key, Patience::Lost { partition, last });
                }
                _ => self.holds.push(key),
            }
        }
    }
}
