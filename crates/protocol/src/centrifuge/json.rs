//! The JSON dialect: one JSON object a message, messages of a frame separated by line feeds.
//!
//! Zero values are left out, except where SDKs read without a guard: the result member of a reply is there even
//! when empty, and so are a code of 0 and an empty reason.

mod read;
mod write;

pub use read::{Commands, DecodeError, Replies};
pub use write::{write_command, write_reply};

/// The separator of messages within a frame.
pub const SEPARATOR: u8 = b'\n';

/// The commands of a frame that a client sent, decoded one by one.
pub fn commands(frame: &str) -> Commands<'_> {
    Commands::new(frame)
}

/// The messages of a frame that a server sent, decoded one by one.
pub fn replies(frame: &str) -> Replies<'_> {
    Replies::new(frame)
}
