//! `emergency`: an emergency is announced through the REST API while subscribers drain bursts of ordinary messages, and
//! has to overtake them. Compared with the same on an idle server.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::{interval, sleep};

use crate::api::Api;
use crate::cores::Cores;
use crate::crew::{Crew, Roll};
use crate::generator::{Ask, Latencies, Wire};
use crate::histogram::Quantiles;
use crate::load;
use crate::machine::{nanos, now_ns};
use crate::payload::Mark;
use crate::publisher::{Content, Publisher};
use crate::report::Report;
use crate::scenario::Started;
use crate::schedule::Schedule;
use crate::spawn::ORGANIZER;
use crate::stand::{Setup, Stand};
use crate::target::WayKind;

/// The topic of emergencies.
const TOPIC: &str = "festival";
/// Without a delivery for so long, those that are missing are lost.
const PATIENCE: Duration = Duration::from_secs(10);
/// After the beginning of a burst, an emergency is announced.
const INTO_BURST: Duration = Duration::from_millis(20);
/// What an emergency is valid for.
const TTL_SECS: u64 = 600;

/// What is drained, and how many emergencies there are.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    pub own: Started,
    #[command(flatten)]
    pub cores: Cores,
    /// Clients; all follow one topic with bursts, and that of emergencies.
    #[arg(long, default_value_t = 5_000)]
    pub clients: u32,
    /// Messages of a burst.
    #[arg(long, default_value_t = 200)]
    pub at_once: u32,
    /// Emergencies, one a second, each into a burst.
    #[arg(long, default_value_t = 10)]
    pub emergencies: u32,
    /// What clients speak.
    #[arg(long, value_enum, default_value = "centrifuge-json")]
    pub dialect: Wire,
}

/// How emergencies arrived.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Alarmed {
    /// Whether there were bursts.
    pub busy: bool,
    /// Deliveries of emergencies when none is missing, and those that came.
    pub wanted: u64,
    /// See `wanted`.
    pub received: u64,
    /// Ordinary deliveries.
    pub ordinary: u64,
    /// From the request to the clients.
    pub latency: Quantiles,
    /// The same as they were counted: microseconds and counts.
    pub latencies: Latencies,
    /// The same for ordinary messages, from when they were due.
    pub ordinary_latency: Quantiles,
}

/// Runs it.
///
/// # Errors
/// When the server does not come up, or refuses an announcement.
pub(crate) async fn run(plan: &Plan) -> Result<Report> {
    let cores = plan.cores.clone().settle()?;
    let (idle, busy) = alarm_both(plan, &cores).await?;
    let mut report = Report::new("emergency");
    report.figure("clients", plan.clients);
    report.figure("idle: latency", idle.latency);
    report.figure("busy: latency", busy.latency);
    report.figure("busy: latency_of_ordinary_messages", busy.ordinary_latency);
    report.figure("busy: ordinary_deliveries", busy.ordinary);
    report.figure("p99_times_idle", busy.latency.p99_ms / idle.latency.p99_ms);
    for alarmed in [&idle, &busy] {
        let name = if alarmed.busy { "into bursts" } else { "on an idle server" };
        report.equal(&format!("deliveries of emergencies {name}"), alarmed.received, alarmed.wanted);
    }
    report.detail([idle, busy]);
    Ok(report)
}

/// First on an idle server, then into bursts.
///
/// # Errors
/// As [`run`].
pub(crate) async fn alarm_both(plan: &Plan, cores: &Cores) -> Result<(Alarmed, Alarmed)> {
    let mut setup = plan.own.setup(plan.dialect, WayKind::Socket)?;
    setup.redis = None; // one process with everything: the hub alone has no REST API
    setup.organizer = true;
    setup.more += "\n[api.rate_limits]\nauth = { requests = 1000000, window_secs = 1 }\n\
                   anonymous = { requests = 1000000, window_secs = 1 }\nstaff = { requests = 1000000, window_secs = 1 }\n";
    Ok((alarm(plan, &setup, false, cores).await?, alarm(plan, &setup, true, cores).await?))
}

