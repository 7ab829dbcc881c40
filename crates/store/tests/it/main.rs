//! One suite over both engines: SQLite in a temporary file and PostgreSQL in a server of the test's own.
#![expect(clippy::unwrap_used, reason = "tests")]

#[macro_use]
mod engines;

mod coverage;
mod delivery;
mod migration;
mod programme;
mod wishes;
