//! Everything that speaks SQL: migrations, entities, one module per table family, the outbox.
//!
//! One code over two engines: SQLite (the embedded default: one file, WAL, one writer) and PostgreSQL. Functions
//! take `&mut Tx` where they write, and an operation's owner begins and commits. Times are microseconds since
//! 1970 in `BIGINT` columns named `…_at`, so that both engines compare and index them alike (ADR 0003).

mod binds;
mod connection;
mod error;
#[cfg(test)]
mod plans;
mod sql;

pub mod announcements;
pub mod audience;
pub mod calendars;
pub mod categories;
pub mod coverage;
pub mod deliveries;
pub mod devices;
pub mod events;
pub mod evidence;
pub mod idempotency;
pub mod lane_pauses;
pub mod leases;
pub mod log_cursors;
pub mod mail_addresses;
pub mod migration;
pub mod notifications;
pub mod operator_actions;
pub mod outbox;
pub mod performers;
pub mod preferences;
pub mod recipients;
pub mod recount;
pub mod refresh_tokens;
pub mod reminders;
pub mod schedules;
pub mod stars;
pub mod users;
pub mod venues;

pub use connection::{Config, Engine, Store, Tx};
pub use error::StoreError;
