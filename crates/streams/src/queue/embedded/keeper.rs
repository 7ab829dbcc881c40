//! The one thread that keeps the queues: it writes what happens to the journal, and only then lets it happen.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::{Clock, Timestamp};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, warn};

use super::files::Journal;
use super::record::{Event, Record};
use super::state::Queues;
use crate::bells::Bells;
use crate::{Claimed, NewItem, QueueName, QueueStats, StreamsError};

/// Where an answer goes.
pub(super) type Reply<T> = oneshot::Sender<Result<T, StreamsError>>;

/// What the thread is asked for.
#[derive(Debug)]
pub(super) enum Request {
    /// Writes that must be on the disk when they are answered.
    Change {
        queue: QueueName,
        change: Change,
        reply: Reply<()>,
    },
    Claim {
        queue: QueueName,
        items_max: usize,
        lease: Duration,
        reply: Reply<Claim>,
    },
    Stats {
        queue: QueueName,
        reply: Reply<QueueStats>,
    },
}

#[derive(Debug)]
pub(super) enum Change {
    Push(Vec<NewItem>),
    Acknowledge(Vec<Box<str>>),
    Retry { id: Box<str>, body: Bytes, at: Timestamp },
}

/// What was claimed; when nothing was: how long until something can be.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) items: Vec<Claimed>,
    pub(super) due_in: Option<Duration>,
}

#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) journal: Journal,
    pub(super) queues: Queues,
    pub(super) bells: Arc<Bells>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) items_max: u64,
    pub(super) batch_max: usize,
    pub(super) compact_bytes: u64,
    pub(super) sync: bool,
    /// Set when it is not known what is on the disk: nothing more is written.
    pub(super) broken: bool,
}

/// Changes that are written in one step.
#[derive(Debug, Default)]
struct Group {
    records: Vec<Record>,
    /// Ids that the group adds, by queue.
    added: HashSet<(QueueName, Box<str>)>,
    rung: HashSet<QueueName>,
    replies: Vec<Reply<()>>,
}

