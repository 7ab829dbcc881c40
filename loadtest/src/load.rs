//! One measured load on one server: clients come in, publications go out at fixed times, everything is counted.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::cores::Cores;
use crate::crew::{Crew, Roll};
use crate::generator::{Ask, Latencies, Outcome};
use crate::histogram::{Quantiles, of_microseconds};
use crate::machine::{nanos, now_ns};
use crate::process::{self, Memory, Usage};
use crate::publisher::{Content, Published, Publisher};
use crate::schedule::Schedule;
use crate::target::Target;

/// From now until the first publication is due.
const LEAD: Duration = Duration::from_millis(20);
/// Without a publication for so long, those that are missing are lost.
const PATIENCE: Duration = Duration::from_secs(10);
/// Publications that fit in between may be behind at the end, and the server has kept up.
const BEHIND_MAX: Duration = Duration::from_millis(500);

/// What is asked of a server.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    /// Who listens.
    pub roll: Roll,
    /// Points of the schedule, a second.
    pub per_second: f64,
    /// Publications at each.
    pub at_once: u32,
    /// Bytes of a payload.
    pub bytes: usize,
    /// Published before the measurement, so that everything is warm.
    pub warm: Duration,
    /// What is measured.
    pub span: Duration,
    /// Connections that publish.
    pub lines: u32,
}

/// What was measured.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// The server.
    pub server: String,
    /// Deliveries that there are when none is missing.
    pub wanted: u64,
    /// Deliveries.
    pub received: u64,
    /// Publications that were missing when a later one came.
    pub gaps: u64,
    /// Deliveries that came again, or too late.
    pub repeated: u64,
    /// Connections that ended.
    pub closed: u32,
    /// From the first due publication to the last delivery, in seconds.
    pub took_s: f64,
    /// Deliveries a second that were asked for.
    pub offered_per_second: f64,
    /// Deliveries a second.
    pub per_second: f64,
    /// Whether the last delivery came soon after the last publication.
    pub keeps_up: bool,
    /// CPU time of the server.
    pub usage: Usage,
    /// The same for each delivery, in microseconds.
    pub us_per_delivery: f64,
    /// CPU time of the generator: clients and publisher.
    pub generator: Duration,
    /// What the server's memory has grown by from its start to the end.
    pub memory: Memory,
    /// From the time when something was due.
    pub latency: Quantiles,
    /// As they were counted: microseconds and counts.
    pub latencies: Latencies,
    /// Deliveries by second.
    pub by_second: Vec<u64>,
    /// The longest that the publisher was late, in milliseconds.
    pub publisher_late_ms: f64,
    /// From dialing until everything was subscribed to.
    pub connect: Quantiles,
}

/// A crew that is in, and a publisher that has connected.
#[derive(Debug)]
pub(crate) struct Ready {
    /// The clients.
    pub crew: Crew,
    publisher: Publisher,
    target: Target,
    load: Load,
    memory: Memory,
}

impl Ready {
    /// Lets everybody in.
    ///
    /// # Errors
    /// When somebody does not get in.
    pub(crate) async fn enter(target: &Target, load: &Load, cores: &Cores) -> Result<Self> {
        let Roll { clients, topics, topics_each, .. } = load.roll;
        ensure!(
            (u64::from(clients) * u64::from(topics_each)).is_multiple_of(u64::from(topics)),
            "{clients} clients are not spread evenly over {topics} topics"
        );
        let memory = memory(target)?;
        let mut crew = Crew::start(target, &load.roll, cores).await?;
        crew.until_live().await?;
        let content = Content {
            prefix: target.publish_prefix.clone(),
            topics,
            bytes: load.bytes,
            at_once: load.at_once,
        };
        let publisher = Publisher::open(target.way.clone(), load.lines, content)?;
        let mut ready = Self { crew, publisher, target: target.clone(), load: load.clone(), memory };
        if !load.warm.is_zero() {
            let sent = ready.publish(load.warm)?;
            let wanted = ready.wanted(&sent);
            ready.crew.until_received(wanted, PATIENCE).await?;
        }
        Ok(ready)
    }

    /// Deliveries of what was published, when none is missing.
    fn wanted(&self, published: &Published) -> u64 {
        let Roll { clients, topics, topics_each, stalled, .. } = self.load.roll;
        published.count * (u64::from(clients - stalled) * u64::from(topics_each) / u64::from(topics))
    }

    /// Publishes for `span`, on a thread of its own.
    fn publish(&mut self, span: Duration) -> Result<Published> {
        let schedule = Schedule::new(now_ns() + nanos(LEAD), self.load.per_second, span);
        std::thread::scope(|scope| {
            let publisher = &mut self.publisher;
            let run = scope.spawn(move || publisher.run(&schedule));
            run.join().map_err(|_| anyhow::anyhow!("the publisher has panicked"))?
        })
    }

