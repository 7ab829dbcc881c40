//! `fanout`, `burst`, `topics`: a load on a Munadi and on the floors, in turns, so that what the machine does meanwhile
//! hits both; or on any server that runs already.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;

use crate::bench;
use crate::cores::Cores;
use crate::crew::Roll;
use crate::generator::Wire;
use crate::load::{self, Load, Measured};
use crate::report::Report;
use crate::spawn::binary;
use crate::stand::{Setup, Stand};
use crate::target::{Elsewhere, Target, WayKind};

/// Which load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One topic with many subscribers.
    Fanout,
    /// The same with many messages at once.
    Burst,
    /// Many topics with few subscribers.
    Topics,
}

/// What Munadi is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Floors {
    /// Nothing.
    None,
    /// One write for each socket and message.
    Single,
    /// One write for what is pending.
    Coalescing,
    /// Both.
    Both,
}

/// How large the load is, and what it is put on. What is not given depends on the command.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    pub elsewhere: Elsewhere,
    #[command(flatten)]
    pub own: Started,
    #[command(flatten)]
    pub cores: Cores,
    /// Clients.
    #[arg(long)]
    pub clients: Option<u32>,
    /// Topics; publications take turns among them.
    #[arg(long)]
    pub topics: Option<u32>,
    /// Topics that each client follows.
    #[arg(long, default_value_t = 1)]
    pub topics_each: u32,
    /// Points of the schedule, a second.
    #[arg(long)]
    pub rate: Option<f64>,
    /// Publications at each point.
    #[arg(long)]
    pub at_once: Option<u32>,
    /// Bytes of a payload.
    #[arg(long, default_value_t = 128)]
    pub payload_bytes: usize,
    /// Seconds that are measured.
    #[arg(long, default_value_t = 10.0)]
    pub seconds: f64,
    /// Seconds before, that are not.
    #[arg(long, default_value_t = 2.0)]
    pub warm_seconds: f64,
    /// How often everything is measured; the median counts.
    #[arg(long, default_value_t = 3)]
    pub rounds: u32,
    /// Processes of the generator; more where descriptors run out.
    #[arg(long, default_value_t = 1)]
    pub processes: u32,
    /// Handshakes under way at a time.
    #[arg(long, default_value_t = 256)]
    pub in_flight: u32,
    /// Connections that publish.
    #[arg(long, default_value_t = 4)]
    pub lines: u32,
    /// Clients that stop reading when they are in.
    #[arg(long, default_value_t = 0)]
    pub stalled: u32,
    /// A page to write, with plots of latency and throughput; it needs nothing but itself.
    #[arg(long)]
    pub html: Option<PathBuf>,
}

/// The Munadi that is started for the run.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Started {
    /// The `munadi` binary. Without it, the one beside this program.
    #[arg(long, env = "MUNADI_BIN")]
    pub munadi: Option<PathBuf>,
    /// Threads that carry its connections.
    #[arg(long, default_value_t = 1)]
    pub shards: u32,
    /// Clients show Munadi's own tokens (`EdDSA`) instead of those of a foreign issuer (HS256).
    #[arg(long)]
    pub own_tokens: bool,
    /// URL of a Redis. Then the server is a hub on it and nothing else; without it, one process with everything.
    #[arg(long)]
    pub redis: Option<String>,
    /// What it is compared with.
    #[arg(long, value_enum)]
    pub floor: Option<Floors>,
    /// A file with further lines of its configuration.
    #[arg(long)]
    pub more_config: Option<PathBuf>,
}

/// A server that takes part.
#[derive(Debug, Clone)]
pub(crate) enum Entrant {
    /// The floor, in either form.
    Floor {
        /// One write for what is pending.
        coalesce: bool,
    },
    /// A Munadi.
    Munadi(Setup),
    /// A server that runs already.
    Running(Target),
}

impl Entrant {
    /// What `measure` finds at it. It is started for that, unless it runs already.
    ///
    /// # Errors
    /// When it does not come up, and as `measure`.
    pub(crate) async fn measured<T>(
        &self,
        cores: &Cores,
        measure: impl AsyncFnOnce(&Target) -> Result<T>,
    ) -> Result<T> {
        let stand = match self {
            Self::Running(target) => return measure(target).await,
            Self::Floor { coalesce } => Stand::floor(*coalesce, cores).await?,
            Self::Munadi(setup) => Stand::munadi(setup, cores).await?,
        };
        measure(&stand.target).await
    }
}

/// Measures each entrant in turn, `rounds` times; gives the measurements of each in their order.
///
/// # Errors
/// When a server does not come up or a client does not get in.
pub(crate) async fn compete(
    entrants: &[Entrant],
    load: &Load,
    rounds: u32,
    cores: &Cores,
) -> Result<Vec<Vec<Measured>>> {
    let mut all = vec![Vec::new(); entrants.len()];
    for round in 0..rounds {
        for (entrant, found) in entrants.iter().zip(&mut all) {
            let measured =
                entrant.measured(cores, async |target| load::run(target, load, cores).await).await?;
            eprintln!(
                "  round {} of {rounds}, {}: {:.3} us of CPU a delivery, {:.0} deliveries a second, p99 {:.2} ms",
                round + 1,
                measured.server,
                measured.us_per_delivery,
                measured.per_second,
                measured.latency.p99_ms
            );
            found.push(measured);
        }
    }
    Ok(all)
}

/// The measurement in the middle, by CPU for each delivery.
pub(crate) fn median(measured: &[Measured]) -> Option<&Measured> {
    let mut sorted: Vec<&Measured> = measured.iter().collect();
    sorted.sort_by(|one, other| one.us_per_delivery.total_cmp(&other.us_per_delivery));
    sorted.get(sorted.len() / 2).copied()
}

