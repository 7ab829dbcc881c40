//! What is said between a generator and whoever started it.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::book::{Books, Latencies};
use super::wires::Wire;

/// What a generator is to do: the first line that it reads.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Order {
    /// Where the server listens.
    pub address: SocketAddr,
    /// The path that a client asks for; `{topic}` in it is the topic's name.
    pub path: String,
    /// What the clients speak.
    pub wire: Wire,
    /// Number of the first client among those of all generators.
    pub first: u32,
    /// How many clients there are.
    pub clients: u32,
    /// What a topic's name begins with; its number follows.
    pub prefix: String,
    /// How many topics there are.
    pub topics: u32,
    /// How many of them each client follows, from its number on.
    pub topics_each: u32,
    /// Topics that every client follows besides, by their whole names; their marks have the numbers from `topics` on.
    #[serde(default)]
    pub topics_all: Vec<String>,
    /// Who the clients say that they are.
    pub token: Token,
    /// Second number of the source addresses, `127.<this>.x.y`.
    pub source: u8,
    /// Handshakes under way at a time.
    pub in_flight: u32,
    /// So many of the clients, the first ones, stop reading when they have subscribed.
    #[serde(default)]
    pub stalled: u32,
}

/// How clients prove who they are.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Token {
    /// They do not.
    None,
    /// With JWTs (HS256) of this secret, or, in Pusher's protocol, with signatures.
    Secret(String),
    /// With Munadi's own access tokens (`EdDSA`), signed with this key in PEM.
    Own(String),
    /// With signatures of Pusher's: key and secret of the application.
    App(String, String),
}

/// What a generator is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ask {
    /// How it stands.
    Status,
    /// Forget what was heard so far, but not where each client is.
    Begin,
    /// Break every connection; with `Return` they come back.
    Return,
    /// Say what was heard.
    Outcome,
}

/// How a generator stands.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Status {
    /// Clients that have subscribed to everything.
    pub live: u32,
    /// Clients that did not get in.
    pub failed: u32,
    /// Clients that were in and are out.
    pub closed: u32,
    /// Publications that have come since the beginning.
    pub received: u64,
    /// Why the first of them failed or closed.
    pub why: Option<String>,
    /// Nanoseconds of the monotonic clock at which the first dialed, and the last was in.
    pub began_ns: u64,
    /// See `began_ns`.
    pub done_ns: u64,
    /// Clients that came back and have everything that they missed.
    pub recovered: u32,
    /// Clients that came back and were told that this is not known.
    pub unrecovered: u32,
    /// CPU time that the generator has used, in microseconds.
    pub cpu_us: u64,
}

/// What a generator has heard.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// How it stands.
    pub status: Status,
    /// What came, how late, in which order.
    pub books: Books,
    /// From dialing until everything was subscribed to.
    pub connects: Latencies,
}

impl Status {
    /// Adds another generator's.
    pub(crate) fn add(&mut self, other: &Self) {
        self.live += other.live;
        self.failed += other.failed;
        self.closed += other.closed;
        self.received += other.received;
        self.why = self.why.take().or_else(|| other.why.clone());
        self.began_ns = self.began_ns.min(other.began_ns);
        self.done_ns = self.done_ns.max(other.done_ns);
        self.recovered += other.recovered;
        self.unrecovered += other.unrecovered;
        self.cpu_us += other.cpu_us;
    }
}
