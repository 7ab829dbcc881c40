//! Pusher Channels, protocol 7: what pusher-js, Laravel Echo and Pusher's server libraries speak.
//!
//! [`channel`] has the names and what their prefixes mean, [`topics`] how names and our topics belong together.
//! [`read`] and [`write`](mod@write) are the two directions of the socket, [`event`] is how an event travels as the
//! payload of a publication. [`signature`] has every signature of the protocol, [`http`] the bodies of its HTTP API,
//! [`webhook`] what the application's back end is told, [`code`] the numbers that clients act on.
//!
//! Source: Pusher's "Channels protocol" and "HTTP API" pages, and the clients themselves.

pub mod channel;
pub mod code;
pub mod event;
pub mod http;
pub mod read;
pub mod signature;
pub mod socket_id;
pub mod topics;
pub mod webhook;
pub mod write;

pub use channel::{Channel, ChannelError, Prefix};
pub use code::Code;
pub use read::ClientMessage;
pub use signature::Signer;
pub use socket_id::SocketId;
pub use topics::Names;
pub use write::ServerMessage;

/// The version of the protocol that is spoken.
pub const PROTOCOL: u32 = 7;
/// How the names of events begin that are the protocol's own; applications cannot publish them.
pub const RESERVED_EVENTS: [&str; 2] = ["pusher:", "pusher_internal:"];
/// How the names of events begin that clients send to each other.
pub const CLIENT_EVENTS: &str = "client-";
/// Characters of the longest name of an event.
pub const EVENT_NAME_MAX: usize = 200;

/// Whether an application may publish an event of this name.
pub fn is_event_name(name: &str) -> bool {
    !name.is_empty()
        && name.chars().count() <= EVENT_NAME_MAX
        && !RESERVED_EVENTS.iter().any(|reserved| name.starts_with(reserved))
}