    /// Publishes, waits for what comes, and counts.
    ///
    /// # Errors
    /// When a process has died or a publication was refused.
    pub(crate) async fn measure(&mut self, span: Duration) -> Result<Measured> {
        let began = self.crew.ask(Ask::Begin).await?;
        let (usage_before, own_before) = (usage(&self.target)?, process::usage(std::process::id())?);
        let sent = self.publish(span)?;
        let wanted = self.wanted(&sent);
        self.crew.until_received(wanted, PATIENCE).await?;
        let usage = usage(&self.target)?.since(usage_before);
        let own = process::usage(std::process::id())?.since(own_before);
        self.publisher.settle().with_context(|| format!("{} refuses", self.target.name))?;
        let outcomes = self.crew.outcomes().await?;
        let grown = memory(&self.target)?.since(self.memory);
        let clients: u64 = outcomes.iter().map(|one| one.status.cpu_us).sum();
        let generator = own.total + Duration::from_micros(clients.saturating_sub(began.cpu_us));
        Ok(measured(&self.target.name, &self.load, (&sent, wanted), &outcomes, (usage, generator, grown)))
    }
}

/// Lets clients in and measures, once.
///
/// # Errors
/// As [`Ready::enter`] and [`Ready::measure`].
pub(crate) async fn run(target: &Target, load: &Load, cores: &Cores) -> Result<Measured> {
    Ready::enter(target, load, cores).await?.measure(load.span).await
}

/// CPU time of a server's processes.
///
/// # Errors
/// When one has gone.
pub(crate) fn usage(target: &Target) -> Result<Usage> {
    target.pids.iter().map(|pid| process::usage(*pid)).sum()
}

/// Memory of a server's processes.
///
/// # Errors
/// When one has gone.
pub(crate) fn memory(target: &Target) -> Result<Memory> {
    target.pids.iter().map(|pid| process::memory(*pid)).sum()
}

fn measured(
    server: &str,
    load: &Load,
    (published, wanted): (&Published, u64),
    outcomes: &[Outcome],
    (usage, generator, memory): (Usage, Duration, Memory),
) -> Measured {
    let sum = |pick: fn(&Outcome) -> u64| outcomes.iter().map(pick).sum::<u64>();
    let received = sum(|one| one.books.received);
    let last_ns = outcomes.iter().map(|one| one.books.last_ns).max().unwrap_or_default();
    let took_s = seconds(last_ns.saturating_sub(published.first_due_ns));
    let behind_ns = last_ns.saturating_sub(published.last_due_ns);
    let latencies =
        Latencies(outcomes.iter().flat_map(|one| one.books.latencies.0.iter().copied()).collect());
    let connects = Latencies(outcomes.iter().flat_map(|one| one.connects.0.iter().copied()).collect());
    let length = outcomes.iter().map(|one| one.books.per_second.len()).max().unwrap_or(0);
    let by_second = (0..length)
        .map(|second| outcomes.iter().filter_map(|one| one.books.per_second.get(second)).sum())
        .collect();
    let points = float(published.count) / f64::from(load.at_once);
    Measured {
        server: server.to_owned(),
        wanted,
        received,
        gaps: sum(|one| one.books.gaps),
        repeated: sum(|one| one.books.repeated),
        closed: outcomes.iter().map(|one| one.status.closed).sum(),
        took_s,
        offered_per_second: float(wanted) / points * load.per_second,
        per_second: float(received) / took_s.max(0.001),
        keeps_up: received >= wanted && behind_ns <= nanos(BEHIND_MAX),
        usage,
        us_per_delivery: usage.total.as_secs_f64() * 1e6 / float(received.max(1)),
        generator,
        memory,
        latency: Quantiles::of(&latencies),
        latencies: merged(&latencies),
        by_second,
        publisher_late_ms: seconds(published.late_max_ns) * 1_000.0,
        connect: Quantiles::of(&connects),
    }
}

impl Quantiles {
    /// The quantiles of what was recorded; zeros when nothing was.
    pub(crate) fn of(latencies: &Latencies) -> Self {
        let mut all = of_microseconds();
        latencies.add_to(&mut all);
        Self::of_histogram(&all)
    }
}

/// The same latencies, each once and in order.
pub(crate) fn merged(latencies: &Latencies) -> Latencies {
    let mut all = of_microseconds();
    latencies.add_to(&mut all);
    Latencies(all.iter_recorded().map(|at| (at.value_iterated_to(), at.count_at_value())).collect())
}

fn seconds(ns: u64) -> f64 {
    Duration::from_nanos(ns).as_secs_f64()
}

/// A count as it is divided.
#[expect(clippy::cast_precision_loss, reason = "counts of a run lie far below 2^53")]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}
