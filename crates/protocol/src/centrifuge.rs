//! The Centrifuge client protocol: commands upstream, replies and pushes downstream.
//!
//! [`command`] and [`reply`] are the messages as such, borrowed from the frame that they were read from; [`json`]
//! writes and reads them in the JSON dialect. Map subscriptions, shared polls and dictionaries are left out: their
//! fields are ignored, save those by which a server declines them.

pub mod command;
pub mod json;
mod payload;
pub mod reply;

pub use command::{Command, Request};
pub use payload::{Payload, PayloadError, minify};
pub use reply::{Push, Reply};
