//! The workers as a process runs them, over both pairs of backends: SQLite with embedded streams, and PostgreSQL with
//! Redis. Providers are scripted gateways at the network edge; the adapters' own tests use the stand-ins.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, a measurement prints"
)]

mod gateway;
#[macro_use]
mod rig;

mod credentials;
mod delivery;
mod escalation;
mod failures;
mod lanes;
mod relay;
mod schedules;
