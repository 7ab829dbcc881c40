//! What waits to be written to one socket. Empty it holds no memory; one chunk is held without a queue.

use std::collections::{HashMap, VecDeque};
use std::io::{self, ErrorKind, IoSlice};

use bytes::Bytes;

use super::connection::Dirty;
use crate::socket::Socket;
use crate::topics::SubscriptionId;
use crate::wire::Wire;

/// Chunks that one write takes together.
const SLICES_MAX: usize = 64;
/// The owner of what belongs to no subscription.
const NOBODY: SubscriptionId = SubscriptionId::MAX;

/// What is written together.
#[derive(Debug, Clone)]
pub(crate) struct Chunk {
    /// Whole frames.
    pub(crate) bytes: Bytes,
    /// How many publications they carry.
    pub(crate) publications: u32,
}

/// A chunk that waits.
#[derive(Debug)]
struct Waiting {
    chunk: Chunk,
    /// The subscription that it belongs to.
    owner: SubscriptionId,
    /// Whether it has overtaken what is less urgent.
    ahead: bool,
}

/// What waits for one socket.
#[derive(Debug, Default)]
pub(crate) struct Outgoing(Option<Box<Queue>>);

/// Chunks of whole frames, the first perhaps written in part.
#[derive(Debug, Default)]
struct Queue {
    first: Bytes,
    /// The subscription that `first` belongs to.
    first_owner: SubscriptionId,
    /// Publications that were added since the last write.
    fresh: u32,
    /// Bytes of `first` that are written.
    written: usize,
    rest: VecDeque<Waiting>,
    bytes: usize,
    /// Those of them that belong to no subscription.
    answer_bytes: usize,
}

/// How a write ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Bytes that the socket took.
    pub(crate) bytes: usize,
    /// Publications that were new to this write.
    pub(crate) fresh: u32,
    /// Whether nothing is left.
    pub(crate) drained: bool,
}

impl Outgoing {
    /// Adds a chunk of whole frames that belongs to no subscription.
    pub(crate) fn push(&mut self, bytes: Bytes) {
        self.add(NOBODY, Chunk { bytes, publications: 0 }, Dirty::Waits);
    }

    /// Adds a chunk that belongs to the subscription `owner`. What is urgent overtakes, with what waits of its own
    /// subscription, the chunks of others; but neither the chunk that is under way nor an answer, which may be what a
    /// later publication builds on.
    pub(crate) fn push_for(&mut self, owner: SubscriptionId, chunk: &Chunk, urgency: Dirty) {
        self.add(owner, chunk.clone(), urgency);
    }

    fn add(&mut self, owner: SubscriptionId, chunk: Chunk, urgency: Dirty) {
        let queue = self.0.get_or_insert_default();
        queue.bytes += chunk.bytes.len();
        queue.fresh += chunk.publications;
        if owner == NOBODY {
            queue.answer_bytes += chunk.bytes.len();
        }
        if queue.first.is_empty() {
            queue.first_owner = owner;
            queue.first = chunk.bytes;
            return;
        }
        queue.rest.push_back(Waiting { chunk, owner, ahead: false });
        if urgency == Dirty::Urgent {
            queue.bring_forward(owner);
        }
    }

    /// The subscriptions for which something waits that can still be dropped, and how many bytes.
    pub(crate) fn owners(&self) -> HashMap<SubscriptionId, usize> {
        let mut owners = HashMap::new();
        let rest = self.0.iter().flat_map(|queue| &queue.rest);
        for waiting in rest.filter(|waiting| waiting.owner != NOBODY) {
            *owners.entry(waiting.owner).or_default() += waiting.chunk.bytes.len();
        }
        owners
    }

    /// Drops what waits for a subscription, but for the chunk that is under way; gives the number of publications.
    pub(crate) fn drop_of(&mut self, owner: SubscriptionId) -> u32 {
        let Some(queue) = &mut self.0 else { return 0 };
        let (mut bytes, mut publications) = (0, 0);
        queue.rest.retain(|waiting| {
            if waiting.owner == owner {
                bytes += waiting.chunk.bytes.len();
                publications += waiting.chunk.publications;
            }
            waiting.owner != owner
        });
        queue.bytes -= bytes;
        publications
    }

