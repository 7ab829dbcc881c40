//! Reads the change log, partition by partition, into the histories and on to the shards.
//!
//! The order matters: an entry is in its history before any shard hears of it. A shard that answers a subscribe from
//! the history may thus hear again of what the answer had; the turn tells it to keep quiet.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::{Attributes, Clock, Lane, Topic, TopicKind};
use protocol::centrifuge::minify;
use rand::Rng as _;
use service::Lifecycle;
use streams::{ChangeLog, Cursor, Entry, Partition, PartitionState, ReadBatch, StreamsError};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::config::{Config, PRIORITY_MAX};
use crate::control::Controls;
use crate::history::{Applied, Budget, Histories, Hole, PartitionHistory};
use crate::metrics::TailMetrics;
use crate::publication::{Batch, Item, Live};
use crate::shard::Message;

/// What stands in for a payload that is not JSON: the offset still moves the client's position.
const DAMAGED: Bytes = Bytes::from_static(b"null");

/// The task that reads the log.
pub(crate) struct Tail {
    pub(crate) log: ChangeLog,
    pub(crate) config: Arc<Config>,
    pub(crate) histories: Histories,
    /// Takes what is for the nodes.
    pub(crate) controls: Controls,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) shards: Vec<mpsc::Sender<Message>>,
    pub(crate) metrics: TailMetrics,
    /// How far each partition has to be read before the hub is warm.
    pub(crate) ends: Vec<u64>,
    /// The partition of the control topic, while entries are known to be missing before those that come next.
    pub(crate) gap: Option<Partition>,
}

/// Empty histories that begin where the warm-up will start to read, and where the log ends now.
///
/// # Errors
/// When the log does not say how it stands.
pub(crate) async fn open(log: &ChangeLog, config: &Config) -> Result<(Histories, Vec<u64>), StreamsError> {
    let partitions = log.partitions();
    let budget = Budget::share(&config.history, partitions);
    let classes = Arc::new(config.classes.clone());
    let mut histories = Vec::with_capacity(usize::from(partitions));
    let mut ends = Vec::with_capacity(usize::from(partitions));
    for partition in 0..partitions {
        let state = log.state(partition).await?;
        let start = state.trimmed.max(state.last.saturating_sub(config.history.warm_entries_max));
        let history = PartitionHistory::new(state.epoch, start, budget);
        histories.push(history.of_classes(Arc::clone(&classes)));
        ends.push(state.last);
    }
    Ok((Histories::new(histories), ends))
}

impl Tail {
    /// Reads until the shards are gone. `on_warm` is called once everything up to the ends was applied.
    pub(crate) async fn run(mut self, on_warm: impl FnOnce() + Send) {
        let mut on_warm = Some(on_warm);
        let mut retry_ms = self.config.tail.retry_ms_min;
        loop {
            if on_warm.is_some()
                && self.has_reached_the_ends()
                && let Some(on_warm) = on_warm.take()
            {
                info!("the hub has read the change log and is ready");
                on_warm();
            }
            let read = tokio::select! { // a read has no effect before it returns: cancel-safe
                read = self.read() => read,
                () = self.shards_gone() => return,
            };
            match read {
                Ok(found) => {
                    retry_ms = self.config.tail.retry_ms_min;
                    for batch in found {
                        self.take(batch).await;
                    }
                    self.gauge();
                }
                Err(error) => {
                    self.metrics.failures.increment(1);
                    warn!("the change log cannot be read: {error:#}");
                    let pause_ms = rand::rng().random_range(retry_ms / 2..=retry_ms);
                    tokio::time::sleep(Duration::from_millis(pause_ms)).await;
                    retry_ms = (retry_ms * 2).min(self.config.tail.retry_ms_max);
                }
            }
        }
    }

    async fn shards_gone(&self) {
        for shard in &self.shards {
            shard.closed().await;
        }
    }

