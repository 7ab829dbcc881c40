//! The real binary as a process: started, asked, stopped and killed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod config;
mod descriptors;
mod live;
mod process;
mod runbook;
mod serve;
mod tls;
