//! `million`: as many connections as the machine holds, over as many processes as descriptors need, and one message to
//! all of them. The floor does the same with as many processes.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::cores::Cores;
use crate::crew::{Crew, Roll};
use crate::generator::{Ask, Latencies, Wire};
use crate::histogram::Quantiles;
use crate::load::{self, float};
use crate::machine::{nanos, now_ns};
use crate::process::{self, Memory};
use crate::publisher::{Content, Publisher};
use crate::redis::Redis;
use crate::report::Report;
use crate::scenario::{Floors, Started};
use crate::schedule::Schedule;
use crate::stand::Stand;
use crate::storm::Fleet;
use crate::target::{Target, WayKind};

/// Memory that a connection takes with both of its ends in the kernel, a server's share and a generator's, in bytes.
const BYTES_EACH: u64 = 2 * 3_500 + 3_000 + 600;
/// Memory of a process besides.
const BYTES_PROCESS: u64 = 60 << 20;
/// No delivery for so long: those that are missing are lost.
const PATIENCE: Duration = Duration::from_secs(30);
/// From now until the message is due.
const LEAD: Duration = Duration::from_millis(100);

/// How many there are.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    pub own: Started,
    #[command(flatten)]
    pub cores: Cores,
    /// Clients in all.
    #[arg(long, default_value_t = 1_000_000)]
    pub clients: u32,
    /// Clients of one process.
    #[arg(long, default_value_t = 19_000)]
    pub per_process: u32,
    /// Messages to all, one after the other.
    #[arg(long, default_value_t = 3)]
    pub broadcasts: u32,
    /// Handshakes under way at a time.
    #[arg(long, default_value_t = 512)]
    pub in_flight: u32,
    /// Between pings, in milliseconds; the servers' cost of pings is measured by `idle`.
    #[arg(long, default_value_t = 300_000)]
    pub ping_ms: u32,
}

/// What one server of many processes has shown.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Reached {
    /// The server.
    pub server: String,
    /// Its processes.
    pub processes: u32,
    /// Clients.
    pub clients: u32,
    /// Seconds until everybody was in.
    pub entering_s: f64,
    /// Each message: seconds until the last client had it, and how many had.
    pub broadcasts: Vec<(f64, u64)>,
    /// CPU time of the server for all messages together, in microseconds for each delivery.
    pub us_per_delivery: f64,
    /// Memory of the server's processes with everybody in them.
    pub memory: Memory,
    /// What the kernel needs for sockets and all else, in bytes: slabs, and TCP's buffers.
    pub slab_bytes: u64,
    /// See `slab_bytes`.
    pub tcp_bytes: u64,
    /// TCP sockets of the machine.
    pub sockets: u64,
    /// From the time when a message was due.
    pub latency: Quantiles,
    /// Connections that ended, deliveries twice, and gaps.
    pub faults: (u32, u64, u64),
}

/// What the kernel says of itself, in bytes.
#[derive(Debug, Clone, Copy)]
struct Kernel {
    available: u64,
    slab: u64,
    tcp: u64,
    sockets: u64,
}

/// Runs it: first the floor, then Munadi.
///
/// # Errors
/// When there is not enough memory, or something does not come up.
pub(crate) async fn run(plan: &Plan) -> Result<Report> {
    let cores = plan.cores.clone().settle()?;
    let all = reach_both(plan, &cores).await?;
    let mut report = Report::new("million");
    for reached in &all {
        let name = |text: &str| format!("{}: {text}", reached.server);
        report.figure(&name("processes"), reached.processes);
        report.figure(&name("clients"), reached.clients);
        report.figure(&name("entering_seconds"), reached.entering_s);
        report.figure(&name("broadcast_seconds"), reached.median_s());
        report.figure(&name("us_per_delivery"), reached.us_per_delivery);
        report.figure(&name("bytes_per_connection"), reached.memory.anonymous / u64::from(reached.clients));
        report.figure(&name("resident_mib"), reached.memory.resident >> 20);
        report.figure(&name("kernel_slab_mib"), reached.slab_bytes >> 20);
        report.figure(&name("kernel_tcp_mib"), reached.tcp_bytes >> 20);
        report.figure(&name("sockets"), reached.sockets);
        for (number, (_, received)) in reached.broadcasts.iter().enumerate() {
            let wanted = u64::from(reached.clients);
            report.equal(&name(&format!("deliveries of message {}", number + 1)), *received, wanted);
        }
        report.check(
            name("nothing else happened"),
            reached.faults == (0, 0, 0),
            format!("{:?}", reached.faults),
        );
    }
    if let [floor, munadi] = &all[..] {
        report.figure("times_the_floor", munadi.median_s() / floor.median_s());
    }
    report.detail(all);
    Ok(report)
}

/// The floor (unless it is not wanted) and Munadi.
///
/// # Errors
/// As [`run`].
pub(crate) async fn reach_both(plan: &Plan, cores: &Cores) -> Result<Vec<Reached>> {
    let processes = plan.clients.div_ceil(plan.per_process);
    let kernel = Kernel::now()?;
    let needed = u64::from(plan.clients) * BYTES_EACH + u64::from(processes) * 2 * BYTES_PROCESS;
    eprintln!(
        "  {} clients over {processes} processes need about {} MiB; {} MiB are available",
        plan.clients,
        needed >> 20,
        kernel.available >> 20
    );
    ensure!(needed < kernel.available, "that is not enough memory: fewer --clients");
    let mut all = Vec::new();
    if plan.own.floor != Some(Floors::None) {
        all.push(floors(plan, processes, cores).await.context("the floor")?);
    }
    all.push(munadis(plan, processes, cores).await.context("munadi")?);
    Ok(all)
}

