//! `storm`: hub nodes are killed with everybody on them, something is published meanwhile, the nodes start again, and
//! everybody comes back at once and has to get what they missed. Redis counts its commands: they must not depend on how
//! many come back.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use crate::cores::Cores;
use crate::crew::{Crew, Roll};
use crate::generator::{Ask, Status};
use crate::load::float;
use crate::machine::now_ns;
use crate::publisher::{Content, Publisher};
use crate::redis::{Redis, calls_since};
use crate::report::Report;
use crate::scenario::Started;
use crate::schedule::Schedule;
use crate::stand::{Setup, Stand};
use crate::target::{Target, WayKind};

/// How long everybody may take to come back.
const BACK_TIMEOUT: Duration = Duration::from_mins(5);
/// Between two looks whether they are.
const LOOK: Duration = Duration::from_millis(100);
/// For which the commands of idle nodes are counted.
const QUIET: Duration = Duration::from_secs(3);
/// Commands by which two storms differ by chance.
const CHANCE_COMMANDS: f64 = 1_000.0;
/// Publications a second while the nodes are away.
const MISSED_PER_SECOND: f64 = 200.0;

/// How large the storm is.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    pub own: Started,
    #[command(flatten)]
    pub cores: Cores,
    /// Hub nodes.
    #[arg(long, default_value_t = 5)]
    pub nodes: u32,
    /// Clients of each.
    #[arg(long, default_value_t = 1_000)]
    pub clients: u32,
    /// Topics; each client follows one.
    #[arg(long, default_value_t = 10)]
    pub topics: u32,
    /// Publications of each topic that everybody misses.
    #[arg(long, default_value_t = 20)]
    pub missed: u32,
}

/// What a storm has shown.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Weathered {
    /// Hub nodes.
    pub nodes: u32,
    /// Clients in all.
    pub clients: u32,
    /// Publications that each of them missed.
    pub missed: u32,
    /// Clients that were brought up to date.
    pub recovered: u32,
    /// Clients that were told that this is not known.
    pub unrecovered: u32,
    /// Publications that came.
    pub received: u64,
    /// Publications that came not at all.
    pub gaps: u64,
    /// Publications that came again.
    pub repeated: u64,
    /// Seconds from the start of the nodes until all of them were ready.
    pub ready_s: f64,
    /// Seconds from then until everybody was back.
    pub back_s: f64,
    /// Commands of Redis from the start of the nodes until then, by name.
    pub commands: BTreeMap<String, u64>,
    /// Commands a second of the same nodes afterwards, when nothing happens: nodes read the log whether anybody comes or
    /// not.
    pub idle_per_second: f64,
}

/// Runs it, and once more with a tenth of the clients.
///
/// # Errors
/// When something cannot even be tried.
pub(crate) async fn run(plan: &Plan) -> Result<Report> {
    let cores = plan.cores.clone().settle()?;
    let mut report = Report::new("storm");
    let few = weather(&Plan { clients: (plan.clients / 10).max(1), ..plan.clone() }, &cores).await?;
    let many = weather(plan, &cores).await?;
    report.figure("clients", many.clients);
    report.figure("ready_seconds", many.ready_s);
    report.figure("back_seconds", many.back_s);
    report.figure("redis_commands", many.total_commands());
    report.figure("redis_commands_with_a_tenth", few.total_commands());
    report.figure("redis_commands_by_name", &many.commands);
    for storm in [&few, &many] {
        let name = |text: &str| format!("{text} ({} clients)", storm.clients);
        report.equal(&name("clients brought up to date"), storm.recovered, storm.clients);
        report.equal(&name("gaps"), storm.gaps, 0);
        report.equal(&name("publications twice"), storm.repeated, 0);
        let wanted = u64::from(storm.clients) * u64::from(storm.missed);
        report.equal(&name("publications recovered"), storm.received, wanted);
    }
    let beyond = |storm: &Weathered| format!("{:.0} for {}", storm.commands_beyond_idle(), storm.clients);
    report.check(
        "Redis commands do not depend on the clients",
        many.commands_are_independent(&few),
        format!("{}, {} clients", beyond(&many), beyond(&few)),
    );
    report.detail([few, many]);
    Ok(report)
}

