//! The API from outside: real requests, both engines.
#![expect(clippy::unwrap_used, reason = "tests")]

mod alerts;
mod announcements;
mod auth;
mod bad_input;
mod bounces;
mod devices;
mod document;
mod events;
mod feeds;
mod festival;
mod frame;
mod idempotency;
mod import;
mod operations;
mod preferences;
mod programme_refusals;
mod revocation;
mod schedule;
mod support;
