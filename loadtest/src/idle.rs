//! `idle`: what connections cost that do nothing: memory for each, and CPU for the pings.

use std::time::Duration;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use crate::cores::Cores;
use crate::crew::{Crew, Roll};
use crate::generator::Wire;
use crate::load;
use crate::process::{Memory, Usage};
use crate::report::Report;
use crate::scenario::{Entrant, Floors, Started};
use crate::target::{Elsewhere, Target};

/// Until what starting or connecting has left behind is put away.
const REST: Duration = Duration::from_secs(3);

/// How many are idle, and for how long.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    pub elsewhere: Elsewhere,
    #[command(flatten)]
    pub own: Started,
    #[command(flatten)]
    pub cores: Cores,
    /// Clients.
    #[arg(long, default_value_t = 19_000)]
    pub clients: u32,
    /// Topics.
    #[arg(long, default_value_t = 1_000)]
    pub topics: u32,
    /// Topics that each client follows.
    #[arg(long, default_value_t = 1)]
    pub topics_each: u32,
    /// Seconds for which the CPU time is measured; every client is pinged twice in 50.
    #[arg(long, default_value_t = 50.0)]
    pub seconds: f64,
}

/// What idle connections cost.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Idle {
    /// The server.
    pub server: String,
    /// What clients speak.
    pub wire: Wire,
    /// Clients.
    pub clients: u32,
    /// Topics of each.
    pub topics_each: u32,
    /// What memory has grown by since the server started.
    pub memory: Memory,
    /// Anonymous memory for each client, in bytes.
    pub bytes_each: u64,
    /// Seconds for which CPU time was measured; 0: it was not.
    pub seconds: f64,
    /// CPU time in them.
    pub usage: Usage,
    /// The same, in percent of a core.
    pub cpu_percent: f64,
}

/// Runs it.
///
/// # Errors
/// When the server does not come up or a client does not get in.
pub(crate) async fn run(plan: &Plan) -> Result<Report> {
    let cores = plan.cores.clone().settle()?;
    // one form of the floor is enough: nothing is published
    let floored = plan.own.floor.is_some_and(|floor| floor != Floors::None);
    let floors = if floored { Floors::Single } else { Floors::None };
    let entrants = plan.own.entrants(&plan.elsewhere, floors).await?;
    let mut report = Report::new("idle");
    let mut all = Vec::new();
    let span = Duration::from_secs_f64(plan.seconds);
    for entrant in entrants {
        let idle = rest(&entrant, (plan.clients, plan.topics, plan.topics_each), span, &cores).await?;
        let name = idle.server.replace(' ', "_");
        report.figure(&format!("{name}: bytes_per_connection"), idle.bytes_each);
        report.figure(&format!("{name}: resident_bytes"), idle.memory.resident / u64::from(idle.clients));
        report.figure(&format!("{name}: cpu_percent"), idle.cpu_percent);
        all.push(idle);
    }
    let least = all.iter().map(|one| one.clients).min().unwrap_or(0);
    report.equal("clients that are not in", plan.clients.saturating_sub(least), 0);
    report.detail(all);
    Ok(report)
}

/// Lets clients in (so many, over so many topics, with so many each) and leaves them alone for `span`.
///
/// # Errors
/// When one does not get in, or is closed.
pub(crate) async fn rest(
    entrant: &Entrant,
    (clients, topics, topics_each): (u32, u32, u32),
    span: Duration,
    cores: &Cores,
) -> Result<Idle> {
    let roll = Roll {
        clients,
        topics,
        topics_each,
        topics_all: Vec::new(),
        processes: 1,
        in_flight: 128,
        stalled: 0,
    };
    entrant.measured(cores, async |target| rest_at(target, &roll, span, cores).await).await
}

async fn rest_at(target: &Target, roll: &Roll, span: Duration, cores: &Cores) -> Result<Idle> {
    sleep(REST).await; // what starting has left behind is put away, too
    let before = load::memory(target)?;
    let mut crew = Crew::start(target, roll, cores).await?;
    crew.until_live().await?;
    sleep(REST).await;
    let memory = load::memory(target)?.since(before);
    let usage_before = load::usage(target)?;
    sleep(span).await;
    let usage = load::usage(target)?.since(usage_before);
    let still_there = crew.until_live().await?;
    anyhow::ensure!(still_there.closed == 0, "{} idle clients were closed", still_there.closed);
    let idle = Idle {
        server: target.name.clone(),
        wire: target.wire,
        clients: still_there.live,
        topics_each: roll.topics_each,
        memory,
        bytes_each: memory.anonymous / u64::from(roll.clients),
        seconds: span.as_secs_f64(),
        usage,
        cpu_percent: usage.total.as_secs_f64() / span.as_secs_f64().max(0.001) * 100.0,
    };
    eprintln!(
        "  {}, {:?}, {} topics each: {} bytes a connection, {:.2} % of a core",
        idle.server, idle.wire, idle.topics_each, idle.bytes_each, idle.cpu_percent
    );
    Ok(idle)
}
