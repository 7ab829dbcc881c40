//! Opening the log and the queues that a configuration asks for.

use std::path::Path;
use std::sync::Arc;

use domain::Clock;

use crate::config::{Config, Fsync};
use crate::log::{EmbeddedLog, RedisLog};
use crate::queue::{EmbeddedQueue, RedisQueue};
use crate::redis::Connection;
use crate::{ChangeLog, StreamsError, WorkQueue, journal};

/// Opens the change log and the work queues. `clock` says which of the embedded ones' leases have run out and which
/// entries are old; on Redis its own clock does.
///
/// # Errors
/// [`StreamsError::Unavailable`] when a file cannot be opened or Redis does not answer, [`StreamsError::Locked`] when another process has
/// them open, [`StreamsError::Corrupt`] when they are damaged, [`StreamsError::Layout`] when the number of
/// partitions differs from what is stored.
pub async fn open(
    config: &Config,
    data_dir: &Path,
    clock: Arc<dyn Clock>,
) -> Result<(ChangeLog, WorkQueue), StreamsError> {
    crate::metrics::describe();
    if !config.url.is_empty() {
        let connection = Arc::new(Connection::open(config).await?);
        let log = RedisLog::new(Arc::clone(&connection), config);
        return Ok((
            ChangeLog::redis(log, config),
            WorkQueue::redis(RedisQueue::new(connection, config), config),
        ));
    }
    let (owned, dir) = (config.clone(), data_dir.join("streams"));
    let opening = tokio::task::spawn_blocking(move || open_files(&owned, &dir, clock));
    let (log, queue) = opening.await.map_err(|cause| StreamsError::unavailable("the streams", cause))??;
    if config.embedded.fsync == Fsync::Never {
        log.renew_all().await?;
    }
    Ok((ChangeLog::embedded(log, config), WorkQueue::embedded(queue, config)))
}

fn open_files(
    config: &Config,
    dir: &Path,
    clock: Arc<dyn Clock>,
) -> Result<(EmbeddedLog, EmbeddedQueue), StreamsError> {
    std::fs::create_dir_all(dir)
        .map_err(|cause| StreamsError::unavailable("the directory of the streams", cause))?;
    let lock = Arc::new(journal::lock(dir, config.lock_wait())?);
    let log = EmbeddedLog::open(config, &dir.join("log"), Arc::clone(&clock), Arc::clone(&lock))?;
    let queue = EmbeddedQueue::open(config, &dir.join("queues"), clock, lock)?;
    Ok((log, queue))
}
