//! The rows: what each promises, how it is measured, and the measuring.

mod competition;
mod crowds;
mod faults;

use anyhow::{Result, bail};

use super::Plan;
use super::row::{Outline, Row};
use crate::cores::Cores;
use crate::generator::Wire;
use crate::scenario::Entrant;
use crate::stand::Setup;
use crate::target::WayKind;

/// The rows that there are.
pub(super) const NUMBERS: [u8; 12] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

/// What a row promises.
#[expect(clippy::too_many_lines, reason = "a table, and nothing else")]
pub(super) fn outline(number: u8) -> Outline {
    let (what, target, how) = match number {
        1 => (
            "1 topic x 10,000 subscribers, 4 messages/s",
            "<= 1.25 x floor, p99 <= 1.25 x the floor's",
            "One message at a time for everybody: the floor's own case.",
        ),
        2 => (
            "the same, 20 messages/s offered",
            "keeps up, p99 < 150 ms, <= 0.8 x the floor's single write",
            "200,000 deliveries a second: more than one write for each can carry. Who keeps up has joined what waited for a \
             socket. A server keeps up when the last delivery came within half a second of the last due publication.",
        ),
        3 => (
            "bursts of 200 messages to 5,000 subscribers",
            "<= 0.15 us per delivery (>= 6 million/s on one core)",
            "200 messages at once, once a second. The floor with one write for each message is given two bursts only: it takes \
             seconds for each.",
        ),
        4 => (
            "1,000 topics x 10 subscribers, 2,000 messages/s",
            "<= 1.3 x floor, p99 <= 2 x the floor's",
            "Little to share: what a message costs besides its writes shows. Measured with both ways in, commands of a socket \
             and Centrifugo's HTTP API with a request for each message; the floor is posted to over HTTP. The first is judged.",
        ),
        5 => (
            "user memory per idle connection, 19,000 in a process",
            "<= 1,500 bytes; Protobuf and Pusher the same",
            "Anonymous memory of the process with everybody in it, less that of the same process before the first, divided by \
             the connections; nothing was published. Topics are 1,000 in all.",
        ),
        6 => (
            "idle CPU, 19,000 connections pinged every 25 s",
            "<= 0.3 % of a core",
            "CPU time over 50 seconds, in which everybody is pinged twice and answers; the same server without connections for \
             comparison. The kernel's part is what writing 760 pings and reading 760 pongs a second takes.",
        ),
        7 => (
            "connect: TCP, upgrade, token, subscribe",
            "<= 60 us of CPU besides the signature check, >= 8,000/s per core",
            "10,000 connections, 256 handshakes under way at a time. The check of a token is measured by itself, with the code \
             that the server checks it with, and taken off. HS256 tokens are judged, Munadi's own (EdDSA) stated.",
        ),
        8 => (
            "one million connections, one broadcast to all",
            "all delivered, total time <= 1.5 x the floor's",
            "As many processes of `munadi serve --role hub` on one Redis as descriptors need, 19,000 connections each, \
             authenticated and subscribed; pings every 300 s, because both ends of a million connections share two cores. The \
             floor has as many processes, each told by a request. Time from when the message was due to the last delivery.",
        ),
        9 => (
            "reconnect storm: five hub nodes killed and restarted, 20 messages missed",
            "all recovered, no gap, Redis commands independent of the clients",
            "All five nodes are killed with everybody on them; a sixth publishes 20 messages to each topic; the five start \
             again, and when they are ready everybody dials at once, until they are in. Redis counts its commands from the start \
             of the nodes to the last recovery; those that idle nodes send in the same time are taken off. A tenth of the \
             clients shows whether they count. Nodes and generator share the cores.",
        ),
        10 => (
            "p99 at half of the maximum throughput, 1 % of the readers stalled",
            "within 2 x of the unloaded p99, stalled readers closed",
            "1,000 subscribers of one topic. The maximum is what one core carries at one write for each delivery, from the cost \
             of the unloaded run; then half of that, beside 10 readers that stop reading after they have subscribed.",
        ),
        11 => (
            "two shards against one",
            ">= 1.8 x",
            "10,000 subscribers, 4 messages/s, server and generator on both cores. How long a message takes to all of them is its \
             p99 (messages do not overlap); of it the generator's CPU time for the same deliveries, spread over both cores, is \
             taken off with two shards. With one shard the generator has the other core to itself.",
        ),
        12 => (
            "an emergency into bursts to 5,000 subscribers",
            "p99 within 2 x of an idle hub",
            "Everybody follows one topic with bursts of 200 messages a second, and that of emergencies. An emergency is announced \
             through the REST API 20 ms after a burst is due; latency counts from the request, so it has the whole path in it: \
             database, relay, log, hub.",
        ),
        _ => ("", "", ""),
    };
    Outline { number, what, target, how }
}

/// Measures a row.
///
/// # Errors
/// When a server does not come up, or a client does not get in.
pub(super) async fn measure(number: u8, plan: &Plan, cores: &Cores) -> Result<Row> {
    let bench = Bench { plan, cores };
    let mut row = match number {
        1 => bench.one_topic().await?,
        2 => bench.more_than_writes().await?,
        3 => bench.bursts().await?,
        4 => bench.many_topics().await?,
        5 => bench.memory().await?,
        6 => bench.idle_cpu().await?,
        7 => bench.connects().await?,
        8 => bench.million().await?,
        9 => bench.storm().await?,
        10 => bench.stalled().await?,
        11 => bench.shards().await?,
        12 => bench.emergency().await?,
        _ => bail!("there is no such row"),
    };
    row.number = number;
    row.full = plan.full;
    Ok(row)
}

/// What every row needs.
struct Bench<'a> {
    plan: &'a Plan,
    cores: &'a Cores,
}

impl Bench<'_> {
    /// A part of `size`, a multiple of ten.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "sizes are small and positive"
    )]
    fn scaled(&self, size: u32) -> u32 {
        let part = (f64::from(size) * self.plan.scale).round() as u32;
        (part / 10 * 10).clamp(10, size.max(10))
    }

    /// A part of `seconds`.
    fn span(&self, seconds: f64) -> f64 {
        (seconds * self.plan.scale).max(1.0).min(seconds)
    }

    fn setup(&self) -> Result<Setup> {
        self.plan.own.setup(Wire::CentrifugeJson, WayKind::Socket)
    }

    fn munadi(&self) -> Result<Entrant> {
        Ok(Entrant::Munadi(self.setup()?))
    }
}

/// `1.23 x`.
fn times(factor: f64) -> String {
    format!("{factor:.2} x")
}

/// `12.3 ms`.
fn ms(value: f64) -> String {
    if value < 10.0 { format!("{value:.2} ms") } else { format!("{value:.0} ms") }
}

/// `1.234 us`.
fn us(value: f64) -> String {
    if value < 1.0 { format!("{value:.3} us") } else { format!("{value:.2} us") }
}
