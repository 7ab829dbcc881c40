//! A shard: one thread with its own runtime, connections and topics. It shares no lock with the other shards on the
//! way of a message; what it needs to hear comes through one bounded inbox.
//!
//! Everything that a connection is lies in the shard's slab: it has no task, and no buffer while nothing is under way.
//! The shard's loop ([`turn`]) takes the inbox, hears the sockets, writes publications straight into them, and turns the
//! timers.

mod closing;
mod connection;
mod control;
mod converse;
mod fanout;
mod input;
mod joining;
mod notices;
mod outgoing;
mod readiness;
mod shedding;
mod signals;
mod timers;
mod turn;
mod wheel;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use domain::{Clock, Timestamp, Topic};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use service::{Lifecycle, Scrape};
use slab::Slab;
use streams::{Partition, PartitionState};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tracing::error;
use uuid::Uuid;

use crate::authority::Authority;
use crate::census::{Admission, Census};
use crate::config::Config;
use crate::confirm::Ticket;
use crate::control::Control;
use crate::history::Histories;
use crate::metrics::{CloseReason, ShardMetrics};
use crate::out::Out;
use crate::paces::Paces;
use crate::presence::{Presence, Signal};
use crate::publication::Batch;
use crate::publish;
use crate::pusher::{Guest, Notice};
use crate::session::Pings;
use crate::socket::Handover;
use crate::topics::{SubscriptionId, Topics};
use crate::users::Users;
use crate::wire::Wire;
use closing::Drain;
use connection::Connection;
pub(crate) use connection::Key;
use protocol::codes::DisconnectCode;
use readiness::{News, Readiness};
use turn::DirtyList;
use wheel::Wheel;

/// Bytes of one read of a socket.
const READ_BYTES: usize = 65_536;

/// Something for a shard to know.
#[derive(Debug)]
pub(crate) enum Message {
    /// A connection was accepted.
    Accept(Box<Arrival>),
    /// Commands for a connection that can only be written to.
    Commands { door: Uuid, frame: Bytes },
    /// Publications, in log order within their partition.
    Batch(Arc<Batch>),
    /// How much there is here, for whoever waits for the answer.
    Tally(oneshot::Sender<Tally>),
    /// Clients have come and gone, in this order.
    Signals(Arc<[Signal]>),
    /// What this partition's subscribers know by this turn is void: something was lost.
    Void { partition: Partition, turn: u64 },
    /// How the log of a partition stands, as asked for.
    Probed { partition: Partition, state: PartitionState },
    /// A client's publication is in the change log, or is not.
    Published(publish::Receipt),
    /// What every node has to do.
    Control(Arc<Control>),
    /// Something for connections of Pusher's.
    Notice(Arc<Notice>),
    /// A confirmation has become durable, or has not.
    Confirmed { ticket: Ticket, stored: bool },
}

/// How much there is in a shard.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) connections: usize,
    pub(crate) topics: HashSet<Topic>,
    pub(crate) subscriptions: usize,
}

/// An accepted connection.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) socket: Handover,
    pub(crate) wire: Wire,
    /// What was read together with the request: of a WebSocket the next bytes, of others the first commands.
    pub(crate) first_bytes: Bytes,
    /// The secret name by which further commands reach it; for those that can only be written to.
    pub(crate) door: Option<Uuid>,
    pub(crate) pings: Pings,
    /// In which application it is, when it speaks Pusher's protocol.
    pub(crate) guest: Option<Guest>,
    pub(crate) admission: Admission,
}

/// What all shards work with.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) config: Arc<Config>,
    pub(crate) authority: Arc<Authority>,
    pub(crate) census: Census,
    /// How fast users may give commands.
    pub(crate) paces: Paces,
    pub(crate) histories: Histories,
    pub(crate) presence: Presence,
    pub(crate) clock: Arc<dyn Clock>,
    /// The name of this node.
    pub(crate) node: Arc<str>,
    /// Where confirmations go.
    pub(crate) confirmations: mpsc::Sender<Ticket>,
    /// Where publications of clients go.
    pub(crate) submissions: mpsc::Sender<publish::Ticket>,
    /// Where questions go about how a partition's log stands.
    pub(crate) probes: mpsc::Sender<Partition>,
    /// Where what a shard counts is folded.
    pub(crate) scrape: Scrape,
}

