//! A turn of a shard: what the inbox has, what the sockets say, what is due, and then some of the writing. Each part is
//! bounded, so that nothing waits long for another: whoever has more goes on in the next turn.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::{Duration, Instant, MissedTickBehavior};
use tracing::warn;

use super::connection::Dirty;
use super::{Key, Message, Shard, wheel};
use crate::publication::Batch;
use service::Lifecycle;

/// Messages of the inbox that are taken in one turn.
const INBOX_TURN: usize = 256;
/// Sockets that are written to in one turn: some milliseconds.
const WRITES_TURN: usize = 256;

/// Connections to which something is to be written, each once in its list. Who has become urgent stands in both, and is
/// passed over in the list of those who wait.
#[derive(Debug, Default)]
pub(super) struct DirtyList {
    urgent: VecDeque<Key>,
    waiting: VecDeque<Key>,
    /// How many ever came into each list, and left it.
    urgent_count: Count,
    waiting_count: Count,
    /// Batches whose subscribers are in the lists, and how far the lists had come then.
    batches: VecDeque<(Instant, u64, u64)>,
}

#[derive(Debug, Default)]
struct Count {
    came: u64,
    left: u64,
}

impl DirtyList {
    /// Notes a connection whose mark is `dirty`.
    pub(super) fn note(&mut self, key: Key, dirty: &mut Dirty, wanted: Dirty) {
        if *dirty >= wanted {
            return;
        }
        *dirty = wanted;
        if wanted == Dirty::Urgent {
            self.urgent.push_back(key);
            self.urgent_count.came += 1;
        } else {
            self.waiting.push_back(key);
            self.waiting_count.came += 1;
        }
    }

    /// The next one; it may have been written to meanwhile.
    fn next(&mut self) -> Option<Key> {
        if let Some(key) = self.urgent.pop_front() {
            self.urgent_count.left += 1;
            return Some(key);
        }
        let key = self.waiting.pop_front()?;
        self.waiting_count.left += 1;
        Some(key)
    }

    fn is_empty(&self) -> bool {
        self.urgent.is_empty() && self.waiting.is_empty()
    }

    /// All subscribers of a batch that was read at `read_at` are in the lists.
    pub(super) fn note_batch(&mut self, read_at: Instant) {
        self.batches.push_back((read_at, self.urgent_count.came, self.waiting_count.came));
    }

    /// A batch whose subscribers have all been written to.
    fn next_done(&mut self) -> Option<Instant> {
        let (read_at, urgent, waiting) = *self.batches.front()?;
        let done = self.urgent_count.left >= urgent && self.waiting_count.left >= waiting;
        done.then(|| self.batches.pop_front()).flatten().map(|_| read_at)
    }
}

/// Runs a shard until nobody can reach it any more, or it has been drained.
pub(super) async fn run(mut shard: Shard, mut inbox: mpsc::Receiver<Message>, life: &Lifecycle) {
    let mut ticks = tokio::time::interval(Duration::from_millis(wheel::TICK_MS));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let draining = shard.drain.is_some();
        let busy = shard.is_busy();
        if busy || !inbox.is_empty() {
            tokio::task::yield_now().await; // the runtime looks at its clock and descriptors
        }
        if busy {
            std::thread::yield_now(); // who publishes may have the same core: what it brings meanwhile is joined
        }
        let first = tokio::select! { // every branch is cancel-safe: nothing is taken before the branch is chosen
            biased; // a turn takes of everything, whatever it began with
            () = life.abort().cancelled() => return,
            () = life.drain().cancelled(), if !draining => {
                shard.begin_drain();
                None
            }
            _ = ticks.tick() => {
                shard.tick();
                None
            }
            message = inbox.recv() => match message {
                Some(message) => Some(message),
                None => return,
            },
            () = shard.readiness.wait() => None,
            () = std::future::ready(()), if busy => None,
        };
        shard.turn(first, &mut inbox);
        if draining && shard.connections.is_empty() {
            return;
        }
    }
}

impl Shard {
    /// Whether there is more to do than the last turn did.
    fn is_busy(&self) -> bool {
        !self.dirty.is_empty() || !self.unread.is_empty()
    }

    fn turn(&mut self, first: Option<Message>, inbox: &mut mpsc::Receiver<Message>) {
        let mut batches = std::mem::take(&mut self.batches);
        let more = std::iter::from_fn(|| inbox.try_recv().ok());
        for message in first.into_iter().chain(more).take(INBOX_TURN) {
            if let Message::Batch(batch) = message {
                batches.push(batch);
                continue;
            }
            if !matches!(message, Message::Accept(_)) {
                self.publish_all(&mut batches); // everything else keeps its place among the publications
            }
            self.take(message);
        }
        self.publish_all(&mut batches);
        self.batches = batches;
        self.look_at_sockets();
        self.flush_some();
    }

    fn publish_all(&mut self, batches: &mut Vec<Arc<Batch>>) {
        if !batches.is_empty() {
            self.publish(batches);
            batches.clear();
        }
    }

    /// Has `key` written to in its turn.
    pub(super) fn mark(&mut self, key: Key) {
        let Some(connection) = self.connections.get_mut(key.index as usize) else { return };
        if connection.generation == key.generation {
            self.dirty.note(key, &mut connection.dirty, Dirty::Waits);
        }
    }

    /// Writes to `key` now, if there is something new for it.
    pub(super) fn flush(&mut self, key: Key) {
        let Some(connection) = self.get(key) else { return };
        if std::mem::replace(&mut connection.dirty, Dirty::No) != Dirty::No {
            self.write(key);
        }
    }

    /// Writes what waits for some of the connections that were given something.
    fn flush_some(&mut self) {
        let mut writes = 0;
        while writes < WRITES_TURN
            && let Some(key) = self.dirty.next()
        {
            writes += 1;
            self.flush(key);
        }
        while let Some(read_at) = self.dirty.next_done() {
            self.metrics.fan_out.record(read_at.elapsed().as_secs_f64());
        }
    }

    /// Hears what is new of the sockets.
    fn look_at_sockets(&mut self) {
        let unread = std::mem::take(&mut self.unread);
        let mut news = std::mem::take(&mut self.news);
        if let Err(error) = self.readiness.take(&mut news) {
            warn!("a shard does not hear of its sockets: {error}");
        }
        for one in news.drain(..) {
            let Some(connection) = self.connections.get(one.index) else { continue };
            let waits = !connection.outgoing.is_empty();
            let key = self.key(one.index);
            if one.writable && waits {
                self.mark(key);
            }
            if one.readable {
                self.read(key, one.ended);
            }
        }
        self.news = news;
        for key in unread {
            self.read(key, true);
        }
    }
}
