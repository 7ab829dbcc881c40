//! The two ways in which messages are written: JSON and Protobuf.

use super::command::{Command, ConnectRequest, EmulationRequest};
use super::reply::{Push, Reply};
use super::{json, protobuf};

/// How a connection wants its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// One JSON object a message; messages of a frame are separated by line feeds.
    Json,
    /// Messages of a frame follow each other, each behind its length.
    Protobuf,
}

/// A frame, or a message in it, that makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// A frame without a message, or an empty line between two.
    #[error("a message is empty")]
    Empty,
    /// Something else than an object.
    #[error("a message is not an object")]
    NotObject,
    /// Not JSON, or not of the right shape.
    #[error("a message is malformed")]
    Json(#[from] serde_json::Error),
    /// Not Protobuf, or not of the right shape.
    #[error("a message is malformed")]
    Protobuf(#[from] prost::DecodeError),
    /// A message is shorter than its length says.
    #[error("a message is cut off")]
    CutOff,
    /// A command with an id that asks for nothing, or a reply that says nothing.
    #[error("a message has an id but no content")]
    NoContent,
}

impl Dialect {
    /// Adds a message of the server to the frame in `out`.
    pub fn write_reply(self, out: &mut Vec<u8>, reply: &Reply<'_>) {
        match self {
            Self::Json => {
                separate(out);
                json::write_reply(out, reply);
            }
            Self::Protobuf => protobuf::write_reply(out, reply),
        }
    }

    /// Adds a bare push, as transports that go one way have it, to the frame in `out`. Their ping is that of the
    /// others, [`Reply::Ping`].
    pub fn write_push(self, out: &mut Vec<u8>, push: &Push<'_>) {
        match self {
            Self::Json => {
                separate(out);
                json::write_push(out, push);
            }
            Self::Protobuf => protobuf::write_push(out, push),
        }
    }

    /// Adds a command to the frame in `out`.
    pub fn write_command(self, out: &mut Vec<u8>, command: &Command<'_>) {
        match self {
            Self::Json => {
                separate(out);
                json::write_command(out, command);
            }
            Self::Protobuf => protobuf::write_command(out, command),
        }
    }

    /// The commands of a frame that a client sent, decoded one by one. Ends after the first error.
    pub fn commands(self, frame: &[u8]) -> Commands<'_> {
        Commands(match self {
            Self::Json => Either::Json(json::Commands::new(frame)),
            Self::Protobuf => Either::Protobuf(protobuf::Commands::new(frame)),
        })
    }

    /// The messages of a frame that a server sent, decoded one by one. Ends after the first error.
    pub fn replies(self, frame: &[u8]) -> Replies<'_> {
        Replies(match self {
            Self::Json => Either::Json(json::Replies::new(frame)),
            Self::Protobuf => Either::Protobuf(protobuf::Replies::new(frame)),
        })
    }

    /// Reads the one message that a client sends on transports that go one way.
    ///
    /// # Errors
    /// [`DecodeError`] when it is not such a message.
    pub fn connect_request(self, body: &[u8]) -> Result<ConnectRequest<'_>, DecodeError> {
        match self {
            Self::Json => json::connect_request(body),
            Self::Protobuf => protobuf::connect_request(body),
        }
    }

    /// Reads the body of a request to `/emulation`.
    ///
    /// # Errors
    /// [`DecodeError`] when it is not such a body.
    pub fn emulation_request(self, body: &[u8]) -> Result<EmulationRequest<'_>, DecodeError> {
        match self {
            Self::Json => json::emulation_request(body),
            Self::Protobuf => protobuf::emulation_request(body),
        }
    }
}

fn separate(out: &mut Vec<u8>) {
    if !out.is_empty() {
        out.push(json::SEPARATOR);
    }
}

#[derive(Debug, Clone)]
enum Either<J, P> {
    Json(J),
    Protobuf(P),
}

/// The commands of a frame, decoded one by one.
#[derive(Debug, Clone)]
pub struct Commands<'a>(Either<json::Commands<'a>, protobuf::Commands<'a>>);

impl<'a> Commands<'a> {
    /// What is not yet decoded; `None` at the end. A frame of its own.
    pub fn rest(&self) -> Option<&'a [u8]> {
        match &self.0 {
            Either::Json(commands) => commands.rest(),
            Either::Protobuf(commands) => commands.rest(),
        }
    }
}

impl<'a> Iterator for Commands<'a> {
    type Item = Result<Command<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Either::Json(commands) => commands.next(),
            Either::Protobuf(commands) => commands.next(),
        }
    }
}

/// The messages of a server's frame, decoded one by one.
#[derive(Debug, Clone)]
pub struct Replies<'a>(Either<json::Replies<'a>, protobuf::Replies<'a>>);

impl<'a> Iterator for Replies<'a> {
    type Item = Result<Reply<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Either::Json(replies) => replies.next(),
            Either::Protobuf(replies) => replies.next(),
        }
    }
}
