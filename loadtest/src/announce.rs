//! `announce`: announcements through the REST API to many sockets. How fast, how late, how complete the whole path is, and
//! what it costs the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::{StreamExt as _, stream};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use crate::api::Api;
use crate::client::{Client, Publication};
use crate::histogram::Histogram;
use crate::process;
use crate::programme::Programme;
use crate::report::Report;

/// How many sockets connect at the same time.
const CONNECTING_MAX: usize = 200;
/// How many requests of the publisher are under way at the same time.
const PUBLISHING_MAX: usize = 32;
/// What stands before the number in a message's title.
const TITLE: &str = "announcement ";

/// What to drive.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Shape {
    /// Topics that messages are spread over, each an event of the programme.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub topics: u32,
    /// Sockets, spread evenly over the topics.
    #[arg(long, default_value_t = 1_000)]
    pub subscribers: usize,
    /// Messages in all.
    #[arg(long, default_value_t = 500)]
    pub messages: u32,
    /// Messages a second.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub rate: u32,
    /// Bytes of padding in each message.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(0..=900))]
    pub payload_bytes: u32,
    /// Seconds to wait for what is still on its way when everything was published.
    #[arg(long, default_value_t = 20)]
    pub settle_seconds: u64,
}

/// What the subscribers share.
#[derive(Debug)]
struct Board {
    start: Instant,
    /// Microseconds since `start` at which the request of each message left.
    sent_us: Vec<AtomicU64>,
    /// The same for the first subscriber that had it.
    first_us: Vec<AtomicU64>,
    latency: Histogram,
    spread: Histogram,
    received: AtomicU64,
    /// Cancelled when the subscribers shall stop.
    over: CancellationToken,
}

/// What one subscriber saw.
#[derive(Debug, Default)]
struct Seen {
    distinct: u64,
    duplicates: u64,
    reordered: u64,
    closed: Option<String>,
}

/// Runs it through `api` (an organizer's) and sockets at `socket_url`, measuring the processes `server_pids`.
///
/// # Errors
/// When the server cannot be reached or refuses the preparations.
pub(crate) async fn run(api: &Api, socket_url: &str, server_pids: &[u32], shape: &Shape) -> Result<Report> {
    let programme = Programme::create(api, shape.topics).await?;
    run_in(&programme, (api, socket_url), server_pids, shape).await
}

/// As [`run`], with the events of `programme` as topics.
///
/// # Errors
/// As [`run`].
pub(crate) async fn run_in(
    programme: &Programme,
    (api, socket_url): (&Api, &str),
    server_pids: &[u32],
    shape: &Shape,
) -> Result<Report> {
    let files_max = process::open_files_max()?;
    ensure!(
        files_max > shape.subscribers as u64 + 100,
        "{} sockets need more than the {files_max} files this shell allows: ulimit -n",
        shape.subscribers
    );
    let board = Arc::new(Board::new(shape.messages));
    let memory_before = total_memory(server_pids)?;
    let subscribers = subscribe_all(socket_url, programme, shape, &board).await?;
    let memory_grown = total_memory(server_pids)?.saturating_sub(memory_before);
    let cpu_before = total_cpu(server_pids)?;
    let began = Instant::now();
    publish_all(api, programme, shape, &board).await?;
    let publishing = began.elapsed();
    let wanted = deliveries_wanted(shape);
    let took = settle(&board, wanted, began, Duration::from_secs(shape.settle_seconds)).await;
    let cpu = total_cpu(server_pids)?.saturating_sub(cpu_before);
    let seen = subscribers.join_all().await;
    let mut report = Report::new("announce");
    report.figure("subscribers", shape.subscribers);
    report.figure("published_per_second", per_second(u64::from(shape.messages), publishing));
    describe(&mut report, &board, took, &seen, wanted);
    if !server_pids.is_empty() {
        let cpu_us = u64::try_from(cpu.as_micros()).unwrap_or(u64::MAX);
        report.figure("server_cpu_us_per_delivery", per_second(cpu_us, Duration::from_secs(wanted.max(1))));
        report.figure("server_bytes_per_connection", memory_grown / (shape.subscribers.max(1) as u64));
    }
    Ok(report)
}