impl Keeper {
    /// Serves requests until every handle is gone.
    pub(super) fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let mut next = requests.blocking_recv();
        while let Some(request) = next.take() {
            match request {
                Request::Change { queue, change, reply } => {
                    next = self.change_group(queue, change, reply, &mut requests);
                }
                // askers may have gone
                Request::Claim { queue, items_max, lease, reply } => {
                    let _ = reply.send(self.claim(&queue, items_max, lease));
                }
                Request::Stats { queue, reply } => {
                    let now = self.now();
                    let _ = reply.send(Ok(self
                        .queues
                        .get_mut(&queue)
                        .map_or_else(QueueStats::default, |queue| queue.stats(now))));
                }
            }
            self.compact();
            next = next.or_else(|| requests.blocking_recv());
        }
    }

    /// Does what is asked for and what else waits, in one write. Gives a request that does not belong to it.
    fn change_group(
        &mut self,
        queue: QueueName,
        change: Change,
        reply: Reply<()>,
        requests: &mut mpsc::Receiver<Request>,
    ) -> Option<Request> {
        let mut group = Group::default();
        self.stage(queue, change, reply, &mut group);
        let mut other = None;
        while group.records.len() < self.batch_max {
            match requests.try_recv() {
                Ok(Request::Change { queue, change, reply }) => self.stage(queue, change, reply, &mut group),
                Ok(request) => {
                    other = Some(request);
                    break;
                }
                Err(_) => break,
            }
        }
        let written = if group.records.is_empty() { Ok(()) } else { self.write(&group.records, self.sync) };
        if written.is_ok() {
            for record in group.records {
                self.queues.apply(record);
            }
            for queue in &group.rung {
                self.bells.ring(&queue.0);
            }
        }
        for reply in group.replies {
            // the asker may have gone
            let _ = reply.send(written.as_ref().copied().map_err(unavailable));
        }
        other
    }

    /// Adds what a change would do to the group, or refuses it at once.
    fn stage(&self, queue: QueueName, change: Change, reply: Reply<()>, group: &mut Group) {
        let record = |id, event| Record { queue: queue.clone(), id, event };
        match change {
            Change::Push(items) => {
                let now = self.clock.now();
                let standing = self.queues.get(&queue);
                let added = group.added.iter().filter(|(other, _)| *other == queue).count();
                let mut count = standing.map_or(0, super::state::Queue::len) + added as u64;
                let mut new = Vec::new();
                for item in items {
                    let key = (queue.clone(), item.id.clone());
                    if !standing.is_some_and(|queue| queue.contains(&item.id)) && !group.added.contains(&key)
                    {
                        count += 1;
                        new.push((key, item));
                    }
                }
                if count > self.items_max {
                    let _ = reply.send(Err(StreamsError::Full { queue: queue.0, items_max: self.items_max }));
                    return;
                }
                for (key, item) in new {
                    let since = item.not_before.unwrap_or(now).max(now).as_microsecond();
                    group.records.push(record(item.id, Event::Push { body: item.body, since, claims: 0 }));
                    group.added.insert(key);
                }
                group.rung.insert(queue);
            }
            Change::Acknowledge(ids) => {
                group.records.extend(ids.into_iter().map(|id| record(id, Event::Acknowledge)));
            }
            Change::Retry { id, body, at } => {
                let since = at.max(self.clock.now()).as_microsecond();
                group.records.push(record(id, Event::Retry { body, since }));
                group.rung.insert(queue);
            }
        }
        group.replies.push(reply);
    }

    fn claim(&mut self, name: &QueueName, items_max: usize, lease: Duration) -> Result<Claim, StreamsError> {
        let now = self.now();
        let Some(queue) = self.queues.get_mut(name) else {
            return Ok(Claim { items: Vec::new(), due_in: None });
        };
        let ids = queue.claimable(now, items_max);
        if ids.is_empty() {
            let due_in =
                queue.next_due().map(|at| Duration::from_micros(u64::try_from(at - now).unwrap_or(0)));
            return Ok(Claim { items: Vec::new(), due_in });
        }
        let until = (self.clock.now() + lease).as_microsecond();
        let claim = |id: &str| Record { queue: name.clone(), id: id.into(), event: Event::Claim { until } };
        let records: Vec<Record> = ids.iter().map(|id| claim(id)).collect();
        // not synced: a claim lost with the machine is only a claim that ran out early
        self.write(&records, false).map_err(|cause| unavailable(&cause))?;
        for record in records {
            self.queues.apply(record);
        }
        let queue = self.queues.get(name);
        let items = ids.iter().filter_map(|id| queue.and_then(|queue| queue.claimed(id))).collect();
        Ok(Claim { items, due_in: None })
    }

    fn write(&mut self, records: &[Record], sync: bool) -> Result<(), io::Error> {
        if self.broken {
            return Err(io::Error::other("an earlier write failed halfway; start again"));
        }
        self.journal.append(records, sync).unwrap_or_else(|cause| {
            error!("the work queues take no more work until the next start: {cause}");
            self.broken = true;
            Err(cause)
        })
    }

    /// Rewrites the journal when it is long and three quarters of it are about the past.
    fn compact(&mut self) {
        let threshold = self.compact_bytes.max(self.queues.bytes.saturating_mul(4));
        if self.broken || self.journal.bytes <= threshold {
            return;
        }
        if let Err(cause) = self.journal.rewrite(&self.queues) {
            warn!("the journal of the work queues was not rewritten: {cause}");
        }
    }

    fn now(&self) -> i64 {
        self.clock.now().as_microsecond()
    }
}

fn unavailable(cause: &io::Error) -> StreamsError {
    StreamsError::unavailable("the work queues", io::Error::new(cause.kind(), cause.to_string()))
}
