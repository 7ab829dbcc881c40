//! `loadtest`: drives a running Munadi, or one that it starts itself, and reports what it measured and what holds.

mod announce;
mod api;
mod bench;
mod client;
mod connect;
mod cores;
mod crash;
mod crew;
mod crowd;
mod emergency;
mod floor;
mod follower;
mod frames;
mod generator;
mod histogram;
mod hostile;
mod http1;
mod idle;
mod load;
mod machine;
mod million;
mod mixed;
mod payload;
mod process;
mod programme;
mod publisher;
mod redis;
mod report;
mod scenario;
mod schedule;
mod settings;
mod smoke;
mod soak;
mod spawn;
mod stand;
mod standins;
mod storm;
mod tally;
mod target;
mod wire;

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand};

use crate::api::Api;
use crate::report::Report;
use crate::spawn::{Binaries, Installation};
use crate::standins::Control;

/// Drives Munadi and reports.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    /// Print the report as JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// One topic, many subscribers, some messages a second: what a delivery costs, and how late it is.
    Fanout(scenario::Plan),
    /// Bursts of messages to many subscribers.
    Burst(scenario::Plan),
    /// Many topics with few subscribers each.
    Topics(scenario::Plan),
    /// Letting clients in: what each costs, and how many a second there can be.
    Connect(connect::Plan),
    /// Connections that do nothing: memory for each, CPU for the pings.
    Idle(idle::Plan),
    /// Nodes are killed, and everybody comes back at once to get what they missed.
    Storm(storm::Plan),
    /// An emergency into bursts of ordinary messages.
    Emergency(emergency::Plan),
    /// Subscribers in all dialects: each publication is to be encoded once for each.
    Mixed(mixed::Plan),
    /// As many connections as there is memory for, and one message to all.
    Million(million::Plan),
    /// The table of what Munadi promises, measured beside the floor, and `docs/performance.md` from it.
    Bench(bench::Plan),
    /// The least that a server can do, to compare with.
    Floor(floor::Options),
    /// A process of clients. Started by the other commands.
    #[command(hide = true)]
    Generate,
    /// Becomes a program on certain cores. Used by the other commands.
    #[command(hide = true)]
    OnCores(cores::OnCores),
    /// Announcements through the REST API to many sockets: the whole path, what it costs and whether it is complete.
    Announce {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        shape: announce::Shape,
    },
    /// The whole path, asserted: sockets, phones, mailboxes, moved events, one emergency.
    Smoke {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        scale: smoke::Scale,
        /// Control address of the running stand-ins that the installation sends to.
        #[arg(long, required_unless_present = "spawn")]
        standins_control: Option<String>,
    },
    /// Kills Munadi again and again under writes, and looks for what is missing.
    Crash {
        #[command(flatten)]
        binaries: Binaries,
        #[command(flatten)]
        plan: crash::Plan,
    },
    /// The latency of well-behaved clients beside hostile ones, compared with the same without them, in pairs.
    Hostile {
        #[command(flatten)]
        binaries: Binaries,
        #[command(flatten)]
        plan: hostile::Plan,
    },
    /// Clients of both dialects that connect, publish, cut themselves off and recover at random, for as long as one likes.
    Soak {
        #[command(flatten)]
        binaries: Binaries,
        #[command(flatten)]
        plan: soak::Plan,
    },
}

