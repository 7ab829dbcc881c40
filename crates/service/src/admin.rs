//! The admin port: is it alive, is it ready, what does it measure. Not for the public.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_process::Collector;
use serde::Deserialize;
use serde_json::json;

use crate::{Faults, Lifecycle, Scrape};

/// How often what was measured is tidied, whether somebody asks for it or not.
const UPKEEP: Duration = Duration::from_secs(5);

/// Upper bounds of histograms in seconds: from a frame's write to a phone's answer.
pub const SECONDS: [f64; 17] = [
    0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    60.0,
];
/// Upper bounds of histograms of sizes in bytes, named `…_bytes`.
const BYTES: [f64; 9] =
    [64.0, 256.0, 1_024.0, 4_096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0, 16_777_216.0];
/// Upper bounds of histograms of how many belong together, named `…_items`.
const ITEMS: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 500.0, 1_000.0, 10_000.0];

/// Where operators look: `[admin]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Addresses of the admin port: `/health/live`, `/health/ready`, `/metrics`. Whoever reaches it sees how the
    /// festival runs, so keep it from the public. Empty: no admin port.
    pub listen: Vec<SocketAddr>,
    /// Connections at a time on each of them; more wait. 1 to 1,000; they use `http.descriptors_reserve`. Too low: one
    /// scraper keeps out the others.
    pub connections_max: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { listen: vec![SocketAddr::from(([127, 0, 0, 1], 8001))], connections_max: 32 }
    }
}

impl Config {
    /// Notes what is wrong.
    pub fn check(&self, faults: &mut Faults) {
        if self.listen.len() > 16 {
            faults.add("listen", "must have at most 16 addresses");
        }
        faults.range("connections_max", self.connections_max, 1..=1_000);
    }
}

/// Everything the process measures. Made once, before the first measurement.
#[derive(Clone)]
pub struct Metrics {
    rendered: PrometheusHandle,
    process: Collector,
    scrape: Scrape,
}

impl Metrics {
    /// Installs the recorder behind the `metrics` facade and keeps it tidy as long as `life` lasts.
    ///
    /// # Errors
    /// [`BuildError`] when a recorder stands already.
    pub fn install(life: &Lifecycle) -> Result<Self, BuildError> {
        let rendered = PrometheusBuilder::new()
            .set_buckets(&SECONDS)?
            .set_buckets_for_metric(Matcher::Suffix("_bytes".to_owned()), &BYTES)?
            .set_buckets_for_metric(Matcher::Suffix("_items".to_owned()), &ITEMS)?
            .install_recorder()?;
        let process = Collector::default();
        process.describe();
        let tidied = rendered.clone();
        let drain = life.drain().clone();
        life.spawn("metrics.upkeep", async move {
            let mut ticks = tokio::time::interval(UPKEEP);
            loop {
                tokio::select! {
                    () = drain.cancelled() => return Ok::<(), std::convert::Infallible>(()),
                    _ = ticks.tick() => tidied.run_upkeep(),
                }
            }
        });
        Ok(Self { rendered, process, scrape: Scrape::new() })
    }

    /// What is folded whenever somebody asks.
    pub fn scrape(&self) -> &Scrape {
        &self.scrape
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// The routes of the admin port.
pub fn router(life: Lifecycle, metrics: Metrics) -> Router {
    Router::new()
        .route("/health/live", get(|| async { "live\n" }))
        .route("/health/ready", get(ready).with_state(life))
        .route("/metrics", get(measured).with_state(metrics))
}

async fn ready(State(life): State<Lifecycle>) -> impl IntoResponse {
    let waiting = life.not_ready();
    let status = if waiting.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({"ready": waiting.is_empty(), "waiting_for": waiting});
    (status, [(CONTENT_TYPE, "application/json")], body.to_string())
}

async fn measured(State(metrics): State<Metrics>) -> impl IntoResponse {
    metrics.process.collect();
    metrics.scrape.run();
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.rendered.render())
}
