//! Starts the stand-ins of APNs, FCM, a browser's push service and a mail relay, for rehearsals and demonstrations without the internet.

#![expect(clippy::print_stdout, reason = "it tells its addresses to whoever started it")]

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use testkit::standins::{Ports, Standins};
use tokio::signal::unix::{SignalKind, signal};

/// Stand-ins for the providers of push and mail: they refuse what the real ones refuse and remember what they take.
///
/// Device tokens that begin with dead0400, dead0410, dead0429, dead0500, dead0503, dead0504 (hangs) or dead0505
/// (takes it, then drops the connection), FCM targets that begin with unregistered-, invalid-, quota-, internal-,
/// unavailable- or hang-, and mailboxes such as bounce-511@, full@, grey@, policy@, silent@ or reply-550-5.1.1@
/// are refused accordingly.
#[derive(Debug, Parser)]
#[command(name = "munadi-standins", version)]
struct Arguments {
    /// Folder for the authority, the keys and workers.toml; created if need be.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Port of APNs; 0 takes any.
    #[arg(long, default_value_t = 0)]
    apns_port: u16,
    /// Port of FCM and its token endpoint; 0 takes any.
    #[arg(long, default_value_t = 0)]
    fcm_port: u16,
    /// Port of the mail relay; 0 takes any.
    #[arg(long, default_value_t = 0)]
    smtp_port: u16,
    /// Port of the push service of browsers; 0 takes any.
    #[arg(long, default_value_t = 0)]
    webpush_port: u16,
    /// Port to ask what arrived: /counts, /received/apns (fcm, webpush, smtp; ?after=N), and for subscriptions:
    /// /subscribe/webpush/NAME; 0 takes any.
    #[arg(long, default_value_t = 0)]
    control_port: u16,
    /// Milliseconds that each provider takes for an answer.
    #[arg(long, default_value_t = 0)]
    latency_ms: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let ports = Ports {
        apns: arguments.apns_port,
        fcm: arguments.fcm_port,
        smtp: arguments.smtp_port,
        webpush: arguments.webpush_port,
        control: arguments.control_port,
        latency: Duration::from_millis(arguments.latency_ms),
    };
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let standins = Standins::start(&arguments.data, ports).await?;
    println!("apns     {}", standins.apns.base_url());
    println!("fcm      {}", standins.fcm.base_url());
    println!("webpush  {}", standins.webpush.base_url());
    println!("smtp     {} (STARTTLS)", standins.smtp.address());
    println!("control  http://{}/counts", standins.control);
    println!("config   {}", standins.configuration.display());
    tokio::select! {
        result = tokio::signal::ctrl_c() => result.context("cannot listen for SIGINT")?,
        _ = terminate.recv() => {}
    }
    Ok(())
}
