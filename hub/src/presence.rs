//! Who follows what, on all nodes together.
//!
//! Each node knows its own clients exactly: a subscription takes a [`Seat`] and leaves when the seat is dropped. What
//! changes is told to the other nodes in batches, as entries of a topic of the change log that is the node's own
//! ([`topic_of`]); every node folds what it reads of the others into a [`Table`]. Who comes and goes is told to
//! subscribers when the entry is read, on the node itself, too: so everybody hears it in the log's order.
//!
//! A node that hears of another for the first time, or has missed something of it, asks for all that it has. One that
//! is silent for too long is forgotten, with its clients.

mod entry;
mod local;
mod signal;
mod table;
pub(crate) mod task;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use domain::{Publisher, Topic};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::warn;

use crate::config;
use entry::Entry;
use local::Local;
pub(crate) use signal::Signal;
use table::Table;

/// What the names of the nodes' topics begin with.
const TOPIC_PREFIX: &str = "$presence:";

/// One client in one topic.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Member {
    /// Who.
    #[serde(rename = "i")]
    pub(crate) info: Publisher,
    /// Whether others may see that it is there.
    #[serde(rename = "s")]
    pub(crate) seen: bool,
    /// Whether others are told that it comes and goes.
    #[serde(rename = "a")]
    pub(crate) announced: bool,
}

/// How many are there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Headcount {
    /// Connections.
    pub(crate) clients: usize,
    /// Users; all who are nobody in particular are one.
    pub(crate) users: usize,
}

/// Who follows what. Cloning is cheap.
#[derive(Debug, Clone)]
pub(crate) struct Presence(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    node: Arc<str>,
    config: config::Presence,
    started: Instant,
    local: Mutex<Local>,
    table: Mutex<Table>,
    /// Rung when there is something to tell.
    bell: Notify,
    /// Whether the log is read up to its end: what lies further back is about nodes that may be gone.
    begun: AtomicBool,
}

/// A client's place in a topic; given up when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    presence: Presence,
    topic: Topic,
    member: Arc<Member>,
}

/// The topic in which a node tells who is there.
///
/// # Panics
/// When the node's name is too long for a topic; names are made by the process.
pub(crate) fn topic_of(node: &str) -> Topic {
    Topic::new(format!("{TOPIC_PREFIX}{node}")).expect("a node's name is short and printable")
}

impl Presence {
    /// Of a node without clients.
    pub(crate) fn new(node: &Arc<str>, config: &config::Presence) -> Self {
        Self(Arc::new(Inner {
            node: Arc::clone(node),
            config: config.clone(),
            started: Instant::now(),
            local: Mutex::new(Local::new(config.changes_max as usize)),
            table: Mutex::new(Table::new(node)),
            bell: Notify::new(),
            begun: AtomicBool::new(false),
        }))
    }

    /// Takes a client in.
    pub(crate) fn enter(&self, topic: &Topic, member: Member) -> Seat {
        let member = Arc::new(member);
        self.local().enter(topic, &member);
        self.0.bell.notify_one();
        Seat { presence: self.clone(), topic: topic.clone(), member }
    }

    /// How many may be seen in a topic.
    pub(crate) fn count(&self, topic: &Topic) -> Headcount {
        let mut count = Headcount::default();
        let mut users = BTreeSet::new();
        self.visit(topic, |member| {
            count.clients += 1;
            if !users.contains(&*member.info.user) {
                users.insert(member.info.user.clone());
            }
        });
        Headcount { users: users.len(), ..count }
    }

    /// Who may be seen in a topic; `None` when they are too many for an answer.
    pub(crate) fn list(&self, topic: &Topic) -> Option<Vec<Arc<Member>>> {
        let mut list = Vec::new();
        let clients_max = self.0.config.answer_clients_max as usize;
        self.visit(topic, |member| {
            if list.len() <= clients_max {
                list.push(Arc::clone(member));
            }
        });
        (list.len() <= clients_max).then_some(list)
    }

    /// The topics whose names match, with the number of clients that may be seen there; `None` when they are too many for
    /// an answer.
    pub(crate) fn topics(&self, matches: impl Fn(&str) -> bool) -> Option<Vec<(Topic, usize)>> {
        let mut topics = BTreeMap::new();
        let mut add = |topic: &Topic, clients: usize| {
            if clients > 0 && matches(topic.as_str()) {
                *topics.entry(topic.clone()).or_insert(0) += clients;
            }
        };
        self.local().counts().for_each(|(topic, clients)| add(topic, clients));
        self.table().counts().for_each(|(topic, clients)| add(topic, clients));
        let fit = topics.len() <= self.0.config.answer_clients_max as usize;
        fit.then(|| topics.into_iter().collect())
    }

    /// Places of clients in all topics together, on all nodes.
    pub(crate) fn members(&self) -> usize {
        let here = self.local().members();
        here + self.table().members()
    }

    fn visit(&self, topic: &Topic, mut visit: impl FnMut(&Arc<Member>)) {
        self.local().of(topic).filter(|member| member.seen).for_each(&mut visit);
        self.table().of(topic).filter(|member| member.seen).for_each(visit);
    }

    /// What the log says from now on is news.
    pub(crate) fn begin(&self) {
        self.0.begun.store(true, Ordering::Relaxed);
    }

    /// Whether nodes tell of their clients in this topic.
    pub(crate) fn is_told_in(topic: &Topic) -> bool {
        topic.as_str().starts_with(TOPIC_PREFIX)
    }

    /// Takes an entry of a reserved topic; gives who comes and goes by it.
    pub(crate) fn take(&self, topic: &Topic, data: &[u8]) -> Vec<Signal> {
        let node = topic.as_str().strip_prefix(TOPIC_PREFIX);
        let Some(node) = node.filter(|_| self.0.begun.load(Ordering::Relaxed)) else { return Vec::new() };
        let entry: Entry = match serde_json::from_slice(data) {
            Ok(entry) => entry,
            Err(error) => {
                warn!("what a node says of its clients makes no sense: {error}");
                return Vec::new();
            }
        };
        let folded = self.table().fold(node, entry, self.uptime_ms());
        if folded.asked {
            self.local().tell_all();
        }
        if folded.asked || folded.incomplete {
            self.0.bell.notify_one();
        }
        folded.signals
    }

    /// Something of the log was lost: what is known of the others may be wrong.
    pub(crate) fn doubt(&self) {
        self.table().doubt();
        self.0.bell.notify_one();
    }

    fn uptime_ms(&self) -> u64 {
        u64::try_from(self.0.started.elapsed().as_millis()).expect("no node lives for so many milliseconds")
    }

    fn local(&self) -> MutexGuard<'_, Local> {
        self.0.local.lock().expect("no holder of this lock panics")
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().expect("no holder of this lock panics")
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.presence.local().leave(&self.topic, &self.member);
        self.presence.0.bell.notify_one();
    }
}

#[cfg(test)]
mod tests;
