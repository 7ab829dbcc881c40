//! Sockets: front door, shards, tail of the change log, history.
//!
//! The front door ([`start()`]'s router) checks and upgrades; the raw socket then belongs to one *shard*, a thread with
//! its own connections and topics that shares no lock with the others on the way of a message. One task tails the
//! change log, keeps each topic's recent publications, and hands every publication, encoded once, to the shards.
//! There is no database here: the way of a message to a socket never waits for SQL.

mod authority;
mod census;
mod classes;
mod config;
mod confirm;
mod control;
mod conversation;
mod forward;
mod front;
mod history;
mod metrics;
mod origin;
mod out;
mod paces;
mod presence;
mod publication;
mod publish;
mod pusher;
mod revocations;
mod server_api;
mod session;
mod shard;
mod socket;
mod start;
mod tail;
mod topics;
mod users;
mod wire;
mod world;

pub use config::{
    App, Class, Classes, Config, DoorLimits, History, Http, Limits, Offer, Presence, Pusher, Refusals,
    Revocations, ServerApi, Tail, Tokens, WebhookKind, Webhooks, Who,
};
pub use start::{Deps, StartError, start};