    /// Bytes of publications that wait.
    pub(crate) fn publication_bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |queue| queue.bytes - queue.answer_bytes)
    }

    /// Bytes of everything else that waits.
    pub(crate) fn answer_bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |queue| queue.answer_bytes)
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|queue| queue.bytes == 0)
    }

    /// Bytes that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |queue| queue.bytes)
    }

    /// Publications that were added since the last write.
    pub(crate) fn take_fresh(&mut self) -> u32 {
        self.0.as_mut().map_or(0, |queue| std::mem::take(&mut queue.fresh))
    }

    /// Writes until everything is written or the socket takes no more.
    ///
    /// # Errors
    /// Whatever ends the connection.
    pub(crate) fn write_to(&mut self, socket: &Socket) -> io::Result<Progress> {
        let mut bytes = 0;
        while let Some(queue) = self.0.as_mut().filter(|queue| queue.bytes > 0) {
            let (offered, result) = queue.write_once(socket);
            match result {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    queue.advance(count);
                    bytes += count;
                    if count < offered {
                        break; // the socket is full; the kernel tells when it is not
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let fresh = self.take_fresh();
        self.release();
        Ok(Progress { bytes, fresh, drained: self.0.is_none() })
    }

    /// Drops what waits, except for the end of what is written in part: the peer stays at a message's border.
    pub(crate) fn cut(&mut self, wire: Wire) {
        let Some(queue) = &mut self.0 else { return };
        queue.rest = VecDeque::new();
        let end = wire.whole(&queue.first, queue.written);
        queue.first.truncate(end);
        queue.bytes = end - queue.written;
        queue.answer_bytes = if queue.first_owner == NOBODY { queue.bytes } else { 0 };
        self.release();
    }

    /// Gives the memory of an empty queue back.
    fn release(&mut self) {
        if self.is_empty() {
            self.0 = None;
        }
    }
}

impl Queue {
    /// Moves what waits of `owner` and may overtake the others to where what has overtaken before ends.
    fn bring_forward(&mut self, owner: SubscriptionId) {
        let from = self.rest.iter().rposition(|waiting| waiting.owner == NOBODY).map_or(0, |at| at + 1);
        let movable = &mut self.rest.make_contiguous()[from..];
        for waiting in movable.iter_mut().filter(|waiting| waiting.owner == owner) {
            waiting.ahead = true;
        }
        movable.sort_by_key(|waiting| !waiting.ahead); // stable: each subscription keeps its order
    }

    fn write_once(&self, socket: &Socket) -> (usize, io::Result<usize>) {
        let start = &self.first[self.written..];
        if self.rest.is_empty() {
            return (start.len(), socket.write(start));
        }
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        slices[0] = IoSlice::new(start);
        let mut offered = start.len();
        let mut count = 1;
        for (slice, waiting) in slices[1..].iter_mut().zip(&self.rest) {
            *slice = IoSlice::new(&waiting.chunk.bytes);
            offered += waiting.chunk.bytes.len();
            count += 1;
        }
        (offered, socket.write_vectored(&slices[..count]))
    }

    /// So many bytes were written.
    fn advance(&mut self, mut count: usize) {
        self.bytes -= count;
        if self.bytes == 0 {
            return; // it is given back
        }
        loop {
            let left = self.first.len() - self.written;
            if self.first_owner == NOBODY {
                self.answer_bytes -= count.min(left);
            }
            if count < left {
                self.written += count;
                return;
            }
            count -= left;
            self.written = 0;
            let Some(Waiting { chunk, owner, .. }) = self.rest.pop_front() else {
                self.first = Bytes::new();
                return;
            };
            self.first = chunk.bytes;
            self.first_owner = owner;
        }
    }
}

#[cfg(test)]
mod tests;