impl Board {
    fn new(messages: u32) -> Self {
        let zeros = |value| (0..messages).map(|_| AtomicU64::new(value)).collect();
        Self {
            start: Instant::now(),
            sent_us: zeros(0),
            first_us: zeros(u64::MAX),
            latency: Histogram::default(),
            spread: Histogram::default(),
            received: AtomicU64::new(0),
            over: CancellationToken::new(),
        }
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn arrived(&self, number: usize) {
        let now = self.now_us();
        let first = self.first_us[number].fetch_min(now, Ordering::Relaxed).min(now);
        let sent = self.sent_us[number].load(Ordering::Relaxed);
        self.latency.record(Duration::from_micros(now.saturating_sub(sent)));
        self.spread.record(Duration::from_micros(now.saturating_sub(first)));
        self.received.fetch_add(1, Ordering::Relaxed);
    }
}

async fn subscribe_all(
    url: &str,
    programme: &Programme,
    shape: &Shape,
    board: &Arc<Board>,
) -> Result<JoinSet<Seen>> {
    let connections = stream::iter(0..shape.subscribers).map(|number| async move {
        let topic = programme.topic(number % shape.topics as usize);
        let mut client = Client::connect(url, None, number).await?;
        client.subscribe(&topic, None).await?;
        Ok::<_, anyhow::Error>(client)
    });
    let mut subscribers = JoinSet::new();
    let mut connections = connections.buffer_unordered(CONNECTING_MAX);
    while let Some(client) = connections.next().await {
        let client = client.context("a subscriber did not get in")?;
        subscribers.spawn(follow(client, Arc::clone(board)));
    }
    Ok(subscribers)
}

/// Reads until the connection ends or the run is over.
async fn follow(mut client: Client, board: Arc<Board>) -> Seen {
    let mut seen = Seen::default();
    let mut numbers = vec![false; board.sent_us.len()];
    let mut last_offset = 0;
    loop {
        let next = tokio::select! {
            () = board.over.cancelled() => break,
            next = client.next() => next, // cancel-safe: a frame is taken whole or not at all
        };
        let publication = match next {
            Ok(publication) => publication,
            Err(error) => {
                seen.closed = Some(error.to_string());
                return seen;
            }
        };
        let Some(number) = number_of(&publication).filter(|number| *number < numbers.len()) else { continue };
        seen.reordered += u64::from(publication.offset <= last_offset);
        last_offset = last_offset.max(publication.offset);
        if std::mem::replace(&mut numbers[number], true) {
            seen.duplicates += 1;
        } else {
            seen.distinct += 1;
            board.arrived(number);
        }
    }
    client.close().await;
    seen
}

/// The number in the title `announcement 17`, found without parsing the whole message.
fn number_of(publication: &Publication) -> Option<usize> {
    let text = publication.data.get();
    let digits = text.split_once(TITLE)?.1;
    digits.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
}

/// Publishes at the rate asked for; gives how many messages went out.
async fn publish_all(api: &Api, programme: &Programme, shape: &Shape, board: &Board) -> Result<()> {
    let mut ticks = interval(Duration::from_secs(1) / shape.rate);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let ticks = stream::unfold(ticks, |mut ticks| async move {
        ticks.tick().await;
        Some(((), ticks))
    });
    let padding = "x".repeat(shape.payload_bytes as usize);
    let requests = stream::iter(0..shape.messages)
        .zip(ticks)
        .map(|(number, ())| {
            let title = format!("{TITLE}{number}");
            let body = if padding.is_empty() { &title } else { &padding }.clone();
            async move {
                board.sent_us[number as usize].store(board.now_us(), Ordering::Relaxed);
                let topic = number % shape.topics;
                programme.announce_to_event(api, topic as usize, &title, &body).await
            }
        })
        .buffer_unordered(PUBLISHING_MAX);
    let mut requests = std::pin::pin!(requests);
    while let Some(answer) = requests.next().await {
        answer.context("a message was not published")?;
    }
    Ok(())
}

/// Deliveries that there are when none is missing.
fn deliveries_wanted(shape: &Shape) -> u64 {
    let topics = shape.topics as usize;
    (0..shape.messages as usize)
        .map(|number| shape.subscribers / topics + usize::from(number % topics < shape.subscribers % topics))
        .sum::<usize>() as u64
}

/// Waits for the deliveries that are wanted; gives the time since `began`.
async fn settle(board: &Board, wanted: u64, began: Instant, at_most: Duration) -> Duration {
    let deadline = Instant::now() + at_most;
    while board.received.load(Ordering::Relaxed) < wanted && Instant::now() < deadline {
        sleep(Duration::from_millis(5)).await;
    }
    let took = began.elapsed();
    board.over.cancel();
    took
}

fn describe(report: &mut Report, board: &Board, took: Duration, seen: &[Seen], wanted: u64) {
    let sum = |pick: fn(&Seen) -> u64| seen.iter().map(pick).sum::<u64>();
    let distinct = sum(|seen| seen.distinct);
    report.figure("deliveries", distinct);
    report.figure("deliveries_per_second", per_second(distinct, took));
    report.figure("latency_from_request", board.latency.quantiles());
    report.figure("latency_after_first_socket", board.spread.quantiles());
    report.equal("deliveries missing", wanted.saturating_sub(distinct), 0);
    report.equal("deliveries twice", sum(|seen| seen.duplicates), 0);
    report.equal("deliveries out of order", sum(|seen| seen.reordered), 0);
    let closed: Vec<&String> = seen.iter().filter_map(|seen| seen.closed.as_ref()).collect();
    let first = closed.first().map_or(String::new(), |reason| format!(", the first because {reason}"));
    report.check("no socket was closed", closed.is_empty(), format!("{}{first}", closed.len()));
}

fn total_cpu(pids: &[u32]) -> Result<Duration> {
    pids.iter().map(|pid| process::cpu(*pid)).sum()
}

fn total_memory(pids: &[u32]) -> Result<u64> {
    pids.iter().map(|pid| process::resident_bytes(*pid)).sum()
}

#[expect(clippy::cast_precision_loss, reason = "counts of a run lie far below 2^53")]
fn per_second(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64().max(0.001)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subscriber_of_a_topic_counts_once_a_message() {
        let shape = |topics, subscribers, messages| Shape {
            topics,
            subscribers,
            messages,
            rate: 1,
            payload_bytes: 0,
            settle_seconds: 0,
        };
        assert_eq!(deliveries_wanted(&shape(1, 10, 5)), 50);
        // topics 0 and 1 have two subscribers, topic 2 has one
        assert_eq!(deliveries_wanted(&shape(3, 5, 4)), 2 + 2 + 1 + 2);
    }

    #[test]
    fn numbers_are_read_from_titles() {
        let publication = |data: &str| Publication {
            offset: 1,
            data: serde_json::value::RawValue::from_string(data.to_owned()).unwrap(),
        };
        assert_eq!(number_of(&publication(r#"{"title":{"en":"announcement 17"}}"#)), Some(17));
        assert_eq!(number_of(&publication(r#"{"title":{"en":"dinner"}}"#)), None);
    }
}
