//! How far consumers have read the change log.

use sea_orm::ConnectionTrait;

use crate::binds::Binds;
use crate::sql::{get, statement};
use crate::{Store, StoreError, Tx};

/// A place in one partition of the change log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogCursor {
    /// Which partition.
    pub partition: u16,
    /// The incarnation that `offset` counts in.
    pub epoch: String,
    /// Everything up to and including this number was handled.
    pub offset: u64,
}

/// Where `consumer` is, for the partitions it has read.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn load(store: &Store, consumer: &str) -> Result<Vec<LogCursor>, StoreError> {
    let sql = "SELECT partition, epoch, read_offset FROM log_cursors WHERE consumer = $1 ORDER BY partition";
    let rows = store.reader().query_all_raw(statement(store.engine(), sql, [consumer.into()])).await?;
    rows.iter()
        .map(|row| {
            let (partition, offset): (i64, i64) = (get(row, "partition")?, get(row, "read_offset")?);
            Ok(LogCursor {
                partition: u16::try_from(partition).unwrap_or(u16::MAX),
                epoch: get(row, "epoch")?,
                offset: u64::try_from(offset).unwrap_or(0),
            })
        })
        .collect()
}

/// Notes where `consumer` is.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn save(tx: &mut Tx, consumer: &str, cursors: &[LogCursor]) -> Result<(), StoreError> {
    if cursors.is_empty() {
        return Ok(());
    }
    let mut values = Binds::default();
    let rows = cursors
        .iter()
        .map(|one| {
            let offset = i64::try_from(one.offset).unwrap_or(i64::MAX);
            values.row([
                consumer.into(),
                i64::from(one.partition).into(),
                one.epoch.clone().into(),
                offset.into(),
            ])
        })
        .collect::<Vec<_>>()
        .join(", ");
    let sql = format!(
        "INSERT INTO log_cursors (consumer, partition, epoch, read_offset) VALUES {rows} \
         ON CONFLICT (consumer, partition) DO UPDATE SET epoch = excluded.epoch, read_offset = excluded.read_offset"
    );
    let engine = tx.engine();
    tx.connection().execute_raw(statement(engine, sql, values.take())).await?;
    Ok(())
}
