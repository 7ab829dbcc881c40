//! The API from outside: real requests, both engines.
#![expect(clippy::unwrap_used, reason = "tests")]

mod events;
mod festival;
mod frame;
mod import;
mod programme_refusals;
mod schedule;
mod support;
