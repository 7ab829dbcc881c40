//! The Centrifuge client protocol: commands upstream, replies and pushes downstream.
//!
//! [`command`] and [`reply`] are the messages as such, borrowed from the frame that they were read from where the
//! dialect allows it; a [`Dialect`] writes and reads them. [`filter`] chooses publications by their tags, [`fossil`]
//! makes deltas of payloads. Map subscriptions, shared polls and dictionaries are left out: their fields are ignored,
//! save those by which a server declines them.

pub mod command;
mod dialect;
pub mod filter;
pub mod fossil;

pub mod json;
mod payload;
mod protobuf;
pub mod reply;

pub use command::{Command, EmulationRequest, Request};
pub use dialect::{Commands, DecodeError, Dialect, Replies};
pub use payload::{Payload, PayloadError, minify};
pub use reply::{Push, Reply};
