//! The change log and the work queues from outside: one suite over both backends, then each backend's own ways to
//! break.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod backend;
mod crash;
mod damage;
mod log;
mod outage;
mod queue;