    fn has_reached_the_ends(&self) -> bool {
        (0..self.histories.partitions())
            .zip(&self.ends)
            .all(|(partition, end)| self.histories.read(partition).applied >= *end)
    }

    async fn read(&self) -> Result<Vec<ReadBatch>, StreamsError> {
        let cursors: Vec<Cursor> = (0..self.histories.partitions())
            .map(|partition| {
                let history = self.histories.read(partition);
                Cursor { partition, epoch: history.epoch.clone(), after: history.applied }
            })
            .collect();
        let tail = &self.config.tail;
        self.log.read(&cursors, tail.entries_max as usize, Duration::from_millis(tail.wait_ms)).await
    }

    async fn take(&mut self, batch: ReadBatch) {
        match batch {
            ReadBatch::Entries(entries) => self.apply(&entries).await,
            ReadBatch::Trimmed { partition, state } => {
                warn!(
                    log.partition = partition,
                    log.trimmed = state.trimmed,
                    "the log was trimmed past this node"
                );
                self.lose(partition, &state).await;
            }
            ReadBatch::Reset { partition, state } => {
                warn!(log.partition = partition, log.epoch = %state.epoch.0, "the log of a partition was lost");
                self.lose(partition, &state).await;
            }
        }
    }

    /// Applies entries of one partition and hands them to the shards.
    async fn apply(&mut self, entries: &[Entry]) {
        let Some(first) = entries.first() else { return };
        let partition = first.partition;
        if self.gap == Some(partition) {
            self.gap = None;
            self.controls.begin_at(first.publication.at);
        }
        let read_at = Instant::now();
        let (publications, hole) = self.remember(partition, entries);
        self.metrics.applied.increment(publications.len() as u64);
        for entry in entries.iter().filter(|entry| is_reserved(entry)) {
            self.controls.take(&entry.publication).await;
        }
        if !publications.is_empty() {
            let batch = Arc::new(Batch { partition, publications, read_at });
            self.tell(|| Message::Batch(Arc::clone(&batch))).await;
        }
        if let Some(hole) = hole {
            error!(log.partition = partition, "the log has a hole: {hole}");
            let epoch = self.histories.read(partition).epoch.clone();
            let before = hole.found - 1;
            self.lose(partition, &PartitionState { epoch, last: hole.found, trimmed: before }).await;
        }
    }

    /// Puts entries into the history, until one does not follow.
    fn remember(&self, partition: Partition, entries: &[Entry]) -> (Vec<Live>, Option<Hole>) {
        let now = self.clock.now();
        let items: Vec<Item> = entries.iter().map(|entry| self.item(entry)).collect();
        let mut publications = Vec::with_capacity(entries.len());
        let mut history = self.histories.write(partition);
        for (entry, item) in entries.iter().zip(items) {
            match history.apply(entry, item.clone(), now) {
                Ok(Applied::Now { .. }) if is_reserved(entry) => {}
                Ok(Applied::Now { turn, base }) => {
                    let live = Live::new(entry.publication.topic.clone(), turn, item, base);
                    publications.push(live.urgent(self.is_urgent(entry)));
                }
                Ok(Applied::Before | Applied::Silent) => {}
                Err(hole) => return (publications, Some(hole)),
            }
        }
        history.moved.notify_waiters();
        (publications, None)
    }

    /// Whether an entry overtakes what waits of other topics: an emergency, or what is in a topic of the highest priority.
    fn is_urgent(&self, entry: &Entry) -> bool {
        let class = self.config.classes.of(&entry.publication.topic);
        entry.publication.lane == Lane::Emergency || class.is_some_and(|class| class.priority >= PRIORITY_MAX)
    }

    /// What an entry says, and what travels with it.
    fn item(&self, entry: &Entry) -> Item {
        let attributes = entry.publication.attributes.as_deref().and_then(Attributes::decode);
        let ephemeral = attributes.as_ref().is_some_and(|attributes| attributes.ephemeral);
        Item {
            offset: if ephemeral || is_reserved(entry) { 0 } else { entry.offset },
            data: self.line(entry),
            attributes: attributes.map(Arc::new),
        }
    }

