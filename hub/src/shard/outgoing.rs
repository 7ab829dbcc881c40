//! What waits to be written to one socket. Empty it holds no memory; one chunk is held without a queue.

use std::collections::{HashMap, VecDeque};
use std::io::{self, ErrorKind, IoSlice};

use bytes::Bytes;

use crate::socket::Socket;
use crate::topics::SubscriptionId;
use crate::wire::Wire;

/// Chunks that one write takes together.
const SLICES_MAX: usize = 32;
/// The owner of what belongs to no subscription.
const NOBODY: SubscriptionId = SubscriptionId::MAX;

/// What is written together.
#[derive(Debug)]
struct Chunk {
    bytes: Bytes,
    /// The subscription that it belongs to.
    owner: SubscriptionId,
    publications: u32,
}

/// What waits for one socket: chunks of whole frames, the first perhaps written in part.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    first: Bytes,
    /// The subscription that `first` belongs to.
    first_owner: SubscriptionId,
    /// Bytes of `first` that are written.
    written: usize,
    rest: VecDeque<Chunk>,
    bytes: usize,
    /// Those of them that belong to no subscription.
    answer_bytes: usize,
    /// Publications that were added since the last write.
    fresh: u32,
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
    pub(crate) fn push(&mut self, chunk: Bytes) {
        self.push_for(NOBODY, chunk, 0);
    }

    /// Adds a chunk of whole frames that carries `publications` to the subscription `owner`.
    pub(crate) fn push_for(&mut self, owner: SubscriptionId, bytes: Bytes, publications: u32) {
        self.bytes += bytes.len();
        self.fresh += publications;
        if owner == NOBODY {
            self.answer_bytes += bytes.len();
        }
        if self.first.is_empty() {
            self.first_owner = owner;
            self.first = bytes;
        } else {
            self.rest.push_back(Chunk { bytes, owner, publications });
        }
    }

    /// The subscriptions for which something waits that can still be dropped, and how many bytes.
    pub(crate) fn owners(&self) -> HashMap<SubscriptionId, usize> {
        let mut owners = HashMap::new();
        for chunk in self.rest.iter().filter(|chunk| chunk.owner != NOBODY) {
            *owners.entry(chunk.owner).or_default() += chunk.bytes.len();
        }
        owners
    }

    /// Drops what waits for a subscription, but for the chunk that is under way; gives the number of publications.
    pub(crate) fn drop_of(&mut self, owner: SubscriptionId) -> u32 {
        let (mut bytes, mut publications) = (0, 0);
        self.rest.retain(|chunk| {
            if chunk.owner == owner {
                bytes += chunk.bytes.len();
                publications += chunk.publications;
            }
            chunk.owner != owner
        });
        self.bytes -= bytes;
        publications
    }

    /// Bytes of publications that wait.
    pub(crate) fn publication_bytes(&self) -> usize {
        self.bytes - self.answer_bytes
    }

    /// Bytes of everything else that waits.
    pub(crate) fn answer_bytes(&self) -> usize {
        self.answer_bytes
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Publications that were added since the last write.
    pub(crate) fn take_fresh(&mut self) -> u32 {
        std::mem::take(&mut self.fresh)
    }

    /// Writes until everything is written or the socket takes no more.
    ///
    /// # Errors
    /// Whatever ends the connection.
    pub(crate) fn write_to(&mut self, socket: &Socket) -> io::Result<Progress> {
        let mut bytes = 0;
        while self.bytes > 0 {
            let (offered, result) = self.write_once(socket);
            match result {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.advance(count);
                    bytes += count;
                    if count < offered {
                        break; // the socket is full; it wakes the connection's task when it is not
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Progress { bytes, fresh: self.take_fresh(), drained: self.bytes == 0 })
    }

    fn write_once(&self, socket: &Socket) -> (usize, io::Result<usize>) {
        let start = &self.first[self.written..];
        if self.rest.is_empty() {
            return (start.len(), socket.try_write(start));
        }
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        slices[0] = IoSlice::new(start);
        let mut offered = start.len();
        let mut count = 1;
        for (slice, chunk) in slices[1..].iter_mut().zip(&self.rest) {
            *slice = IoSlice::new(&chunk.bytes);
            offered += chunk.bytes.len();
            count += 1;
        }
        (offered, socket.try_write_vectored(&slices[..count]))
    }

    fn advance(&mut self, mut count: usize) {
        self.bytes -= count;
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
            let Some(chunk) = self.rest.pop_front() else {
                self.first = Bytes::new();
                self.rest = VecDeque::new();
                return;
            };
            self.first = chunk.bytes;
            self.first_owner = chunk.owner;
        }
    }

    /// Drops what waits, except for the end of what is written in part: the peer stays at a message's border.
    pub(crate) fn cut(&mut self, wire: Wire) {
        self.rest = VecDeque::new();
        let end = wire.whole(&self.first, self.written);
        self.first.truncate(end);
        self.bytes = end - self.written;
        self.answer_bytes = if self.first_owner == NOBODY { self.bytes } else { 0 };
        if self.bytes == 0 {
            self.first = Bytes::new();
            self.written = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::ws;

    use super::*;

    fn frame(byte: u8, length: usize) -> Bytes {
        ws::frame(ws::Opcode::Binary, &vec![byte; length]).into()
    }

    #[test]
    fn what_is_written_in_part_goes_on_where_it_stopped() {
        let mut outgoing = Outgoing::default();
        let frames = [frame(1, 10), frame(2, 200), frame(3, 5)];
        for frame in &frames {
            outgoing.push_for(1, frame.clone(), 1);
        }
        let all: Vec<u8> = frames.concat();
        let mut seen = Vec::new();
        for count in [1, 11, 30, 1, 170].into_iter().chain(std::iter::once(all.len() - 213)) {
            let mut now: Vec<u8> = outgoing.first[outgoing.written..].to_vec();
            for chunk in &outgoing.rest {
                now.extend_from_slice(&chunk.bytes);
            }
            assert_eq!(now.len(), outgoing.publication_bytes());
            seen.extend_from_slice(&now[..count]);
            outgoing.advance(count);
        }
        assert_eq!(seen, all);
        assert!(outgoing.is_empty() && outgoing.take_fresh() == 3);
    }

    #[test]
    fn a_cut_leaves_the_end_of_the_frame_that_is_under_way() {
        let mut outgoing = Outgoing::default();
        outgoing.push_for(1, [frame(1, 10), frame(2, 10), frame(3, 10)].concat().into(), 3);
        outgoing.push_for(1, frame(4, 10), 1);
        outgoing.advance(15);
        outgoing.cut(Wire::JsonSocket);
        assert_eq!(&outgoing.first[outgoing.written..], &frame(2, 10)[3..]);
        assert_eq!(outgoing.publication_bytes(), 9);
        outgoing.advance(9);
        assert!(outgoing.is_empty());
        outgoing.push(frame(5, 1));
        outgoing.cut(Wire::JsonSocket);
        assert!(outgoing.is_empty(), "nothing of it was written");
    }

    #[test]
    fn what_is_dropped_is_one_subscriptions_and_not_yet_under_way() {
        let mut outgoing = Outgoing::default();
        for owner in [1, 2, 1] {
            outgoing.push_for(owner, frame(7, 10), 1);
        }
        outgoing.push(frame(7, 10));
        assert_eq!(outgoing.owners(), HashMap::from([(1, 12), (2, 12)]));
        assert_eq!(outgoing.drop_of(1), 1, "the first chunk may be under way");
        assert_eq!((outgoing.publication_bytes(), outgoing.answer_bytes()), (24, 12));
        outgoing.advance(36);
        assert!(outgoing.is_empty());
    }
}
