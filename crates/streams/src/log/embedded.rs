//! The change log in files of the data directory.
//!
//! One thread writes (`writer`), in batches that are synced once each; readers find what is new in memory (`state`)
//! and what is old on the disk. Segments (`files`) are dropped whole, oldest first.

mod files;
mod record;
mod state;
mod writer;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use domain::{Clock, Topic};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};

use self::record::decode_entry;
use self::state::{Retention, Slot, State, index};
use self::writer::{Request, Writer};
use crate::codec::Decode;
use crate::config::{Config, Fsync};
use crate::{
    Cursor, Entry, Epoch, NewPublication, Partition, PartitionState, Position, ReadBatch, StreamsError,
};

/// A handle on the log.
#[derive(Debug)]
pub(crate) struct EmbeddedLog {
    shared: Arc<Shared>,
    /// `None` only while it is dropped.
    requests: Option<mpsc::Sender<Request>>,
    thread: Option<JoinHandle<()>>,
    /// Held until the thread has ended.
    _lock: Arc<File>,
}

/// What readers and the writer share.
#[derive(Debug)]
struct Shared {
    dir: PathBuf,
    state: RwLock<State>,
    /// Rises whenever something was appended.
    version: watch::Sender<u64>,
}

impl Shared {
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EmbeddedLog {
    /// Opens the log in `dir`, which `lock` holds for this process. Blocks while the files are read.
    pub(crate) fn open(
        config: &Config,
        dir: &Path,
        clock: Arc<dyn Clock>,
        lock: Arc<File>,
    ) -> Result<Self, StreamsError> {
        let keep = Retention {
            entries: config.retention_entries,
            age: config.retention_age(),
            bytes: config.embedded.log_bytes_max,
            memory_entries: config.embedded.memory_entries,
        };
        let state = files::open(dir, config.partitions, keep)?;
        let (requests, receiver) = mpsc::channel(config.embedded.waiting_max);
        let shared =
            Arc::new(Shared { dir: dir.to_owned(), state: RwLock::new(state), version: watch::channel(0).0 });
        let writer = Writer {
            shared: Arc::clone(&shared),
            keep,
            segment_bytes: config.embedded.segment_bytes,
            batch_max: config.batch_max,
            sync: config.embedded.fsync == Fsync::Always,
            clock,
            broken: false,
        };
        let thread = std::thread::Builder::new()
            .name("streams-log".to_owned())
            .spawn(move || writer.run(receiver))
            .map_err(|cause| StreamsError::unavailable("the change log", cause))?;
        Ok(Self { shared, requests: Some(requests), thread: Some(thread), _lock: lock })
    }

    /// Gives every partition a new epoch: some of what was acknowledged may be gone.
    pub(crate) async fn renew_all(&self) -> Result<(), StreamsError> {
        let epochs: Vec<Epoch> = self.shared.read().partitions.iter().map(|log| log.epoch.clone()).collect();
        for (partition, epoch) in (0..).zip(epochs) {
            self.renew(partition, epoch).await?;
        }
        Ok(())
    }

    pub(crate) async fn append(
        &self,
        publications: Vec<NewPublication>,
    ) -> Result<Vec<Position>, StreamsError> {
        let (reply, answer) = oneshot::channel();
        self.ask(Request::Append { publications, reply }, answer).await
    }

    pub(crate) fn state(&self, partition: Partition) -> PartitionState {
        self.shared.read().partitions[index(partition)].state()
    }

    pub(crate) fn topic_last(&self, partition: Partition, topic: &Topic) -> Option<u64> {
        self.shared.read().partitions[index(partition)].topic_last(topic)
    }

    /// Whether the thread that writes is alive.
    pub(crate) fn ping(&self) -> Result<(), StreamsError> {
        match &self.thread {
            Some(thread) if !thread.is_finished() => Ok(()),
            _ => Err(stopped()),
        }
    }

    /// Cancel-safe: nothing is taken out of the log by reading it.
    pub(crate) async fn read(
        &self,
        cursors: &[Cursor],
        entries_max: usize,
        wait: Duration,
    ) -> Result<Vec<ReadBatch>, StreamsError> {
        let deadline = Instant::now() + wait;
        let mut version = self.shared.version.subscribe();
        loop {
            version.mark_unchanged();
            let found = self.look(cursors, entries_max).await?;
            if !found.is_empty() {
                return Ok(found);
            }
            match timeout_at(deadline, version.changed()).await {
                Ok(changed) => changed.map_err(|_| stopped())?,
                Err(_) => return Ok(Vec::new()),
            }
        }
    }

    /// What lies after the cursors now.
    async fn look(&self, cursors: &[Cursor], entries_max: usize) -> Result<Vec<ReadBatch>, StreamsError> {
        let mut found = Vec::new();
        for cursor in cursors {
            let Cursor { partition, epoch, after } = cursor.clone();
            let (state, slots) = {
                let all = self.shared.read();
                let log = &all.partitions[index(partition)];
                let is_inside = log.epoch == epoch && (log.trimmed..=log.last()).contains(&after);
                (log.state(), if is_inside { log.after(after, entries_max) } else { Vec::new() })
            };
            if state.epoch != epoch {
                found.push(ReadBatch::Reset { partition, state });
            } else if after > state.last {
                // the files were replaced by older ones
                found.push(ReadBatch::Reset { partition, state: self.renew(partition, epoch).await? });
            } else if after < state.trimmed {
                found.push(ReadBatch::Trimmed { partition, state });
            } else if !slots.is_empty() {
                found.push(ReadBatch::Entries(load(slots).await?));
            }
        }
        Ok(found)
    }

    async fn renew(&self, partition: Partition, expected: Epoch) -> Result<PartitionState, StreamsError> {
        let (reply, answer) = oneshot::channel();
        self.ask(Request::Renew { partition, expected, reply }, answer).await
    }

    async fn ask<T>(
        &self,
        request: Request,
        answer: oneshot::Receiver<Result<T, StreamsError>>,
    ) -> Result<T, StreamsError> {
        let requests = self.requests.as_ref().expect("it is taken only when the handle is dropped");
        requests.send(request).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}

impl Drop for EmbeddedLog {
    /// Waits for the batch that is being written, so that the directory is free afterwards.
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            // a panic of the thread has been reported where it happened
            let _ = thread.join();
        }
    }
}

/// The entries of `slots`, read from the disk where they are not in memory.
async fn load(slots: Vec<Slot>) -> Result<Vec<Entry>, StreamsError> {
    if slots.iter().all(|slot| slot.entry.is_some()) {
        return Ok(slots.into_iter().filter_map(|slot| slot.entry.map(|entry| *entry)).collect());
    }
    let read_all = move || slots.into_iter().map(load_one).collect();
    let task = tokio::task::spawn_blocking(read_all);
    task.await.map_err(|cause| StreamsError::unavailable("the change log", cause))?
}

fn load_one(slot: Slot) -> Result<Entry, StreamsError> {
    if let Some(entry) = slot.entry {
        return Ok(*entry);
    }
    let mut bytes = vec![0; slot.length as usize];
    let read = slot.file.read_exact_at(&mut bytes, slot.at);
    read.map_err(|cause| StreamsError::unavailable("the change log", cause))?;
    decode_entry(&mut Decode(&bytes))
        .ok_or_else(|| StreamsError::corrupt("the change log", format!("no entry at byte {}", slot.at)))
}

fn stopped() -> StreamsError {
    StreamsError::unavailable("the change log", "its thread has stopped")
}
