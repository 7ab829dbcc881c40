//! `connect`: what it costs a server to let somebody in: TCP, upgrade, token, subscription.

use std::time::Duration;

use anyhow::Result;
use domain::Clock as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use service::{ForeignKey, ForeignVerifier, SystemClock, TokenSigner};

use crate::cores::Cores;
use crate::crew::{Crew, Roll};
use crate::generator::{Ask, Latencies, hs256};
use crate::histogram::Quantiles;
use crate::load::{self, float};
use crate::machine::now_ns;
use crate::process::{Memory, Usage};
use crate::report::Report;
use crate::scenario::{Entrant, Floors, Started};
use crate::target::{Elsewhere, Target};

/// Tokens that are checked to find out what that costs.
const CHECKS: u32 = 500;

/// How many come in, and where.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    pub elsewhere: Elsewhere,
    #[command(flatten)]
    pub own: Started,
    #[command(flatten)]
    pub cores: Cores,
    /// Clients.
    #[arg(long, default_value_t = 10_000)]
    pub clients: u32,
    /// Topics.
    #[arg(long, default_value_t = 1_000)]
    pub topics: u32,
    /// Topics that each client follows.
    #[arg(long, default_value_t = 1)]
    pub topics_each: u32,
    /// Handshakes under way at a time.
    #[arg(long, default_value_t = 256)]
    pub in_flight: u32,
    /// How often everything is measured; the median counts.
    #[arg(long, default_value_t = 3)]
    pub rounds: u32,
}

/// What letting clients in took.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Entered {
    /// The server.
    pub server: String,
    /// Clients.
    pub clients: u32,
    /// CPU time of the server.
    pub usage: Usage,
    /// The same for each of them, in microseconds.
    pub us_each: f64,
    /// Clients a second.
    pub per_second: f64,
    /// Clients for each second of the server's CPU time.
    pub per_cpu_second: f64,
    /// CPU time of the generator.
    pub generator: Duration,
    /// What the server's memory has grown by.
    pub memory: Memory,
    /// From dialing until everything was subscribed to.
    pub latency: Quantiles,
}

/// What checking one token takes, in microseconds, with the code that the server checks it with.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Checks {
    /// Of a foreign issuer, with a secret.
    pub hs256_us: f64,
    /// Munadi's own.
    pub eddsa_us: f64,
}

/// Runs it.
///
/// # Errors
/// When a server does not come up or a client does not get in.
pub(crate) async fn run(plan: &Plan) -> Result<Report> {
    let cores = plan.cores.clone().settle()?;
    // one form of the floor is enough: nothing is published
    let floored = plan.own.floor != Some(Floors::None);
    let floors = if floored { Floors::Single } else { Floors::None };
    let entrants = plan.own.entrants(&plan.elsewhere, floors).await?;
    let mut report = Report::new("connect");
    let mut all = Vec::new();
    for entrant in entrants {
        let mut rounds = Vec::new();
        for _ in 0..plan.rounds {
            rounds.push(enter(&entrant, &plan.roll(), &cores).await?);
        }
        let median = median(&rounds);
        let name = median.server.replace(' ', "_");
        report.figure(&format!("{name}: us_per_connection"), median.us_each);
        report.figure(&format!("{name}: connections_per_second"), median.per_second);
        report.figure(&format!("{name}: latency"), median.latency);
        report.figure(&format!("{name}: generator_cpu_s"), median.generator.as_secs_f64());
        all.push(rounds);
    }
    report.figure("check_of_a_token", checks()?);
    let least = all.iter().flatten().map(|one| one.clients).min().unwrap_or(0);
    report.equal("clients that are not in", plan.clients.saturating_sub(least), 0);
    report.detail(all);
    Ok(report)
}

/// Lets clients in, once.
///
/// # Errors
/// When one does not get in.
pub(crate) async fn enter(entrant: &Entrant, roll: &Roll, cores: &Cores) -> Result<Entered> {
    entrant.measured(cores, async |target| enter_at(target, roll, cores).await).await
}

async fn enter_at(target: &Target, roll: &Roll, cores: &Cores) -> Result<Entered> {
    let (usage_before, memory_before) = (load::usage(target)?, load::memory(target)?);
    let mut crew = Crew::start(target, roll, cores).await?;
    let status = crew.until_live().await?;
    let usage = load::usage(target)?.since(usage_before);
    let memory = load::memory(target)?.since(memory_before);
    let outcomes = crew.outcomes().await?;
    let connects = Latencies(outcomes.iter().flat_map(|one| one.connects.0.iter().copied()).collect());
    let took_s = Duration::from_nanos(status.done_ns.saturating_sub(status.began_ns)).as_secs_f64();
    let generator = Duration::from_micros(crew.ask(Ask::Status).await?.cpu_us);
    let entered = Entered {
        server: target.name.clone(),
        clients: status.live,
        usage,
        us_each: usage.total.as_secs_f64() * 1e6 / f64::from(roll.clients),
        per_second: f64::from(roll.clients) / took_s.max(0.001),
        per_cpu_second: f64::from(roll.clients) / usage.total.as_secs_f64().max(0.001),
        generator,
        memory,
        latency: Quantiles::of(&connects),
    };
    eprintln!(
        "  {}: {:.1} us of CPU a connection, {:.0} connections a second, {} bytes each",
        entered.server,
        entered.us_each,
        entered.per_second,
        memory.anonymous / u64::from(roll.clients)
    );
    Ok(entered)
}

/// The one in the middle, by CPU for each client.
///
/// # Panics
/// When there is none.
pub(crate) fn median(rounds: &[Entered]) -> &Entered {
    let mut sorted: Vec<&Entered> = rounds.iter().collect();
    sorted.sort_by(|one, other| one.us_each.total_cmp(&other.us_each));
    sorted.get(sorted.len() / 2).expect("at least one round was run")
}

/// Measures what checking a token takes.
///
/// # Errors
/// When a key cannot be made.
pub(crate) fn checks() -> Result<Checks> {
    let now = SystemClock.now();
    let secret = "0123456789abcdef0123456789abcdef";
    let claims = json!({
        "iss": "munadi", "aud": "festival", "sub": "1", "iat": now.as_second(), "exp": now.as_second() + 3_600,
    });
    let foreign = ForeignVerifier { keys: vec![ForeignKey::secret(secret)?], ..ForeignVerifier::default() };
    let signer = TokenSigner::from_pem(&TokenSigner::generate_pem())?;
    let own = signer.verifier();
    let (foreign_token, own_token) = (hs256(secret, &claims), signer.sign(&claims));
    let hs256_us = each_us(|| foreign.verify::<Value>(&foreign_token, now).is_ok());
    let eddsa_us = each_us(|| own.verify::<Value>(&own_token, "munadi", "festival", now).is_ok());
    Ok(Checks { hs256_us, eddsa_us })
}

fn each_us(check: impl Fn() -> bool) -> f64 {
    let began = now_ns();
    let believed = (0..CHECKS).filter(|_| check()).count();
    assert_eq!(believed, CHECKS as usize, "the token is believed");
    float(now_ns() - began) / 1_000.0 / f64::from(CHECKS)
}

impl Plan {
    fn roll(&self) -> Roll {
        Roll {
            clients: self.clients,
            topics: self.topics,
            topics_each: self.topics_each,
            topics_all: Vec::new(),
            processes: 1,
            in_flight: self.in_flight,
            stalled: 0,
        }
    }
}