/// One storm on a Redis and nodes of its own.
///
/// # Errors
/// When something cannot even be tried.
pub(crate) async fn weather(plan: &Plan, cores: &Cores) -> Result<Weathered> {
    let both = cores.together();
    let redis = Redis::start(&both.server).await?;
    let mut setup = plan.own.setup(crate::generator::Wire::CentrifugeJson, WayKind::Socket)?;
    setup.redis = Some(redis.url());
    let mut fleet = Fleet::start(&setup, plan.nodes, &both).await?;
    let roll = Roll {
        clients: plan.nodes * plan.clients,
        topics: plan.topics,
        topics_each: 1,
        topics_all: Vec::new(),
        processes: plan.nodes,
        in_flight: 512,
        stalled: 0,
    };
    eprintln!("  {} clients enter {} nodes", roll.clients, plan.nodes);
    let mut crew = Crew::start(&fleet.target()?, &roll, &both).await?;
    crew.until_live().await?;
    crew.ask(Ask::Begin).await?;
    for node in &mut fleet.nodes {
        node.kill().await?;
    }
    eprintln!("  all nodes are killed; {} publications of each topic", plan.missed);
    fleet.publish(plan)?;
    let before = redis.commands().await?;
    let ready_s = fleet.start_again(&both).await?;
    let began = Instant::now();
    let status = come_back(&mut crew, &roll).await?;
    let back_s = began.elapsed().as_secs_f64();
    let commands = calls_since(&redis.commands().await?, &before);
    let quiet = redis.commands().await?;
    sleep(QUIET).await;
    let idle: u64 = calls_since(&redis.commands().await?, &quiet).values().sum();
    let outcomes = crew.outcomes().await?;
    let sum = |pick: fn(&crate::generator::Outcome) -> u64| outcomes.iter().map(pick).sum::<u64>();
    let weathered = Weathered {
        nodes: plan.nodes,
        clients: roll.clients,
        missed: plan.missed,
        recovered: status.recovered,
        unrecovered: status.unrecovered,
        received: sum(|one| one.books.received),
        gaps: sum(|one| one.books.gaps),
        repeated: sum(|one| one.books.repeated),
        ready_s,
        back_s,
        commands,
        idle_per_second: float(idle) / QUIET.as_secs_f64(),
    };
    eprintln!(
        "  {} of {} recovered {} publications in {back_s:.2} s, with {} commands of Redis, {:.0} beyond idle nodes",
        weathered.recovered,
        weathered.clients,
        weathered.received,
        weathered.total_commands(),
        weathered.commands_beyond_idle()
    );
    Ok(weathered)
}

/// Has everybody dial, until they are in.
async fn come_back(crew: &mut Crew, roll: &Roll) -> Result<Status> {
    let began = Instant::now();
    crew.ask(Ask::Return).await?;
    loop {
        let status = crew.ask(Ask::Status).await?;
        if status.live >= roll.clients {
            return Ok(status);
        }
        let Status { live, why, .. } = &status;
        ensure!(began.elapsed() < BACK_TIMEOUT, "only {live} of {} came back: {why:?}", roll.clients);
        sleep(LOOK).await;
    }
}

/// Hub nodes on one Redis, and one more that publishes.
#[derive(Debug)]
pub(crate) struct Fleet {
    /// The nodes that clients are on.
    pub nodes: Vec<Stand>,
    /// The node through which something is published.
    pub publisher: Stand,
}

impl Fleet {
    /// Starts them.
    ///
    /// # Errors
    /// When one does not come up.
    pub(crate) async fn start(setup: &Setup, nodes: u32, cores: &Cores) -> Result<Self> {
        let publisher = Stand::munadi(setup, cores).await?;
        let mut fleet = Self { nodes: Vec::new(), publisher };
        for _ in 0..nodes {
            fleet.nodes.push(Stand::munadi_beside(setup, cores, &fleet.publisher).await?);
        }
        Ok(fleet)
    }

    /// All nodes as one server; publications go through the other.
    ///
    /// # Errors
    /// When there is no node.
    pub(crate) fn target(&self) -> Result<Target> {
        let mut target = self.nodes.first().context("a fleet has nodes")?.target.clone();
        target.addresses = self.nodes.iter().flat_map(|node| node.target.addresses.clone()).collect();
        target.pids = self.nodes.iter().flat_map(|node| node.target.pids.clone()).collect();
        target.way = self.publisher.target.way.clone();
        Ok(target)
    }

    /// Starts the nodes that were killed; gives how many seconds it took until all of them were ready.
    async fn start_again(&mut self, cores: &Cores) -> Result<f64> {
        let began = Instant::now();
        for node in &mut self.nodes {
            node.start_again(cores)?;
        }
        for node in &mut self.nodes {
            node.until_ready().await?;
        }
        Ok(began.elapsed().as_secs_f64())
    }

    fn publish(&self, plan: &Plan) -> Result<()> {
        let target = &self.publisher.target;
        let content = Content {
            prefix: target.publish_prefix.clone(),
            topics: plan.topics,
            bytes: 128,
            at_once: plan.topics,
        };
        let mut publisher = Publisher::open(target.way.clone(), 1, content)?;
        let span = Duration::from_secs_f64((f64::from(plan.missed) + 0.5) / MISSED_PER_SECOND);
        publisher.run(&Schedule::new(now_ns(), MISSED_PER_SECOND, span))?;
        publisher.settle()
    }
}

impl Weathered {
    /// Commands of Redis.
    pub(crate) fn total_commands(&self) -> u64 {
        self.commands.values().sum()
    }

    /// Commands of Redis besides those that idle nodes send in the same time.
    pub(crate) fn commands_beyond_idle(&self) -> f64 {
        float(self.total_commands()) - self.idle_per_second * (self.ready_s + self.back_s)
    }

    /// Whether it takes no more commands than a storm of fewer clients, but for what time and chance make of it.
    pub(crate) fn commands_are_independent(&self, fewer: &Self) -> bool {
        let more = self.commands_beyond_idle() - fewer.commands_beyond_idle();
        more < CHANCE_COMMANDS.max(f64::from(self.clients - fewer.clients) / 50.0)
    }
}
