//! Connections and transactions over both engines.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction,
    SqliteTransactionMode, TransactionOptions, TransactionTrait,
};
use sea_orm_migration::MigratorTrait;
use serde::Deserialize;
use tokio::sync::Notify;

use crate::StoreError;
use crate::migration::Migrator;

/// Number of the lock that one migrating process holds: "munadi" in ASCII.
const MIGRATION_LOCK: i64 = 0x6d75_6e61_6469;

/// Where the data lives: `[store]` in the configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `sqlite:PATH` for the embedded default, or `postgres://user:password@host/database`. Empty: a SQLite file
    /// `munadi.db` in the data directory.
    pub url: String,
    /// Connections in the pool. 1 to 200. SQLite uses them for reading and has one more for writing.
    /// Too low: requests wait for each other. Too high: PostgreSQL runs out of connections.
    pub connections_max: u32,
    /// Milliseconds to wait for a free connection before a request fails. 100 to 60,000.
    pub acquire_timeout_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { url: String::new(), connections_max: 10, acquire_timeout_ms: 5_000 }
    }
}

impl Config {
    /// What is wrong, as field and rule.
    pub fn check(&self) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        if !self.url.is_empty()
            && let Err(StoreError::Url(rule)) = engine_of(&self.url)
        {
            faults.push(("url", rule));
        }
        if !(1..=200).contains(&self.connections_max) {
            faults.push(("connections_max", format!("must be 1 to 200, is {}", self.connections_max)));
        }
        if !(100..=60_000).contains(&self.acquire_timeout_ms) {
            faults.push((
                "acquire_timeout_ms",
                format!("must be 100 to 60000, is {}", self.acquire_timeout_ms),
            ));
        }
        faults
    }
}

/// Which database engine a store runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// One file, one writer.
    Sqlite,
    /// A server, many writers.
    Postgres,
}

/// A handle on the database. Cloning is cheap.
#[derive(Clone)]
pub struct Store {
    read: DatabaseConnection,
    write: DatabaseConnection,
    engine: Engine,
    outbox_written: Arc<Notify>,
}

/// A transaction. Dropped without [`Tx::commit`], it has done nothing.
pub struct Tx {
    inner: DatabaseTransaction,
    engine: Engine,
    outbox_written: Arc<Notify>,
    wakes_relay: bool,
}

impl Store {
    /// Opens the database of `config` and checks that it answers. Does not migrate.
    ///
    /// # Errors
    /// [`StoreError::Url`] for a URL of no known engine, [`StoreError::Database`] when it cannot be opened.
    pub async fn connect(config: &Config) -> Result<Self, StoreError> {
        let engine = engine_of(&config.url)?;
        let (read, write) = match engine {
            Engine::Sqlite => {
                let url = sqlite_url(&config.url);
                (
                    Database::connect(options(&url, config, config.connections_max)).await?,
                    Database::connect(options(&url, config, 1)).await?,
                )
            }
            Engine::Postgres => {
                let pool = Database::connect(options(&config.url, config, config.connections_max)).await?;
                (pool.clone(), pool)
            }
        };
        Ok(Self { read, write, engine, outbox_written: Arc::new(Notify::new()) })
    }

    /// Brings the schema up to this version. Safe to run again, and by several processes at once.
    ///
    /// # Errors
    /// [`StoreError::Database`] when a migration fails; what it had done is rolled back.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let tx = self.begin().await?;
        if tx.engine == Engine::Postgres {
            // on SQLite, the transaction itself keeps the others out
            let lock = format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK})");
            tx.inner.execute_unprepared(&lock).await?;
        }
        Migrator::up(&tx.inner, None).await?;
        tx.commit().await
    }

    /// Begins a transaction. On SQLite it holds the one writer from the start (`BEGIN IMMEDIATE`).
    ///
    /// # Errors
    /// [`StoreError::Database`] when no connection is free within the configured wait.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        let options = match self.engine {
            Engine::Sqlite => TransactionOptions {
                sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
                ..TransactionOptions::default()
            },
            Engine::Postgres => TransactionOptions::default(),
        };
        Ok(Tx {
            inner: self.write.begin_with_options(options).await?,
            engine: self.engine,
            outbox_written: Arc::clone(&self.outbox_written),
            wakes_relay: false,
        })
    }

    /// Which engine this is.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// Where reads outside of transactions go.
    pub(crate) fn reader(&self) -> &DatabaseConnection {
        &self.read
    }

    /// Notified when a transaction of this process that wrote to the outbox has committed.
    pub(crate) fn outbox_written(&self) -> &Arc<Notify> {
        &self.outbox_written
    }
}

impl Tx {
    /// Makes the transaction's work durable, and wakes the relay when it wrote to the outbox.
    ///
    /// # Errors
    /// [`StoreError::Database`] when the database refuses: then nothing was done.
    pub async fn commit(self) -> Result<(), StoreError> {
        self.inner.commit().await?;
        if self.wakes_relay {
            self.outbox_written.notify_one();
        }
        Ok(())
    }

    /// Gives up the transaction's work, and its locks by the time that this is done. Dropping does so, too, but later.
    ///
    /// # Errors
    /// [`StoreError::Database`] when the connection is lost: then nothing was done either.
    pub async fn rollback(self) -> Result<(), StoreError> {
        Ok(self.inner.rollback().await?)
    }

    /// Which engine this is.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// The connection that the table modules run their statements on.
    pub(crate) fn connection(&mut self) -> &DatabaseTransaction {
        &self.inner
    }

    /// Asks for the relay of this process to be woken at commit. Whether this was the first time.
    pub(crate) fn wake_relay_at_commit(&mut self) -> bool {
        !std::mem::replace(&mut self.wakes_relay, true)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("engine", &self.engine).finish_non_exhaustive()
    }
}

impl fmt::Debug for Tx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tx").field("engine", &self.engine).finish_non_exhaustive()
    }
}

fn engine_of(url: &str) -> Result<Engine, StoreError> {
    match url.split_once(':').map(|(scheme, _)| scheme) {
        Some("sqlite") => Ok(Engine::Sqlite),
        Some("postgres" | "postgresql") => Ok(Engine::Postgres),
        _ => Err(StoreError::Url("must begin with sqlite: or postgres://".to_owned())),
    }
}

/// The file is created when absent.
fn sqlite_url(url: &str) -> String {
    if url.contains('?') { url.to_owned() } else { format!("{url}?mode=rwc") }
}

fn options(url: &str, config: &Config, connections_max: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections_max)
        .min_connections(1)
        .acquire_timeout(Duration::from_millis(config.acquire_timeout_ms))
        .sqlx_logging(false)
        .map_sqlx_sqlite_opts(|sqlite| {
            sqlite
                .pragma("journal_mode", "WAL")
                .pragma("synchronous", "FULL")
                .pragma("foreign_keys", "ON")
                .pragma("busy_timeout", "5000")
        });
    options
}
