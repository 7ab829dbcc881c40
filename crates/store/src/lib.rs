//! Everything that speaks SQL: migrations, entities, one module per table family, the outbox.
//!
//! One code over two engines: SQLite (the embedded default: one file, WAL, one writer) and PostgreSQL. Functions
//! take `&mut Tx` where they write, and an operation's owner begins and commits. Times are microseconds since
//! 1970 in `BIGINT` columns named `…_at`, so that both engines compare and index them alike (ADR 0003).

mod connection;
mod error;
pub mod migration;

pub use connection::{Config, Engine, Store, Tx};
pub use error::StoreError;
