//! The change log on Redis: one stream per partition, its keys in one slot of a cluster.
//!
//! Each step is one script, so that counter, entry, link and ids change together. Readers wait for a bell
//! (`crate::redis`) and read without blocking the connection; every read proves that the log is still the one that
//! was read before.

mod entry;
mod seen;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::Topic;
use fred::types::Value;
use fred::types::scripts::Script;
use futures_util::future::{join_all, select_all};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use self::entry::{arguments, array, decode, decode_state};
use self::seen::Seen;
use crate::config::Config;
use crate::redis::Connection;
use crate::{
    Cursor, Entry, Epoch, NewPublication, Partition, PartitionState, Position, ReadBatch, StreamsError,
};

/// A handle on the log.
#[derive(Debug)]
pub(crate) struct RedisLog {
    connection: Arc<Connection>,
    partitions: u16,
    retention_entries: u64,
    retention_seconds: u64,
    trim_max: usize,
    seen: Seen,
    append: Script,
    read: Script,
    state: Script,
    topic_last: Script,
}

impl RedisLog {
    pub(crate) fn new(connection: Arc<Connection>, config: &Config) -> Self {
        Self {
            connection,
            partitions: config.partitions,
            retention_entries: config.retention_entries,
            retention_seconds: config.retention_seconds,
            // more than one call can add, so that trimming catches up with any writer
            trim_max: 2 * config.batch_max,
            seen: Seen::default(),
            append: Script::from_lua(include_str!("redis/append.lua")),
            read: Script::from_lua(include_str!("redis/read.lua")),
            state: Script::from_lua(include_str!("redis/state.lua")),
            topic_last: Script::from_lua(include_str!("redis/topic_last.lua")),
        }
    }

    pub(crate) async fn append(
        &self,
        publications: &[NewPublication],
    ) -> Result<Vec<Position>, StreamsError> {
        let mut by_partition: BTreeMap<Partition, Vec<usize>> = BTreeMap::new();
        for (index, publication) in publications.iter().enumerate() {
            by_partition
                .entry(super::partition_of(&publication.topic, self.partitions))
                .or_default()
                .push(index);
        }
        let batches = by_partition.into_iter().map(async |(partition, indices)| {
            let batch = indices.iter().map(|index| &publications[*index]);
            let positions = self.append_batch(partition, batch).await?;
            Ok(indices.into_iter().zip(positions).collect::<Vec<_>>())
        });
        let mut placed = Vec::with_capacity(publications.len());
        for result in join_all(batches).await {
            placed.extend(result?);
        }
        placed.sort_unstable_by_key(|(index, _)| *index);
        Ok(placed.into_iter().map(|(_, position)| position).collect())
    }

