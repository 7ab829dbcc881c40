//! `hostile`: what clients that break the rules cost the others. The same messages go to the same well-behaved sockets
//! without hostile clients and beside them, in pairs; the difference is compared with what runs without them differ by.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::announce::{self, Shape};
use crate::programme::Programme;
use crate::report::Report;
use crate::spawn::{Binaries, Installation};

/// Commands of a flood that leave in one frame.
const FLOOD_BATCH: u32 = 100;
/// Before a hostile client that was closed comes back.
const COME_BACK_AFTER: Duration = Duration::from_secs(1);
/// Bytes that the kernel of a slow reader takes in.
const SLOW_BUFFER_BYTES: u32 = 4_096;
/// Differences below this are noise on any machine, in milliseconds.
const NOISE_MS_MIN: f64 = 5.0;

/// What to compare.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    shape: Shape,
    /// Pairs of runs.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(2..=100))]
    pairs: u32,
    /// Clients that send commands without pause.
    #[arg(long, default_value_t = 4)]
    flooders: usize,
    /// Commands a second of each of them.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    flood_rate: u32,
    /// Clients that subscribe to everything and read nothing; they answer no ping either.
    #[arg(long, default_value_t = 50)]
    slow_readers: usize,
    /// Clients that send what is no protocol, again and again.
    #[arg(long, default_value_t = 10)]
    vandals: usize,
}

/// A run's latencies, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Latency {
    p50_ms: f64,
    p99_ms: f64,
}

/// How often the server has ended hostile connections.
#[derive(Debug, Default)]
struct Ends {
    floods: AtomicU64,
    vandals: AtomicU64,
}

/// Runs it on an installation of its own.
///
/// # Errors
/// When something cannot even be tried; what does not hold is in the report.
pub(crate) async fn run(binaries: &Binaries, plan: &Plan) -> Result<Report> {
    let installation = Installation::start(binaries).await?;
    let (api, url) = (installation.organizer().await?, installation.socket_url());
    let programme = Programme::create(&api, plan.shape.topics).await?;
    let ends = Arc::new(Ends::default());
    let mut report = Report::new("hostile");
    let (mut quiet, mut beside) = (Vec::new(), Vec::new());
    for pair in 0..plan.pairs {
        // each order as often as the other, so that what warms up or fills up counts for neither
        for hostile in [pair % 2 == 0, pair % 2 == 1] {
            let mut crowd = JoinSet::new();
            if hostile {
                crowd = enter(&url, &programme, plan, &ends).await?;
            }
            let found = announce::run_in(&programme, (&api, &url), &[], &plan.shape).await?;
            crowd.shutdown().await;
            let name = if hostile { "beside hostile clients" } else { "alone" };
            report.check(format!("run {} {name} is complete", pair + 1), found.holds(), failures(&found));
            if hostile { &mut beside } else { &mut quiet }.push(Latency::of(&found)?);
        }
    }
    report.figure("floods_ended_by_the_server", ends.floods.load(Ordering::Relaxed));
    report.figure("vandals_ended_by_the_server", ends.vandals.load(Ordering::Relaxed));
    compare(&mut report, "p50", &quiet, &beside, |latency| latency.p50_ms);
    compare(&mut report, "p99", &quiet, &beside, |latency| latency.p99_ms);
    let ended = ends.floods.load(Ordering::Relaxed) > 0 && ends.vandals.load(Ordering::Relaxed) > 0;
    let wanted = plan.flooders > 0 && plan.vandals > 0;
    report.check("the server has ended hostile connections", ended || !wanted, format!("{ends:?}"));
    installation.stop().await?;
    Ok(report)
}

impl Latency {
    fn of(report: &Report) -> Result<Self> {
        let latency = &report.figures["latency_after_first_socket"];
        let read = |name: &str| latency[name].as_f64().with_context(|| format!("the run has no {name}"));
        Ok(Self { p50_ms: read("p50_ms")?, p99_ms: read("p99_ms")? })
    }
}