/// The state of one shard.
#[derive(Debug)]
pub(crate) struct Shard {
    number: usize,
    shared: Shared,
    connections: Slab<Connection>,
    topics: Topics,
    /// Whose connections they are.
    users: Users,
    /// Connections that can only be written to, by the name through which commands reach them.
    doors: HashMap<Uuid, Key>,
    metrics: ShardMetrics,
    started: Instant,
    generation: u32,
    rng: SmallRng,
    wheel: Wheel<Key>,
    expiries: BinaryHeap<Reverse<(Timestamp, Key)>>,
    resyncs: BinaryHeap<Reverse<(u64, Key, SubscriptionId)>>,
    /// Connections with a held command.
    holds: Vec<Key>,
    /// Tells of the sockets.
    readiness: Readiness,
    /// Connections of which more is to be read than was.
    unread: Vec<Key>,
    /// Connections to which something is to be written.
    dirty: DirtyList,
    /// Bytes that the last writes of all connections have left.
    left: u64,
    /// The batches of a turn; reused.
    batches: Vec<Arc<Batch>>,
    /// What is new of the sockets; reused.
    news: Vec<News>,
    /// What the session at work says; reused.
    out: Out,
    /// What the socket at work has sent; reused.
    read_buffer: Vec<u8>,
    drain: Option<Drain>,
}

/// Starts the thread of shard `number`; gives its inbox.
///
/// # Errors
/// When the thread or its runtime cannot be made.
pub(crate) fn spawn(number: usize, shared: Shared, life: &Lifecycle) -> io::Result<mpsc::Sender<Message>> {
    let (sender, inbox) = mpsc::channel(shared.config.limits.inbox_max as usize);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let readiness = {
        let _entered = runtime.enter();
        Readiness::new()?
    };
    let held = life.hold();
    let life = life.clone();
    std::thread::Builder::new().name(format!("hub-{number}")).spawn(move || {
        let _held = held;
        let _alarm = Alarm(life.clone());
        runtime.block_on(turn::run(Shard::new(number, shared, readiness), inbox, &life));
    })?;
    Ok(sender)
}

/// Drains the process when a shard's thread panics.
struct Alarm(Lifecycle);

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            error!("a shard of the hub has died");
            self.0.fail();
        }
    }
}

impl Shard {
    fn new(number: usize, shared: Shared, readiness: Readiness) -> Self {
        let metrics = ShardMetrics::new();
        shared.scrape.add(metrics.fold(number));
        Self {
            number,
            shared,
            connections: Slab::new(),
            topics: Topics::default(),
            users: Users::default(),
            doors: HashMap::new(),
            metrics,
            started: Instant::now(),
            generation: 0,
            rng: SmallRng::from_os_rng(),
            wheel: Wheel::new(),
            expiries: BinaryHeap::new(),
            resyncs: BinaryHeap::new(),
            holds: Vec::new(),
            readiness,
            unread: Vec::new(),
            dirty: DirtyList::default(),
            left: 0,
            batches: Vec::new(),
            news: Vec::new(),
            out: Out::new(),
            read_buffer: vec![0; READ_BYTES],
            drain: None,
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Accept(arrival) => self.accept(*arrival),
            Message::Commands { door, frame } => self.take_commands(door, &frame),
            Message::Batch(batch) => self.publish(&[batch]),
            Message::Tally(answer) => drop(answer.send(self.tally())), // whoever asked may have gone
            Message::Signals(signals) => self.signal(&signals),
            Message::Void { partition, turn } => self.void(partition, turn),
            Message::Notice(notice) => self.notice(&notice),
            Message::Probed { partition, state } => self.probed(partition, &state),
            Message::Published(receipt) => self.published(receipt),
            Message::Control(control) => self.control(&control),
            Message::Confirmed { ticket, stored } => self.confirmed(ticket, stored),
        }
    }

    fn tally(&self) -> Tally {
        Tally {
            connections: self.connections.len(),
            topics: self.topics.names().cloned().collect(),
            subscriptions: self.topics.subscriptions(),
        }
    }

    fn uptime_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).expect("no shard lives for so many milliseconds")
    }

    /// The connection that `key` names, unless it is gone.
    fn get(&mut self, key: Key) -> Option<&mut Connection> {
        let connection = self.connections.get_mut(key.index as usize)?;
        (connection.generation == key.generation).then_some(connection)
    }

    fn key(&self, index: usize) -> Key {
        let generation = self.connections[index].generation;
        Key { index: u32::try_from(index).expect("there are fewer than 2^32 sockets"), generation }
    }

    /// Has the wheel look at `key` in time for its next deadline.
    fn arm(&mut self, key: Key) {
        let Some(connection) = self.get(key) else { return };
        let due = connection.next_deadline();
        if due >= connection.deadlines.armed {
            return;
        }
        let armed = self.wheel.insert(key, due);
        if let Some(connection) = self.get(key) {
            connection.deadlines.armed = armed;
        }
    }

    fn random_below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.rng.random_range(0..bound) }
    }
}

impl From<DisconnectCode> for CloseReason {
    fn from(code: DisconnectCode) -> Self {
        Self::Disconnect(code)
    }
}

#[cfg(test)]
mod tests;
