//! The work queues in files of the data directory.
//!
//! One thread keeps them (`keeper`): all items are in memory (`state`), everything that happens to them is in a
//! journal (`files`, `record`) before it is answered. Leases end with the process: their holders lived in it.

mod files;
mod keeper;
mod record;
mod state;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use domain::{Clock, Timestamp};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use self::files::Journal;
use self::keeper::{Change, Keeper, Reply, Request};
use crate::bells::Bells;
use crate::config::{Config, Fsync};
use crate::{Claimed, NewItem, QueueName, QueueStats, StreamsError};

/// A handle on the queues.
#[derive(Debug)]
pub(crate) struct EmbeddedQueue {
    bells: Arc<Bells>,
    poll: Duration,
    /// `None` only while it is dropped.
    requests: Option<mpsc::Sender<Request>>,
    thread: Option<JoinHandle<()>>,
    /// Held until the thread has ended.
    _lock: Arc<File>,
}

impl EmbeddedQueue {
    /// Opens the queues in `dir`, which `lock` holds for this process. Blocks while the journal is read.
    pub(crate) fn open(
        config: &Config,
        dir: &Path,
        clock: Arc<dyn Clock>,
        lock: Arc<File>,
    ) -> Result<Self, StreamsError> {
        let (journal, mut queues) = Journal::open(dir)?;
        queues.end_leases();
        let bells = Arc::new(Bells::default());
        let (requests, receiver) = mpsc::channel(config.embedded.waiting_max);
        let keeper = Keeper {
            journal,
            queues,
            bells: Arc::clone(&bells),
            clock,
            items_max: config.queue_items_max,
            batch_max: config.batch_max,
            compact_bytes: config.embedded.compact_bytes,
            sync: config.embedded.fsync == Fsync::Always,
            broken: false,
        };
        let thread = std::thread::Builder::new()
            .name("streams-queues".to_owned())
            .spawn(move || keeper.run(receiver))
            .map_err(|cause| StreamsError::unavailable("the work queues", cause))?;
        Ok(Self { bells, poll: config.poll(), requests: Some(requests), thread: Some(thread), _lock: lock })
    }

    pub(crate) async fn push(&self, queue: &QueueName, items: Vec<NewItem>) -> Result<(), StreamsError> {
        self.change(queue, Change::Push(items)).await
    }

    pub(crate) async fn acknowledge(
        &self,
        queue: &QueueName,
        ids: Vec<Box<str>>,
    ) -> Result<(), StreamsError> {
        self.change(queue, Change::Acknowledge(ids)).await
    }

    pub(crate) async fn retry(
        &self,
        queue: &QueueName,
        id: &str,
        body: Bytes,
        at: Timestamp,
    ) -> Result<(), StreamsError> {
        self.change(queue, Change::Retry { id: id.into(), body, at }).await
    }

    pub(crate) async fn claim(
        &self,
        queue: &QueueName,
        items_max: usize,
        lease: Duration,
        deadline: Instant,
    ) -> Result<Vec<Claimed>, StreamsError> {
        let mut bell = self.bells.listen(&queue.0);
        loop {
            bell.mark_unchanged();
            let claim =
                self.ask(|reply| Request::Claim { queue: queue.clone(), items_max, lease, reply }).await?;
            let now = Instant::now();
            if !claim.items.is_empty() || now >= deadline {
                return Ok(claim.items);
            }
            let look_again = now + claim.due_in.map_or(self.poll, |due_in| due_in.min(self.poll));
            // rung, due or polled: in each case it is time to look
            let _ = timeout_at(look_again.min(deadline), bell.changed()).await;
        }
    }

    pub(crate) async fn stats(&self, queue: &QueueName) -> Result<QueueStats, StreamsError> {
        self.ask(|reply| Request::Stats { queue: queue.clone(), reply }).await
    }

    async fn change(&self, queue: &QueueName, change: Change) -> Result<(), StreamsError> {
        self.ask(|reply| Request::Change { queue: queue.clone(), change, reply }).await
    }

    async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T, StreamsError> {
        let (reply, answer) = oneshot::channel();
        let requests = self.requests.as_ref().expect("it is taken only when the handle is dropped");
        requests.send(request(reply)).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}

impl Drop for EmbeddedQueue {
    /// Waits for what is being written, so that the directory is free afterwards.
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            // a panic of the thread has been reported where it happened
            let _ = thread.join();
        }
    }
}

fn stopped() -> StreamsError {
    StreamsError::unavailable("the work queues", "their thread has stopped")
}
