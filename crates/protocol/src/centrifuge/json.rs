//! The JSON dialect: one JSON object a message, messages of a frame separated by line feeds.
//!
//! Zero values are left out, except where SDKs read without a guard: the result member of a reply is there even
//! when empty, and so are a code of 0 and an empty reason.

mod members;
mod read;
mod write_command;
mod write_reply;

pub(super) use read::{Commands, Replies, connect_request, emulation_request};
pub(super) use write_command::write_command;
pub(super) use write_reply::{write_push, write_reply};

/// The separator of messages within a frame.
pub const SEPARATOR: u8 = b'\n';

/// `text` as a JSON string: the form that payloads have in subscriptions with deltas.
pub fn quote(text: &str) -> Vec<u8> {
    let mut quoted = Vec::with_capacity(text.len() + text.len() / 8 + 2);
    members::write_text(&mut quoted, text);
    quoted
}