/// A running installation, or one to start.
#[derive(Debug, Args)]
struct Place {
    /// Start an installation for the run, with stand-ins for the providers, in a directory of its own.
    #[arg(long)]
    spawn: bool,
    #[command(flatten)]
    binaries: Binaries,
    /// Address of the API.
    #[arg(long, default_value = "http://127.0.0.1:8000")]
    api: String,
    /// Where sockets connect. Without it, at the API's address.
    #[arg(long)]
    url: Option<String>,
    /// Who acts: the mail address of an organizer.
    #[arg(long, env = "MUNADI_EMAIL", required_unless_present = "spawn")]
    email: Option<String>,
    /// Their password.
    #[arg(long, env = "MUNADI_PASSWORD", hide_env_values = true, required_unless_present = "spawn")]
    password: Option<String>,
    /// Process of the server, to measure its CPU time and memory; again for each process.
    #[arg(long)]
    server_pid: Vec<u32>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let _ = rustls::crypto::ring::default_provider().install_default(); // fails only when there is one already
    match run(arguments.command).await {
        Ok(Some(report)) => {
            report.print(arguments.json);
            if report.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Ok(None) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("loadtest: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Runs a command; those that only serve others report nothing.
async fn run(command: Command) -> Result<Option<Report>> {
    let report = match command {
        Command::Floor(options) => return floor::run(&options).map(|()| None),
        Command::Generate => return generator::run().map(|()| None),
        Command::OnCores(options) => return cores::run(&options).map(|()| None),
        Command::Fanout(plan) => scenario::run(scenario::Kind::Fanout, &plan).await,
        Command::Burst(plan) => scenario::run(scenario::Kind::Burst, &plan).await,
        Command::Topics(plan) => scenario::run(scenario::Kind::Topics, &plan).await,
        Command::Connect(plan) => connect::run(&plan).await,
        Command::Idle(plan) => idle::run(&plan).await,
        Command::Storm(plan) => storm::run(&plan).await,
        Command::Emergency(plan) => emergency::run(&plan).await,
        Command::Mixed(plan) => mixed::run(&plan).await,
        Command::Million(plan) => million::run(&plan).await,
        Command::Bench(plan) => bench::run(&plan).await,
        Command::Announce { place, shape } => announce(&place, &shape).await,
        Command::Smoke { place, scale, standins_control } => smoke(&place, &scale, standins_control).await,
        Command::Crash { binaries, plan } => crash::run(&binaries, &plan).await,
        Command::Hostile { binaries, plan } => hostile::run(&binaries, &plan).await,
        Command::Soak { binaries, plan } => soak::run(&binaries, &plan).await,
    };
    report.map(Some)
}

async fn announce(place: &Place, shape: &announce::Shape) -> Result<Report> {
    if !place.spawn {
        let socket_url =
            place.url.clone().unwrap_or_else(|| place.api.replacen("http", "ws", 1) + SOCKET_PATH);
        return announce::run(&place.organizer().await?, &socket_url, &place.server_pid, shape).await;
    }
    let installation = Installation::start(&place.binaries).await?;
    let api = installation.organizer().await?;
    let report = announce::run(&api, &installation.socket_url(), &installation.pids(), shape).await?;
    installation.stop().await?;
    Ok(report)
}

async fn smoke(place: &Place, scale: &smoke::Scale, standins_control: Option<String>) -> Result<Report> {
    if let Some(control) = standins_control.filter(|_| !place.spawn) {
        let target = smoke::Target {
            api: place.organizer().await?,
            socket_url: place
                .url
                .clone()
                .unwrap_or_else(|| place.api.replacen("http", "ws", 1) + SOCKET_PATH),
            standins: Control::new(&control)?,
        };
        return smoke::run(&target, scale).await;
    }
    let installation = Installation::start(&place.binaries).await?;
    let target = smoke::Target {
        api: installation.organizer().await?,
        socket_url: installation.socket_url(),
        standins: installation.standins.control().clone(),
    };
    let report = smoke::run(&target, scale).await?;
    installation.stop().await?;
    Ok(report)
}

/// Where sockets connect at the API's address.
const SOCKET_PATH: &str = "/connection/websocket";

impl Place {
    async fn organizer(&self) -> Result<Api> {
        let email = self.email.as_deref().context("who acts? --email")?;
        let password = self.password.as_deref().context("with which password? --password")?;
        Ok(Api::new(&self.api)?.login(email, password).await?)
    }
}
