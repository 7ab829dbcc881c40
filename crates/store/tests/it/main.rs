//! One suite over both engines: SQLite in a temporary file and PostgreSQL in a server of the test's own.
#![expect(clippy::unwrap_used, reason = "tests")]

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[macro_use]
mod engines;

mod delivery;
mod programme;
