//! One connection of a shard: its socket, its session, what waits to be written, and its deadlines.

use protocol::ws::Decoder;
use streams::Partition;

use super::outgoing::Outgoing;
use crate::census::Admission;
use crate::conversation::Conversation;
use crate::session::Expiry;
use crate::socket::Socket;
use crate::wire::Wire;

/// A time of the shard: ticks of the wheel since the shard began. Seven years fit.
pub(super) type Tick = u32;
/// A deadline that is not set.
pub(super) const NEVER: Tick = Tick::MAX;

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
    pub(super) session: Conversation,
    pub(super) decoder: Decoder,
    pub(super) outgoing: Outgoing,
    /// Bytes that its last write has left.
    pub(super) left: u32,
    pub(super) state: State,
    /// Input that waits because a command is held.
    pub(super) paused: Option<Box<Paused>>,
    /// Whether a list of connections to write to has it.
    pub(super) dirty: Dirty,
    /// The expiry that the shard watches.
    pub(super) watched_expiry: Expiry,
    pub(super) deadlines: Deadlines,
    /// Its place in the process's count.
    pub(super) _admission: Admission,
}

/// How soon a connection is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Dirty {
    /// There is nothing new.
    No,
    /// In its turn.
    Waits,
    /// Before those that wait.
    Urgent,
}

/// Whether the connection still talks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Open,
    /// A close frame was sent, or waits to be.
    Closing {
        /// The socket is dropped then.
        until: Tick,
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
    pub(super) until: Tick,
}

/// When something has to happen.
#[derive(Debug)]
pub(super) struct Deadlines {
    /// `connect` has to have succeeded.
    pub(super) connect: Tick,
    /// The next ping.
    pub(super) ping: Tick,
    /// The answer to the last one.
    pub(super) pong: Tick,
    /// The socket has to have taken something of what waits.
    pub(super) write: Tick,
    /// When the wheel will look next.
    pub(super) armed: Tick,
}

impl Connection {
    /// The earliest deadline.
    pub(super) fn next_deadline(&self) -> Tick {
        match self.state {
            State::Closing { until, .. } => until,
            State::Open => {
                let Deadlines { connect, ping, pong, write, armed: _ } = self.deadlines;
                let held = self.paused.as_ref().map_or(NEVER, |paused| paused.until);
                connect.min(ping).min(pong).min(write).min(held)
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topics::Member;

    /// Goal: what every connection has, and every subscription, stays small. Who needs more needs a box.
    #[test]
    fn what_there_is_of_every_connection_is_small() {
        assert!(size_of::<Connection>() <= 224, "{}", size_of::<Connection>());
        assert!(size_of::<crate::session::Session>() <= 96, "{}", size_of::<crate::session::Session>());
        assert!(size_of::<Decoder>() <= 16 && size_of::<Outgoing>() <= 8);
        assert!(size_of::<Member>() <= 24);
    }
}