    async fn append_batch<'a>(
        &self,
        partition: Partition,
        publications: impl ExactSizeIterator<Item = &'a NewPublication>,
    ) -> Result<Vec<Position>, StreamsError> {
        let count = publications.len();
        let mut args: Vec<Value> = vec![
            Epoch::random().0.into_string().into(),
            self.retention_entries.to_string().into(),
            self.retention_seconds.to_string().into(),
            self.trim_max.to_string().into(),
            self.connection.channel.clone().into(),
            bell_name(partition).into(),
        ];
        args.extend(publications.flat_map(arguments));
        let answer = self.connection.run(&self.append, self.keys(partition), args).await?;
        let positions = || {
            let mut values = array(answer)?.into_iter();
            let epoch = Epoch(values.next()?.as_string()?.into_boxed_str());
            let place =
                |value: Value| Some(Position { epoch: epoch.clone(), offset: value.as_str()?.parse().ok()? });
            values.map(place).collect::<Option<Vec<_>>>().filter(|positions| positions.len() == count)
        };
        positions().ok_or_else(|| meaningless(partition))
    }

    pub(crate) async fn state(&self, partition: Partition) -> Result<PartitionState, StreamsError> {
        let args = vec![Epoch::random().0.into_string().into()];
        let answer = self.connection.run(&self.state, self.keys(partition), args).await?;
        array(answer).and_then(decode_state).ok_or_else(|| meaningless(partition))
    }

    pub(crate) async fn topic_last(
        &self,
        partition: Partition,
        topic: &Topic,
    ) -> Result<Option<u64>, StreamsError> {
        let keys = vec![self.key(partition, "topics")];
        let answer = self.connection.run(&self.topic_last, keys, vec![topic.as_str().into()]).await?;
        if answer.is_null() {
            return Ok(None);
        }
        answer.as_str().and_then(|text| text.parse().ok()).map(Some).ok_or_else(|| meaningless(partition))
    }

    pub(crate) async fn ping(&self) -> Result<(), StreamsError> {
        self.connection.ping().await
    }

    /// Cancel-safe: nothing is taken out of the log by reading it.
    pub(crate) async fn read(
        &self,
        cursors: &[Cursor],
        entries_max: usize,
        wait: Duration,
    ) -> Result<Vec<ReadBatch>, StreamsError> {
        let deadline = Instant::now() + wait;
        let listen = |cursor: &Cursor| self.connection.bells.listen(&bell_name(cursor.partition));
        let mut bells: Vec<watch::Receiver<()>> = cursors.iter().map(listen).collect();
        let mut due = vec![true; cursors.len()];
        loop {
            for bell in &mut bells {
                bell.mark_unchanged();
            }
            let looks = cursors.iter().zip(&due).filter(|(_, due)| **due);
            let looks = looks.map(|(cursor, _)| self.look(cursor, entries_max));
            let mut found = Vec::new();
            for result in join_all(looks).await {
                found.extend(result?);
            }
            let now = Instant::now();
            if !found.is_empty() || now >= deadline {
                return Ok(found);
            }
            let poll_at = now + self.connection.poll;
            let is_rung = timeout_at(poll_at.min(deadline), any_rings(&bells)).await.is_ok();
            for (due, bell) in due.iter_mut().zip(&bells) {
                *due = !is_rung || bell.has_changed().unwrap_or(true);
            }
        }
    }

    /// What lies after one cursor now.
    async fn look(&self, cursor: &Cursor, entries_max: usize) -> Result<Option<ReadBatch>, StreamsError> {
        let partition = cursor.partition;
        let known = self.seen.at(cursor).map(|id| bytes::Bytes::copy_from_slice(id.0.as_bytes()));
        let args = vec![
            Epoch::random().0.into_string().into(),
            (&*cursor.epoch.0).into(),
            cursor.after.to_string().into(),
            Value::Bytes(known.unwrap_or_default()),
            entries_max.to_string().into(),
        ];
        let answer = self.connection.run(&self.read, self.keys(partition), args).await?;
        let mut values = array(answer).ok_or_else(|| meaningless(partition))?.into_iter();
        let kind = values.next().and_then(|kind| kind.as_string()).unwrap_or_default();
        let state = |values| decode_state(values).ok_or_else(|| meaningless(partition));
        match kind.as_str() {
            "reset" => Ok(Some(ReadBatch::Reset { partition, state: state(values.collect())? })),
            "trimmed" => Ok(Some(ReadBatch::Trimmed { partition, state: state(values.collect())? })),
            "entries" => {
                let entries: Option<Vec<Entry>> = values.map(|value| decode(partition, value)).collect();
                let entries = entries.ok_or_else(|| meaningless(partition))?;
                let Some(last) = entries.last() else { return Ok(None) };
                self.seen.note(partition, cursor.epoch.clone(), last.offset, last.publication.id);
                Ok(Some(ReadBatch::Entries(entries)))
            }
            _ => Err(meaningless(partition)),
        }
    }

    fn keys(&self, partition: Partition) -> Vec<String> {
        ["meta", "log", "topics", "ids"].iter().map(|name| self.key(partition, name)).collect()
    }

    /// The part in braces decides the slot.
    fn key(&self, partition: Partition, name: &str) -> String {
        format!("{}:{{p{partition}}}:{name}", self.connection.key_prefix)
    }
}

fn bell_name(partition: Partition) -> String {
    format!("p{partition}")
}

/// Waits until one of the bells was rung.
async fn any_rings(bells: &[watch::Receiver<()>]) {
    if bells.is_empty() {
        return std::future::pending().await;
    }
    // clones wait, so that the bells themselves still say which of them were rung
    let _ = select_all(bells.iter().map(|bell| {
        let mut bell = bell.clone();
        Box::pin(async move { bell.changed().await })
    }))
    .await;
}

fn meaningless(partition: Partition) -> StreamsError {
    StreamsError::corrupt(
        format!("partition {partition} of the change log"),
        "it means nothing to this version",
    )
}