async fn alarm(plan: &Plan, setup: &Setup, busy: bool, cores: &Cores) -> Result<Alarmed> {
    let stand = Stand::munadi(setup, cores).await?;
    let target = &stand.target;
    let address = target.addresses.first().context("it listens nowhere")?;
    let api = Api::new(&format!("http://{address}"))?.login(ORGANIZER.0, ORGANIZER.1).await?;
    let channel = if plan.dialect == Wire::Pusher { format!("private-{TOPIC}") } else { TOPIC.to_owned() };
    let roll = Roll {
        clients: plan.clients,
        topics: 1,
        topics_each: 1,
        topics_all: vec![channel],
        processes: 1,
        in_flight: 128,
        stalled: 0,
    };
    let mut crew = Crew::start(target, &roll, cores).await?;
    crew.until_live().await?;
    announce(&api, 0, now_ns()).await?; // whatever the first one has to warm up
    crew.until_received(u64::from(plan.clients), PATIENCE).await?;
    crew.ask(Ask::Begin).await?;
    let content =
        Content { prefix: target.publish_prefix.clone(), topics: 1, bytes: 128, at_once: plan.at_once };
    let mut publisher = Publisher::open(target.way.clone(), 1, content)?;
    let start_ns = now_ns() + nanos(Duration::from_millis(200));
    let schedule = Schedule::new(start_ns, 1.0, Duration::from_secs(u64::from(plan.emergencies)));
    let bursts = std::thread::spawn(move || {
        if busy { publisher.run(&schedule).and_then(|_| publisher.settle()) } else { Ok(()) }
    });
    sleep(Duration::from_nanos(start_ns.saturating_sub(now_ns())) + INTO_BURST).await;
    let mut ticks = interval(Duration::from_secs(1));
    for number in 1..=plan.emergencies {
        ticks.tick().await;
        announce(&api, number, now_ns()).await?;
    }
    bursts.join().map_err(|_| anyhow::anyhow!("the publisher has panicked"))??;
    let ordinary = if busy { u64::from(plan.emergencies) * u64::from(plan.at_once) } else { 0 };
    let wanted = u64::from(plan.emergencies) * u64::from(plan.clients);
    crew.until_received(wanted + ordinary * u64::from(plan.clients), PATIENCE).await?;
    let outcomes = crew.outcomes().await?;
    let gather = |pick: fn(&crate::generator::Outcome) -> &Latencies| {
        Latencies(outcomes.iter().flat_map(|one| pick(one).0.iter().copied()).collect())
    };
    let (ordinary, emergencies) =
        (gather(|one| &one.books.latencies), gather(|one| &one.books.latencies_all));
    let count = |latencies: &Latencies| latencies.0.iter().map(|(_, count)| count).sum::<u64>();
    let alarmed = Alarmed {
        busy,
        wanted,
        received: count(&emergencies),
        ordinary: count(&ordinary),
        latency: Quantiles::of(&emergencies),
        latencies: load::merged(&emergencies),
        ordinary_latency: Quantiles::of(&ordinary),
    };
    eprintln!(
        "  emergencies {}: p50 {:.1} ms, p99 {:.1} ms",
        if busy { "into bursts" } else { "on an idle server" },
        alarmed.latency.p50_ms,
        alarmed.latency.p99_ms
    );
    Ok(alarmed)
}

/// Announces an emergency to everyone, with a mark as its English title.
async fn announce(api: &Api, number: u32, due_ns: u64) -> Result<()> {
    let mark = Mark { topic: 1, number, due_ns };
    let announcement = json!({
        "lane": "emergency",
        "title": { "en": mark.text(), "ar": "إخلاء" },
        "body": { "en": "Leave by the north gate", "ar": "غادروا من البوابة الشمالية" },
        "audience": { "kind": "everyone" },
        "ttl_seconds": TTL_SECS,
    });
    api.post("/api/v1/announcements", &announcement).await.context("an announcement was refused")?;
    Ok(())
}