/// Notes the medians of both kinds of runs, and whether they differ by more than quiet runs among themselves.
fn compare(
    report: &mut Report,
    name: &str,
    quiet: &[Latency],
    beside: &[Latency],
    pick: fn(&Latency) -> f64,
) {
    let sorted = |latencies: &[Latency]| {
        let mut values: Vec<f64> = latencies.iter().map(pick).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let (quiet, beside) = (sorted(quiet), sorted(beside));
    let spread = quiet.last().copied().unwrap_or_default() - quiet.first().copied().unwrap_or_default();
    let noise_ms = spread.max(NOISE_MS_MIN);
    let (alone_ms, beside_ms) = (median(&quiet), median(&beside));
    report.figure(&format!("{name}_alone_ms"), &quiet);
    report.figure(&format!("{name}_beside_ms"), &beside);
    report.check(
        format!("{name} beside hostile clients is that without them, within noise"),
        beside_ms - alone_ms <= noise_ms,
        format!("{beside_ms:.2} ms, not {alone_ms:.2} ms; the noise is {noise_ms:.2} ms"),
    );
}

fn median(sorted: &[f64]) -> f64 {
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

fn failures(report: &Report) -> String {
    let failed: Vec<String> = report
        .checks
        .iter()
        .filter(|check| !check.holds)
        .map(|check| format!("{}: {}", check.rule, check.found))
        .collect();
    if failed.is_empty() { "yes".to_owned() } else { failed.join("; ") }
}

/// Lets the hostile clients in. They stay as they are until the set is dropped.
async fn enter(url: &str, programme: &Programme, plan: &Plan, ends: &Arc<Ends>) -> Result<JoinSet<()>> {
    let mut crowd = JoinSet::new();
    for _ in 0..plan.slow_readers {
        let topics = (0..plan.shape.topics as usize).map(|number| programme.topic(number)).collect();
        let socket = connect(url, Some(SLOW_BUFFER_BYTES)).await?;
        crowd.spawn(read_nothing(socket, topics));
    }
    for _ in 0..plan.flooders {
        let (url, rate, ends) = (url.to_owned(), plan.flood_rate, Arc::clone(ends));
        crowd.spawn(async move {
            loop {
                if let Ok(socket) = connect(&url, None).await {
                    flood(socket, rate).await;
                    ends.floods.fetch_add(1, Ordering::Relaxed);
                }
                sleep(COME_BACK_AFTER).await;
            }
        });
    }
    for number in 0..plan.vandals {
        let (url, ends) = (url.to_owned(), Arc::clone(ends));
        crowd.spawn(async move {
            loop {
                if let Ok(socket) = connect(&url, None).await {
                    vandalize(socket, number).await;
                    ends.vandals.fetch_add(1, Ordering::Relaxed);
                }
                sleep(COME_BACK_AFTER).await;
            }
        });
    }
    Ok(crowd)
}

async fn connect(url: &str, receive_bytes: Option<u32>) -> Result<WebSocketStream<TcpStream>> {
    let host =
        url.strip_prefix("ws://").and_then(|rest| rest.split('/').next()).context("no ws:// address")?;
    let Some(address) = tokio::net::lookup_host(host).await?.next() else { bail!("{host} has no address") };
    let socket = TcpSocket::new_v4()?;
    if let Some(bytes) = receive_bytes {
        socket.set_recv_buffer_size(bytes)?;
    }
    let (socket, _) = tokio_tungstenite::client_async(url, socket.connect(address).await?).await?;
    Ok(socket)
}

/// Subscribes, and takes nothing of what comes; a half-open connection looks the same.
async fn read_nothing(mut socket: WebSocketStream<TcpStream>, topics: Vec<String>) {
    let mut commands = vec![json!({ "id": 1, "connect": {} }).to_string()];
    let subscribes = topics.iter().zip(2_u32..);
    commands.extend(
        subscribes.map(|(topic, id)| json!({ "id": id, "subscribe": { "channel": topic } }).to_string()),
    );
    let _ = socket.send(Message::text(commands.join("\n"))).await; // a server that says no has its way
    std::future::pending::<()>().await;
}

/// Sends commands until the server ends it.
async fn flood(socket: WebSocketStream<TcpStream>, rate: u32) {
    let (mut to, mut from) = socket.split();
    let mut ticks = interval(Duration::from_secs(1) * FLOOD_BATCH / rate);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    if to.send(Message::text(json!({ "id": 1, "connect": {} }).to_string())).await.is_err() {
        return;
    }
    let commands: Vec<String> =
        (2..2 + FLOOD_BATCH).map(|id| json!({ "id": id, "rpc": { "method": "time" } }).to_string()).collect();
    let commands = commands.join("\n");
    let sending = async {
        loop {
            ticks.tick().await;
            if to.send(Message::text(commands.clone())).await.is_err() {
                return;
            }
        }
    };
    let reading = async { while let Some(Ok(_)) = from.next().await {} };
    tokio::select! { // whichever ends first, the connection is over
        () = sending => {}
        () = reading => {}
    }
}

/// Says what no client would, and waits for the end.
async fn vandalize(mut socket: WebSocketStream<TcpStream>, number: usize) {
    let rubbish = match number % 4 {
        0 => Message::binary(vec![0xff; 512]),
        1 => Message::text("{".repeat(20_000)),
        2 => Message::text(r#"{"id":1,"subscribe":{"channel":"festival"}}"#),
        _ => Message::text("x".repeat(1 << 20)),
    };
    if socket.send(rubbish).await.is_ok() {
        while let Some(Ok(_)) = socket.next().await {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latencies(values: &[f64]) -> Vec<Latency> {
        values.iter().map(|ms| Latency { p50_ms: *ms, p99_ms: *ms }).collect()
    }

    #[test]
    fn a_difference_counts_when_quiet_runs_do_not_differ_as_much() {
        for (quiet, beside, holds) in [
            ([1.0, 2.0, 3.0], [4.0, 5.0, 6.0], true),
            ([1.0, 2.0, 3.0], [7.5, 8.0, 8.5], false),
            ([1.0, 20.0, 41.0], [50.0, 55.0, 60.0], true),
            ([10.0, 11.0, 12.0], [1.0, 2.0, 3.0], true),
        ] {
            let mut report = Report::new("hostile");
            compare(&mut report, "p99", &latencies(&quiet), &latencies(&beside), |one| one.p99_ms);
            assert_eq!(report.holds(), holds, "{quiet:?} {beside:?}");
        }
    }
}
