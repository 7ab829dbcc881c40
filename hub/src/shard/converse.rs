//! From frames to the sessions: what clients say, command by command.

use protocol::centrifuge::{Command, Request};
use protocol::codes::DisconnectCode;
use streams::Partition;

use crate::conversation::Conversation;
use crate::out::Out;
use crate::session::{Session, Stop};
use crate::world::{Patience, World};

/// How far a frame's commands came.
pub(super) enum Flow {
    Done,
    Close(DisconnectCode),
    /// The commands from the held one on, and what it waits for.
    Hold {
        frame: Vec<u8>,
        partition: Partition,
        offset: u64,
    },
}

/// Gives the commands of a frame to the session, in order.
pub(super) fn converse(
    session: &mut Conversation,
    frame: &[u8],
    world: &mut World<'_>,
    out: &mut Out,
) -> Flow {
    let session = match session {
        Conversation::Centrifuge(session) => session,
        Conversation::Pusher(session) => {
            return session.receive(frame, world, out).map_or_else(Flow::Close, |()| Flow::Done);
        }
    };
    if out.wire.is_one_way() {
        return listen(session, frame, world, out);
    }
    let mut commands = out.wire.dialect().commands(frame);
    loop {
        let here = commands.rest();
        let command = match commands.next() {
            None => return Flow::Done,
            Some(Err(_)) => return Flow::Close(DisconnectCode::BadRequest),
            Some(Ok(command)) => command,
        };
        match session.receive(&command, world, out) {
            Ok(()) => world.patience = Patience::Wait,
            Err(Stop::Close(code)) => return Flow::Close(code),
            Err(Stop::Hold { partition, offset }) => {
                return Flow::Hold { frame: here.unwrap_or_default().to_vec(), partition, offset };
            }
        }
    }
}

/// Takes the one message of a client that only listens; whatever follows it is ignored.
fn listen(session: &mut Session, frame: &[u8], world: &mut World<'_>, out: &mut Out) -> Flow {
    if session.is_connected() {
        return Flow::Done;
    }
    let Ok(request) = out.wire.dialect().connect_request(frame) else {
        return Flow::Close(DisconnectCode::BadRequest);
    };
    // commands without a number get no answer, and nobody sees this one
    let command = Command { id: 1, request: Request::Connect(Box::new(request)) };
    match session.receive(&command, world, out) {
        Ok(()) => Flow::Done,
        Err(Stop::Close(code)) => Flow::Close(code),
        Err(Stop::Hold { partition, offset }) => Flow::Hold { frame: frame.to_vec(), partition, offset },
    }
}
