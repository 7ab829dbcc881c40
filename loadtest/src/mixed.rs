//! `mixed`: subscribers of one topic in all dialects at once. The server's own metrics have to say that each publication
//! was encoded once for each dialect, however many follow it.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use crate::cores::Cores;
use crate::crew::{Crew, Roll};
use crate::generator::{Ask, Wire};
use crate::histogram::Quantiles;
use crate::machine::now_ns;
use crate::publisher::{Content, Publisher};
use crate::report::Report;
use crate::scenario::Started;
use crate::schedule::Schedule;
use crate::stand::Stand;
use crate::target::WayKind;

/// Without a delivery for so long, those that are missing are lost.
const PATIENCE: Duration = Duration::from_secs(10);
/// What the server counts.
const ENCODED: &str = "hub_publications_encoded_total";
/// The dialects, their share of ten, and the name that the server's metrics have for them.
const WIRES: [(Wire, u32, &str); 4] = [
    (Wire::CentrifugeJson, 4, "json_socket"),
    (Wire::CentrifugeProtobuf, 3, "protobuf_socket"),
    (Wire::Pusher, 2, "pusher"),
    (Wire::OneWaySse, 1, "one_way_events"),
];

/// How many follow, and what is published.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    pub own: Started,
    #[command(flatten)]
    pub cores: Cores,
    /// Clients of all dialects together.
    #[arg(long, default_value_t = 10_000)]
    pub clients: u32,
    /// Publications.
    #[arg(long, default_value_t = 40)]
    pub messages: u32,
    /// Publications a second.
    #[arg(long, default_value_t = 4.0)]
    pub rate: f64,
}

/// What the clients of one dialect heard.
#[derive(Debug, Serialize)]
struct Heard {
    wire: Wire,
    clients: u32,
    received: u64,
    latency: Quantiles,
}

/// Runs it.
///
/// # Errors
/// When the server does not come up or a client does not get in.
pub(crate) async fn run(plan: &Plan) -> Result<Report> {
    let cores = plan.cores.clone().settle()?;
    let stand = Stand::munadi(&plan.own.setup(Wire::CentrifugeJson, WayKind::Socket)?, &cores).await?;
    let mut crews = Vec::new();
    for (wire, share, _) in WIRES {
        let roll = Roll {
            clients: (plan.clients * share / 10).max(1),
            topics: 1,
            topics_each: 1,
            topics_all: Vec::new(),
            processes: 1,
            in_flight: 128,
            stalled: 0,
        };
        let mut crew = Crew::start(&stand.target_of(wire)?, &roll, &cores).await?;
        crew.until_live().await?;
        crews.push((wire, crew));
    }
    let before = encoded(&stand).await?;
    let content = Content { prefix: "bench:".to_owned(), topics: 1, bytes: 128, at_once: 1 };
    let mut publisher = Publisher::open(stand.target.way.clone(), 1, content)?;
    let span = Duration::from_secs_f64((f64::from(plan.messages) + 0.5) / plan.rate);
    let sent = publisher.run(&Schedule::new(now_ns(), plan.rate, span))?;
    publisher.settle()?;

    let mut report = Report::new("mixed");
    report.figure("publications", sent.count);
    let mut all = Vec::new();
    for (wire, crew) in &mut crews {
        let wanted = sent.count * u64::from(crew.clients());
        let status = crew.until_received(wanted, PATIENCE).await?;
        let outcomes = crew.outcomes().await?;
        let latency = outcomes.first().map(|one| Quantiles::of(&one.books.latencies)).unwrap_or_default();
        report.figure(&format!("{wire:?}: clients"), crew.clients());
        report.figure(&format!("{wire:?}: latency"), latency);
        report.equal(&format!("deliveries over {wire:?}"), status.received, wanted);
        let faults: u64 = outcomes.iter().map(|one| one.books.gaps + one.books.repeated).sum();
        report.equal(&format!("gaps and repetitions over {wire:?}"), faults, 0);
        let closed = crew.ask(Ask::Status).await?.closed;
        report.equal(&format!("connections over {wire:?} that ended"), closed, 0);
        all.push(Heard { wire: *wire, clients: crew.clients(), received: status.received, latency });
    }
    let after = encoded(&stand).await?;
    for (_, _, name) in WIRES {
        let grown = after[name] - before[name];
        report.equal(&format!("encodings for {name}"), grown, sent.count);
    }
    let total = stand.metric(ENCODED, "").await?;
    let known: u64 = after.values().sum();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a counter is a whole number"
    )]
    report.equal("encodings for anything else", total as u64 - known, 0);
    report.detail(all);
    Ok(report)
}

async fn encoded(stand: &Stand) -> Result<BTreeMap<&'static str, u64>> {
    let mut all = BTreeMap::new();
    for (_, _, name) in WIRES {
        let value = stand.metric(ENCODED, &format!("wire=\"{name}\"")).await?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a counter is a whole number"
        )]
        all.insert(name, value as u64);
    }
    Ok(all)
}
