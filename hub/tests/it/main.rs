//! The real hub on port 0 over the embedded change log or Redis, with a WebSocket client that nobody here wrote.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod autobahn;
mod bodies;
mod classes;
mod client;
mod commands;
mod conversation;
mod door;
mod drain;
mod endings;
mod evidence;
mod harness;
mod limits;
mod measure;
mod presence;
mod publish;
mod pusher;
mod pusher_client;
mod recovery;
mod revocation;
mod server_api;
mod streams;
mod tls;
mod tokens;
mod transports;
