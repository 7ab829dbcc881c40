//! One connection of a shard: its socket, its session, what waits to be written, and its deadlines.

use std::task::Waker;

use domain::Timestamp;
use protocol::ws::Decoder;
use streams::Partition;
use uuid::Uuid;

use super::outgoing::Outgoing;
use crate::census::Admission;
use crate::conversation::Conversation;
use crate::socket::Socket;
use crate::wire::Wire;

/// A deadline that is not set.
pub(super) const NEVER: u64 = u64::MAX;

/// Names a connection for good: the index may be used again, the generation is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) generation: u32,
    pub(super) socket: Socket,
    pub(super) wire: Wire,
    /// See [`super::Arrival::door`].
    pub(super) door: Option<Uuid>,
    /// Wakes the task that watches the socket.
    pub(super) waker: Option<Waker>,
    pub(super) session: Conversation,
    pub(super) decoder: Decoder,
    pub(super) outgoing: Outgoing,
    pub(super) state: State,
    /// Input that waits because a command is held.
    pub(super) paused: Option<Box<Paused>>,
    /// Whether the shard's list of connections to write to has it.
    pub(super) dirty: bool,
    /// The expiry that the shard watches.
    pub(super) watched_expiry: Option<Timestamp>,
    pub(super) deadlines: Deadlines,
    /// Its place in the process's count.
    pub(super) _admission: Admission,
}

/// Whether the connection still talks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Open,
    /// A close frame was sent, or waits to be.
    Closing {
        /// The socket is dropped then.
        until_ms: u64,
        /// Whether the peer's close frame has come.
        peer_closed: bool,
        /// Whether what still comes is thrown away unread, because it breaks the rules of WebSocket.
        deaf: bool,
    },
}

/// A held command, and what came after it.
#[derive(Debug)]
pub(super) struct Paused {
    /// The commands of the frame from the held one on.
    pub(super) frame: Vec<u8>,
    /// Bytes of the WebSocket after the frame.
    pub(super) raw: Vec<u8>,
    /// Frames that came another way meanwhile.
    pub(super) frames: Vec<Vec<u8>>,
    pub(super) partition: Partition,
    pub(super) offset: u64,
    pub(super) until_ms: u64,
}

/// When something has to happen, in milliseconds since the shard began.
#[derive(Debug)]
#[expect(clippy::struct_field_names, reason = "each is in milliseconds")]
pub(super) struct Deadlines {
    /// `connect` has to have succeeded.
    pub(super) connect_ms: u64,
    /// The next ping.
    pub(super) ping_ms: u64,
    /// The answer to the last one.
    pub(super) pong_ms: u64,
    /// The socket has to have taken something of what waits.
    pub(super) write_ms: u64,
    /// When the wheel will look next.
    pub(super) armed_ms: u64,
}

impl Connection {
    /// The earliest deadline.
    pub(super) fn next_deadline_ms(&self) -> u64 {
        match self.state {
            State::Closing { until_ms, .. } => until_ms,
            State::Open => {
                let Deadlines { connect_ms, ping_ms, pong_ms, write_ms, armed_ms: _ } = self.deadlines;
                let held_ms = self.paused.as_ref().map_or(NEVER, |paused| paused.until_ms);
                connect_ms.min(ping_ms).min(pong_ms).min(write_ms).min(held_ms)
            }
        }
    }

    /// Has the socket's task look again.
    pub(super) fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }

    /// Whether what comes is thrown away.
    pub(super) fn is_deaf(&self) -> bool {
        matches!(self.state, State::Closing { deaf: true, .. })
    }

    pub(super) fn is_open(&self) -> bool {
        self.state == State::Open
    }
}