    /// The payload as one line of JSON.
    fn line(&self, entry: &Entry) -> Bytes {
        let data = &entry.publication.data;
        match minify(data) {
            Ok(line) if line.len() == data.len() => data.clone(),
            Ok(line) => Bytes::from(line.into_owned()),
            Err(error) => {
                self.metrics.damaged.increment(1);
                error!(
                    log.partition = entry.partition,
                    log.offset = entry.offset,
                    topic.id = %entry.publication.topic,
                    "a publication is not JSON: {error:#}"
                );
                DAMAGED
            }
        }
    }

    /// Starts a partition's history anew; whoever follows it has to subscribe again.
    async fn lose(&mut self, partition: Partition, state: &PartitionState) {
        self.metrics.losses.increment(1);
        self.controls.doubt();
        self.ends[usize::from(partition)] = state.last;
        if partition == self.histories.partition_of(&Topic::control()) {
            self.gap = Some(partition);
        }
        let turn = self.histories.write(partition).restart(state);
        self.tell(|| Message::Void { partition, turn }).await;
    }

    /// Tells every shard. A full inbox is waited for: shards never wait for the tail.
    async fn tell(&self, message: impl Fn() -> Message) {
        for shard in &self.shards {
            // a shard that has ended has nobody left to tell
            let _ = shard.send(message()).await;
        }
    }

    fn gauge(&self) {
        let (mut bytes, mut topics) = (0, 0);
        for partition in 0..self.histories.partitions() {
            let history = self.histories.read(partition);
            bytes += history.bytes();
            topics += history.topics();
        }
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
        {
            self.metrics.history_bytes.set(bytes as f64);
            self.metrics.history_topics.set(topics as f64);
        }
    }
}

/// Whether an entry is for the nodes alone.
fn is_reserved(entry: &Entry) -> bool {
    entry.publication.topic.kind() == TopicKind::Reserved
}

/// Answers the shards' questions about how a partition's log stands, each question once for all who ask meanwhile,
/// and watches how far the tail is behind.
pub(crate) struct Prober {
    pub(crate) log: ChangeLog,
    pub(crate) histories: Histories,
    pub(crate) shards: Vec<mpsc::Sender<Message>>,
    pub(crate) metrics: TailMetrics,
    pub(crate) every: Duration,
}

impl Prober {
    /// Runs until the shards are gone.
    pub(crate) async fn run(self, mut questions: mpsc::Receiver<Partition>, life: Lifecycle) {
        let mut asked = Vec::new();
        let mut looks = tokio::time::interval(self.every);
        loop {
            tokio::select! { // both are cancel-safe
                count = questions.recv_many(&mut asked, 1024) => {
                    if count == 0 {
                        return;
                    }
                    asked.sort_unstable();
                    asked.dedup();
                    for partition in asked.drain(..) {
                        self.answer(partition).await;
                    }
                }
                _ = looks.tick(), if !life.drain().is_cancelled() => self.look().await,
            }
        }
    }

    async fn answer(&self, partition: Partition) {
        match self.log.state(partition).await {
            Ok(state) => {
                for shard in &self.shards {
                    // a shard that has ended has nobody who waits
                    let _ = shard.send(Message::Probed { partition, state: state.clone() }).await;
                }
            }
            Err(error) => warn!("the change log does not say how it stands: {error:#}"),
        }
    }

    async fn look(&self) {
        let mut lag = 0;
        for partition in 0..self.histories.partitions() {
            match self.log.state(partition).await {
                Ok(state) => lag += state.last.saturating_sub(self.histories.read(partition).applied),
                Err(_) => return, // the tail says what is wrong
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
        self.metrics.lag.set(lag as f64);
    }
}