/// Runs a scenario.
///
/// # Errors
/// As [`compete`].
pub(crate) async fn run(kind: Kind, plan: &Plan) -> Result<Report> {
    let cores = plan.cores.clone().settle()?;
    let load = plan.load(kind);
    let floors = plan.own.floor.unwrap_or(if kind == Kind::Topics { Floors::Single } else { Floors::Both });
    let entrants = plan.own.entrants(&plan.elsewhere, floors).await?;
    let all = compete(&entrants, &load, plan.rounds, &cores).await?;
    let mut report = Report::new(kind.name());
    describe(&mut report, &load, &all);
    if let Some(html) = &plan.html {
        let middle = all.iter().filter_map(|one| median(one));
        let curves: Vec<_> = middle.map(|one| bench::Curve::of(kind.name(), one)).collect();
        bench::write_page(html, &format!("loadtest {}", kind.name()), &report.lines(), &curves)?;
    }
    Ok(report)
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Fanout => "fanout",
            Self::Burst => "burst",
            Self::Topics => "topics",
        }
    }
}

impl Plan {
    /// The load that `kind` means, unless it is said otherwise.
    pub(crate) fn load(&self, kind: Kind) -> Load {
        let (clients, topics, rate, at_once) = match kind {
            Kind::Fanout => (10_000, 1, 4.0, 1),
            Kind::Burst => (5_000, 1, 1.0, 200),
            Kind::Topics => (10_000, 1_000, 2_000.0, 1),
        };
        Load {
            roll: Roll {
                clients: self.clients.unwrap_or(clients),
                topics: self.topics.unwrap_or(topics),
                topics_each: self.topics_each,
                topics_all: Vec::new(),
                processes: self.processes,
                in_flight: self.in_flight,
                stalled: self.stalled,
            },
            per_second: self.rate.unwrap_or(rate),
            at_once: self.at_once.unwrap_or(at_once),
            bytes: self.payload_bytes,
            warm: Duration::from_secs_f64(self.warm_seconds),
            span: Duration::from_secs_f64(self.seconds),
            lines: self.lines,
        }
    }
}

impl Started {
    /// Who takes part: the server that runs `elsewhere`, alone, or else `floors` and a Munadi.
    ///
    /// # Errors
    /// When one of them cannot be found.
    pub(crate) async fn entrants(&self, elsewhere: &Elsewhere, floors: Floors) -> Result<Vec<Entrant>> {
        if let Some(target) = elsewhere.target().await? {
            return Ok(vec![Entrant::Running(target)]);
        }
        let mut entrants = Vec::new();
        if matches!(floors, Floors::Single | Floors::Both) {
            entrants.push(Entrant::Floor { coalesce: false });
        }
        if matches!(floors, Floors::Coalescing | Floors::Both) {
            entrants.push(Entrant::Floor { coalesce: true });
        }
        entrants.push(Entrant::Munadi(self.setup(elsewhere.dialect, elsewhere.publish)?));
        Ok(entrants)
    }

    /// The Munadi that is asked for.
    ///
    /// # Errors
    /// When the binary or the further configuration is not there.
    pub(crate) fn setup(&self, wire: Wire, way: WayKind) -> Result<Setup> {
        let more = self.more_config.as_ref().map(std::fs::read_to_string).transpose()?;
        Ok(Setup {
            munadi: binary(self.munadi.as_deref(), "munadi")?,
            wire,
            way,
            own_tokens: self.own_tokens,
            shards: self.shards,
            secret: format!("{:032x}", rand::random::<u128>()),
            redis: self.redis.clone(),
            key_prefix: format!("loadtest-{:08x}", rand::random::<u32>()),
            hub: String::new(),
            more: more.unwrap_or_default(),
            organizer: false,
        })
    }
}

fn describe(report: &mut Report, load: &Load, all: &[Vec<Measured>]) {
    report.figure("clients", load.roll.clients);
    report.figure("topics", load.roll.topics);
    report.figure("publications_per_second", load.per_second * f64::from(load.at_once));
    report.figure("payload_bytes", load.bytes);
    let floor = all.first().and_then(|one| median(one)).filter(|one| one.server == "floor");
    for measured in all.iter().filter_map(|one| median(one)) {
        let name = measured.server.replace(' ', "_");
        let figure = |text: &str| format!("{name}: {text}");
        report.figure(&figure("us_per_delivery"), measured.us_per_delivery);
        if let Some(floor) = floor.filter(|floor| floor.server != measured.server) {
            report.figure(&figure("times_the_floor"), measured.us_per_delivery / floor.us_per_delivery);
            report.figure(&figure("p99_times_the_floor"), measured.latency.p99_ms / floor.latency.p99_ms);
        }
        report.figure(&figure("latency"), measured.latency);
        report.figure(&figure("deliveries_per_second"), measured.per_second);
        report.figure(&figure("keeps_up"), measured.keeps_up);
        let per_cent = |time: Duration| time.as_secs_f64() / measured.took_s.max(0.001) * 100.0;
        report.figure(&figure("cpu_percent"), per_cent(measured.usage.total));
        report.figure(&figure("generator_cpu_percent"), per_cent(measured.generator));
    }
    let worst = |pick: fn(&Measured) -> u64| all.iter().flatten().map(pick).max().unwrap_or(0);
    report.equal("deliveries missing", worst(|one| one.wanted - one.received.min(one.wanted)), 0);
    report.equal("gaps", worst(|one| one.gaps), 0);
    report.equal("deliveries twice or out of order", worst(|one| one.repeated), 0);
    report.equal("connections closed", worst(|one| u64::from(one.closed)), 0);
    report.detail(all);
}
