//! From a publication to the sockets: encoded once, written to each subscriber from this loop.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use protocol::codes::DisconnectCode;
use streams::{Partition, PartitionState};

use super::connection::{Connection, NEVER};
use super::{Key, Shard};
use crate::config::Limits;
use crate::metrics::Delivery;
use crate::publication::{Batch, Form, Live};
use crate::topics::{ConnectionIndex, TopicIndex};
use crate::wire::Wire;
use crate::world::Patience;

/// Bytes up to which publications of one topic are joined into one chunk.
const CHUNK_BYTES: usize = 65_536;

/// A round in which several connections are given something: who is to be written to, and who is too slow for it.
pub(super) struct Round<'s> {
    dirty: &'s mut Vec<Key>,
    queue_bytes_max: usize,
    pub(super) slow: Vec<Key>,
}

impl<'s> Round<'s> {
    pub(super) fn new(limits: &Limits, dirty: &'s mut Vec<Key>) -> Self {
        Self { dirty, queue_bytes_max: limits.queue_bytes_max as usize, slow: Vec::new() }
    }

    /// The connection at `index` was given something that belongs to a subscription.
    pub(super) fn gave(&mut self, index: ConnectionIndex, connection: &mut Connection) {
        let key = Key { index, generation: connection.generation };
        if connection.outgoing.publication_bytes() > self.queue_bytes_max {
            self.slow.push(key);
        }
        if !std::mem::replace(&mut connection.dirty, true) {
            self.dirty.push(key);
        }
    }
}

/// Frames that leave together.
struct Chunk {
    bytes: Bytes,
    publications: u32,
}

impl Shard {
    /// Queues a batch for the subscribers of its topics. Within a topic the order is the log's; what one subscriber
    /// gets from the whole turn of the inbox leaves in one write, in [`Shard::finish_turn`].
    pub(super) fn publish(&mut self, batch: &Batch) {
        let followed = batch.publications.iter().enumerate();
        let mut followed: Vec<(TopicIndex, usize)> = followed
            .filter_map(|(index, live)| self.topics.find(&live.topic).map(|topic| (topic, index)))
            .collect();
        followed.sort_by_key(|(topic, _)| *topic); // stable: the order within a topic stays
        for run in followed.chunk_by(|one, next| one.0 == next.0) {
            let lives: Vec<&Live> = run.iter().map(|(_, index)| &batch.publications[*index]).collect();
            self.publish_run(run[0].0, &lives);
        }
        if !followed.is_empty() {
            self.batches_read_at.push(batch.read_at);
        }
        self.look_at_holds(batch.partition, None);
    }

    /// Writes what the messages of this turn of the inbox have caused.
    pub(super) fn finish_turn(&mut self) {
        self.flush();
        for read_at in self.batches_read_at.drain(..) {
            self.metrics.fan_out.record(read_at.elapsed().as_secs_f64());
        }
    }

    /// Queues the publications of one topic, oldest first, for each of its subscribers.
    fn publish_run(&mut self, topic: TopicIndex, lives: &[&Live]) {
        let [first, .., last] = match lives {
            [one] => [one, one],
            [first, .., last] => [first, last],
            [] => return,
        };
        let mut joined = Joined::default();
        let mut round = Round::new(&self.shared.config.limits, &mut self.dirty);
        for member in self.topics.members(topic) {
            if member.from >= last.turn {
                continue; // its first answer has them all
            }
            let connection = &mut self.connections[member.connection as usize];
            if member.terms.is_none() && member.from < first.turn {
                for chunk in joined.of(connection.wire, lives) {
                    connection.outgoing.push_for(
                        member.subscription,
                        chunk.bytes.clone(),
                        chunk.publications,
                    );
                }
            } else {
                for live in lives.iter().filter(|live| live.turn > member.from) {
                    let form = member.terms.as_mut().map_or(Some(Form::Plain), |terms| terms.form_of(live));
                    if let Some(form) = form {
                        let frame = live.frame(connection.wire, form).clone();
                        connection.outgoing.push_for(member.subscription, frame, 1);
                    }
                }
            }
            round.gave(member.connection, connection);
        }
        let slow = round.slow;
        self.relieve_all(slow);
    }

    /// Writes what waits for the connections that were given something.
    pub(super) fn flush(&mut self) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for key in dirty.drain(..) {
            if let Some(connection) = self.get(key) {
                connection.dirty = false;
                self.write(key);
            }
        }
        if self.dirty.is_empty() {
            self.dirty = dirty; // keep its memory
        }
    }

    /// Writes what waits for one connection, as far as its socket takes it.
    pub(super) fn write(&mut self, key: Key) {
        let now_ms = self.uptime_ms();
        let write_timeout_ms = self.shared.config.write_timeout_ms;
        let Some(connection) = self.get(key) else { return };
        let Ok(progress) = connection.outgoing.write_to(&connection.socket) else {
            let lost = connection.outgoing.take_fresh();
            self.metrics.deliveries(Delivery::Closed, u64::from(lost));
            self.lose(key, DisconnectCode::WriteError.into());
            return;
        };
        let done = connection.is_done();
        if progress.drained && connection.is_deaf() {
            connection.socket.finish(); // the peer sees the end at once, and ends its side
        }
        if progress.drained {
            connection.deadlines.write_ms = NEVER;
        } else {
            if progress.bytes > 0 || connection.deadlines.write_ms == NEVER {
                connection.deadlines.write_ms = now_ms + write_timeout_ms;
            }
            connection.wake(); // its task waits for the socket
        }
        let outcome = if progress.drained { Delivery::Sent } else { Delivery::Queued };
        self.metrics.written.increment(progress.bytes as u64);
        self.metrics.deliveries(outcome, u64::from(progress.fresh));
        if done {
            self.remove(key);
        } else if !progress.drained {
            self.arm(key);
        }
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

/// Publications joined into chunks, once for each wire.
#[derive(Default)]
struct Joined([Option<Vec<Chunk>>; Wire::ALL.len()]);

impl Joined {
    fn of(&mut self, wire: Wire, lives: &[&Live]) -> &[Chunk] {
        self.0[wire as usize].get_or_insert_with(|| {
            let frames: Vec<&Bytes> = lives.iter().map(|live| live.frame(wire, Form::Plain)).collect();
            join(&frames)
        })
    }
}

/// Joins frames into as few chunks as their size allows.
fn join(frames: &[&Bytes]) -> Vec<Chunk> {
    if let [frame] = frames {
        return vec![Chunk { bytes: Bytes::clone(frame), publications: 1 }];
    }
    let mut chunks = Vec::new();
    let mut range: Range<usize> = 0..0;
    let mut bytes = 0;
    for (index, frame) in frames.iter().enumerate() {
        let length = frame.len();
        if bytes > 0 && bytes + length > CHUNK_BYTES {
            chunks.push(chunk(&frames[range.clone()], bytes));
            range = index..index;
            bytes = 0;
        }
        range.end = index + 1;
        bytes += length;
    }
    chunks.push(chunk(&frames[range], bytes));
    chunks
}

fn chunk(frames: &[&Bytes], length: usize) -> Chunk {
    let mut bytes = BytesMut::with_capacity(length);
    for frame in frames {
        bytes.extend_from_slice(frame);
    }
    let publications = u32::try_from(frames.len()).expect("a batch has fewer than 2^32 publications");
    Chunk { bytes: bytes.freeze(), publications }
}
