//! What goes over a socket: dialects, frames, codes. Pure: no I/O, no clock, no randomness of its own.
//!
//! [`ws`] is RFC 6455 framing for both ends. [`centrifuge`] is the Centrifuge client protocol, whose word "channel"
//! (our *topic*) stays in this crate. [`codes`] are the numbers that clients act on. [`pusher`] is protocol 7 of Pusher
//! Channels, with its signatures and HTTP bodies.

pub mod centrifuge;
pub mod codes;
pub mod pusher;
pub mod ws;