async fn floors(plan: &Plan, processes: u32, cores: &Cores) -> Result<Reached> {
    let mut stands = Vec::new();
    for _ in 0..processes {
        stands.push(Stand::floor(false, cores).await?);
    }
    let mut target = stands.first().context("no floor")?.target.clone();
    target.addresses = stands.iter().flat_map(|stand| stand.target.addresses.clone()).collect();
    target.pids = stands.iter().flat_map(|stand| stand.target.pids.clone()).collect();
    // a floor knows nothing of the others: each is told
    let ways: Vec<_> = stands.iter().map(|stand| stand.target.clone()).collect();
    reach(plan, &target, &ways, cores).await
}

async fn munadis(plan: &Plan, processes: u32, cores: &Cores) -> Result<Reached> {
    let redis = Redis::start(&cores.generator).await?;
    let mut setup = plan.own.setup(Wire::CentrifugeJson, WayKind::Socket)?;
    setup.redis = Some(redis.url());
    setup.hub = format!("ping_interval_ms = {}", plan.ping_ms);
    let fleet = Fleet::start(&setup, processes, cores).await?;
    reach(plan, &fleet.target()?, std::slice::from_ref(&fleet.publisher.target), cores).await
}

async fn reach(plan: &Plan, target: &Target, ways: &[Target], cores: &Cores) -> Result<Reached> {
    let roll = Roll {
        clients: plan.clients,
        topics: 1,
        topics_each: 1,
        topics_all: Vec::new(),
        processes: u32::try_from(target.addresses.len())?,
        in_flight: plan.in_flight,
        stalled: 0,
    };
    eprintln!("  {}: {} clients enter {} processes", target.name, plan.clients, target.pids.len());
    let before = Kernel::now()?;
    let memory_before = load::memory(target)?;
    let mut crew = Crew::start(target, &roll, cores).await?;
    let began = Instant::now();
    crew.until_live().await?;
    let entering_s = began.elapsed().as_secs_f64();
    let kernel = Kernel::now()?;
    eprintln!(
        "  {}: all are in after {entering_s:.1} s; {} MiB are left",
        target.name,
        kernel.available >> 20
    );
    let content = Content { prefix: "bench:".to_owned(), topics: 1, bytes: 128, at_once: 1 };
    let mut publishers = ways
        .iter()
        .map(|way| Publisher::open(way.way.clone(), 1, content.clone()))
        .collect::<Result<Vec<_>>>()?;
    let usage_before = load::usage(target)?;
    let (mut broadcasts, mut latencies, mut faults) = (Vec::new(), Latencies::default(), (0, 0, 0));
    for _ in 0..plan.broadcasts {
        crew.ask(Ask::Begin).await?;
        let schedule = Schedule::new(now_ns() + nanos(LEAD), 1.0, Duration::ZERO);
        for publisher in &mut publishers {
            publisher.run(&schedule)?;
        }
        let status = crew.until_received(u64::from(plan.clients), PATIENCE).await?;
        let outcomes = crew.outcomes().await?;
        let last_ns = outcomes.iter().map(|one| one.books.last_ns).max().unwrap_or_default();
        let took_s = Duration::from_nanos(last_ns.saturating_sub(schedule.due_ns(0))).as_secs_f64();
        eprintln!("  {}: {} deliveries in {took_s:.2} s", target.name, status.received);
        broadcasts.push((took_s, status.received));
        for outcome in outcomes {
            latencies.0.extend(outcome.books.latencies.0);
            faults.1 += outcome.books.repeated;
            faults.2 += outcome.books.gaps;
        }
        faults.0 = status.closed;
    }
    let usage = load::usage(target)?.since(usage_before);
    let deliveries: u64 = broadcasts.iter().map(|(_, received)| received).sum();
    Ok(Reached {
        server: target.name.clone(),
        processes: u32::try_from(target.pids.len())?,
        clients: plan.clients,
        entering_s,
        broadcasts,
        us_per_delivery: usage.total.as_secs_f64() * 1e6 / float(deliveries.max(1)),
        memory: load::memory(target)?.since(memory_before),
        slab_bytes: kernel.slab.saturating_sub(before.slab),
        tcp_bytes: kernel.tcp.saturating_sub(before.tcp),
        sockets: kernel.sockets,
        latency: Quantiles::of(&latencies),
        faults,
    })
}

impl Reached {
    /// The message in the middle, by how long it took.
    pub(crate) fn median_s(&self) -> f64 {
        let mut sorted: Vec<f64> = self.broadcasts.iter().map(|(took_s, _)| *took_s).collect();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    }
}

impl Kernel {
    fn now() -> Result<Self> {
        let memory = std::fs::read_to_string("/proc/meminfo").context("cannot read /proc/meminfo")?;
        let sockets =
            std::fs::read_to_string("/proc/net/sockstat").context("cannot read /proc/net/sockstat")?;
        let tcp = sockets.lines().find_map(|line| line.strip_prefix("TCP: ")).context("no line for TCP")?;
        let words: Vec<&str> = tcp.split_whitespace().collect();
        let word = |name: &str| {
            let at = words.iter().position(|word| *word == name)?;
            words.get(at + 1)?.parse::<u64>().ok()
        };
        Ok(Self {
            available: process::kib(&memory, "MemAvailable:")? * 1024,
            slab: process::kib(&memory, "Slab:")? * 1024,
            tcp: word("mem").unwrap_or(0) * 4_096,
            sockets: word("inuse").unwrap_or(0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_what_it_needs() {
        let kernel = Kernel::now().unwrap();
        assert!(kernel.available > 1 << 20 && kernel.slab > 1 << 16);
    }
}
