//! `munadi serve`: from the first check to the exit code.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use service::admin::{self, Metrics};
use service::http_server::{self, Server};
use service::shutdown::{Ended, Signals, run_until_ended};
use service::tls::Tls;
use service::{Descriptors, Lifecycle, telemetry};
use tracing::info;

use crate::config::Config;
use crate::data_dir::DataDir;
use crate::ports::{Ports, addresses};
use crate::roles::Role;
use crate::wiring::{self, Host};

/// Runs `role` until it is asked to end.
///
/// # Errors
/// When it cannot start; nothing is left running then.
pub(crate) async fn serve(config: Config, role: Role) -> anyhow::Result<ExitCode> {
    telemetry::start(&config.telemetry)?;
    let signals = Signals::listen().context("cannot listen for signals")?;
    let life = Lifecycle::new();
    // the rooms register their own parts while they start; until they have, this one stands for them
    let started = life.readiness("start");
    let descriptors = Descriptors::raise(config.http.descriptors_reserve).context("cannot start")?;
    let ports = Ports::bind(&config, role)?;
    let data_dir = DataDir::open(&config.data_dir)?;
    let _lock = data_dir.lock()?;
    let grace = config.shutdown_grace();
    let told = Told::of(&config, role, &ports);

    let metrics = Metrics::install(&life).context("cannot set up metrics")?;
    let host = Host { descriptors, scrape: metrics.scrape().clone() };
    http_server::measure(&host.descriptors, &host.scrape);
    // a life of its own: it answers until the end, so that operators see the drain
    let admin_life = Lifecycle::new();
    let operators = Server::new(admin::router(life.clone(), metrics), &config.http, &admin_life)
        .at_most(config.admin.connections_max);
    for listener in ports.admin {
        operators.listen(listener);
    }
    let http = config.http.clone();
    let routes = Box::pin(wiring::start(config, role, (&data_dir, &host), &life)).await?;
    let tls = Tls::open(&http.tls, &life).context("cannot start TLS (http.tls)")?;
    let public = Server::new(routes, &http, &life).within(&host.descriptors, &http).secret(tls);
    for listener in ports.public {
        public.listen(listener);
    }
    started.set(true);
    tell_when_ready(told, &life);

    let ended = run_until_ended(&life, signals, grace).await;
    info!("munadi has ended");
    Ok(match ended {
        Ended::Drained if !life.has_failed() => ExitCode::SUCCESS,
        Ended::Drained | Ended::Aborted => ExitCode::FAILURE,
    })
}

/// What a person wants to know once everything runs.
struct Told {
    role: Role,
    public: Vec<SocketAddr>,
    admin: Vec<SocketAddr>,
    live: Option<&'static str>,
    tls: bool,
    data: String,
}

impl Told {
    fn of(config: &Config, role: Role, ports: &Ports) -> Self {
        Self {
            role,
            public: addresses(&ports.public),
            admin: addresses(&ports.admin),
            tls: config.http.tls.certificate_file.is_some(),
            live: config.live.enabled.then_some("/live"),
            data: shown(&config.data_dir),
        }
    }

    fn text(&self) -> String {
        let mut text = "\nMunadi is ready.\n".to_owned();
        let mut line = |name: &str, value: &str| {
            writeln!(text, "  {name:<13}{value}").expect("a String takes everything");
        };
        let s = if self.tls { "s" } else { "" };
        if let Some(public) = self.public.first() {
            if self.role.has_api() {
                line("API", &format!("http{s}://{public}/api/v1"));
                line("Docs", &format!("http{s}://{public}/docs"));
            }
            if self.role.has_hub() {
                line("Sockets", &format!("ws{s}://{public}/connection/websocket"));
                if let Some(path) = self.live {
                    line("Live", &format!("http{s}://{public}{path}"));
                }
            }
        }
        if let Some(admin) = self.admin.first() {
            line("Operators", &format!("http://{admin}/health/ready and /metrics"));
        }
        line("Data", &self.data);
        if self.role.has_api() {
            line("First admin", "munadi user create --email you@example.org --role admin");
        }
        text
    }
}

/// This is what the command answers; logs go to stderr.
fn tell_when_ready(told: Told, life: &Lifecycle) {
    let waited = life.clone();
    life.spawn("ready", async move {
        tokio::select! {
            () = waited.ready() => println!("{}", told.text()),
            () = waited.drain().cancelled() => {},
        }
        Ok::<(), std::convert::Infallible>(())
    });
}

fn shown(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}
