//! The HTTP port: listens, limits what strangers may take, and drains.
//!
//! What is served is the caller's router. A connection counts here until it is closed or has become a socket: then
//! it belongs to whoever took it.

mod refusal;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use metrics::{counter, describe_counter, describe_gauge, gauge};
use serde::Deserialize;
use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::ServiceExt;
use tracing::{debug, warn};

use crate::address::AddressRange;
use crate::descriptors::{Carried, Descriptors, Place};
use crate::tls::{self, Tls};
use crate::{Faults, Lifecycle, Scrape};

/// How long to wait when the system gives no more connections: first, and at most.
const ACCEPT_PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));
/// Connections that the system did not give, although they were there.
const ACCEPT_FAILURES: &str = "http_accept_failures_total";
/// Connections that were told to come back later, because all places for sockets were taken.
const REFUSED: &str = "http_connections_refused_total";
/// Descriptors, by `kind`: the process's `limit`, the `reserve` for everything but sockets, those `in_use` by sockets.
const DESCRIPTORS: &str = "http_descriptors";

/// The public port: `[http]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Addresses for API, documentation and sockets alike. 1 to 16. A loopback address of IPv6 is left out on
    /// machines without IPv6.
    pub listen: Vec<SocketAddr>,
    /// Connections that the system holds for us until they are accepted. 16 to 65,535; the kernel may allow less
    /// (`net.core.somaxconn`). Too low: a crowd that comes back at once is refused.
    pub backlog: u32,
    /// HTTP connections at a time on each address we listen on; those that became sockets do not count. 16 to 1,000,000. At the
    /// limit new ones wait in the backlog. Too low: the API stalls. Too high: idle strangers fill the memory.
    pub connections_max: u32,
    /// Milliseconds for a request's head to arrive, and for the next one on a connection. 1,000 to 300,000.
    /// Too low: weak networks are cut off. Too high: half-open connections stay.
    pub header_timeout_ms: u64,
    /// Requests at a time on one HTTP/2 connection. 1 to 10,000.
    pub streams_max: u32,
    /// Descriptors of the process that sockets never get: the admin port, the database, Redis, files and providers live on
    /// them. 64 to 100,000. Too low: at the limit the rest of the process fails with the crowd. Too high: fewer sockets.
    pub descriptors_reserve: u32,
    /// Connections at a time that are told 503 when there is no descriptor for them; others wait in the backlog. 1 to
    /// 10,000, below half of `descriptors_reserve`, whose descriptors they use. Too low: a crowd waits for its answer.
    pub refusals_max: u32,
    /// Milliseconds that such a connection has to ask and to take its answer. 100 to 60,000. Too low: weak networks get
    /// no answer. Too high: whoever says nothing holds up the others.
    pub refusal_timeout_ms: u64,
    /// Addresses of reverse proxies (`10.0.0.0/8`, `::1`) whose `X-Forwarded-For` is believed, by limits of sockets and of
    /// the API alike. Too few: all clients behind the proxy count as one address. Too many: anybody can pretend to be
    /// anywhere.
    pub trusted_proxies: Vec<String>,
    /// TLS on this port.
    pub tls: tls::Config,
}

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct BindError {
    /// Which.
    pub address: SocketAddr,
    /// Why: most often another process is there already.
    #[source]
    pub cause: io::Error,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: vec![
                SocketAddr::from(([127, 0, 0, 1], 8000)),
                SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 8000)),
            ],
            backlog: 4_096,
            connections_max: 10_000,
            header_timeout_ms: 30_000,
            streams_max: 200,
            descriptors_reserve: 256,
            refusals_max: 64,
            refusal_timeout_ms: 2_000,
            trusted_proxies: Vec::new(),
            tls: tls::Config::default(),
        }
    }
}

impl Config {
    /// Notes what is wrong.
    pub fn check(&self, faults: &mut Faults) {
        if !(1..=16).contains(&self.listen.len()) {
            faults.add("listen", "must have 1 to 16 addresses");
        }
        faults.range("backlog", self.backlog, 16..=65_535);
        faults.range("connections_max", self.connections_max, 16..=1_000_000);
        faults.range("header_timeout_ms", self.header_timeout_ms, 1_000..=300_000);
        faults.range("streams_max", self.streams_max, 1..=10_000);
        faults.range("descriptors_reserve", self.descriptors_reserve, 64..=100_000);
        faults.range("refusals_max", self.refusals_max, 1..=10_000);
        if self.refusals_max >= self.descriptors_reserve / 2 {
            faults.add("refusals_max", "must be below half of descriptors_reserve");
        }
        faults.range("refusal_timeout_ms", self.refusal_timeout_ms, 100..=60_000);
        for address in &self.trusted_proxies {
            if AddressRange::parse(address).is_none() {
                let what = format!("\"{address}\" is no address or range such as 10.0.0.0/8");
                faults.add("trusted_proxies", what);
            }
        }
        faults.section("tls", |faults| self.tls.check(faults));
    }
}

/// Listens on every address, or on none.
///
/// # Errors
/// [`BindError`] for the first address that is taken or not ours.
pub fn bind(addresses: &[SocketAddr], backlog: u32) -> Result<Vec<TcpListener>, BindError> {
    let mut listeners = Vec::new();
    for &address in addresses {
        match listen(address, backlog) {
            Ok(listener) => listeners.push(listener),
            Err(cause) if is_ipv6_missing(address, &cause) && addresses.len() > 1 => {
                debug!("not listening on {address}: this machine has no IPv6");
            }
            Err(cause) => return Err(BindError { address, cause }),
        }
    }
    Ok(listeners)
}

/// What serves a router on any number of listeners.
#[derive(Clone)]
pub struct Server {
    router: Router,
    http: Builder<TokioExecutor>,
    connections_max: usize,
    life: Lifecycle,
    crowd: Option<Crowd>,
    tls: Option<Tls>,
}

/// How a server deals with more connections than there are descriptors.
#[derive(Clone)]
struct Crowd {
    descriptors: Descriptors,
    refusals: Arc<Semaphore>,
    timeout: Duration,
}

/// A connection, and what it needs.
struct Accepted {
    stream: TcpStream,
    peer: SocketAddr,
    permit: Option<OwnedSemaphorePermit>,
    place: Option<Place>,
    /// Its turn to be refused, when there is no place for it.
    refusal: Option<OwnedSemaphorePermit>,
}

impl Server {
    /// Serves `router` as tasks of `life`.
    pub fn new(router: Router, config: &Config, life: &Lifecycle) -> Self {
        let connections_max = config.connections_max as usize;
        Self { router, http: http(config), connections_max, life: life.clone(), crowd: None, tls: None }
    }

    /// Counts each connection among `descriptors`, and says 503 where none is left for it.
    #[must_use]
    pub fn within(mut self, descriptors: &Descriptors, config: &Config) -> Self {
        self.crowd = Some(Crowd {
            descriptors: descriptors.clone(),
            refusals: Arc::new(Semaphore::new(config.refusals_max as usize)),
            timeout: Duration::from_millis(config.refusal_timeout_ms),
        });
        self
    }

    /// Speaks TLS, and nothing else.
    #[must_use]
    pub fn secret(mut self, tls: Option<Tls>) -> Self {
        self.tls = tls;
        self
    }

    /// Takes at most `connections_max` connections at a time from each listener.
    #[must_use]
    pub fn at_most(mut self, connections_max: u32) -> Self {
        self.connections_max = connections_max as usize;
        self
    }

    /// Serves what comes to `listener` until the process drains: then nothing new is accepted and every request that
    /// was begun is answered.
    pub fn listen(&self, listener: TcpListener) {
        self.life.spawn("http", self.clone().run(listener));
    }

    async fn run(self, listener: TcpListener) -> Result<(), Infallible> {
        let open = GracefulShutdown::new();
        let free = Arc::new(Semaphore::new(self.connections_max));
        let mut pause = ACCEPT_PAUSES.0;
        loop {
            let accepted = tokio::select! { // cancel-safe: a connection is taken whole or not at all
                () = self.life.drain().cancelled() => break,
                accepted = self.accept(&listener, &free) => accepted,
            };
            match accepted {
                Ok(Accepted { stream, peer, permit, refusal: None, place }) => {
                    pause = ACCEPT_PAUSES.0;
                    self.take(stream, peer, (permit, place), &open);
                }
                Ok(Accepted { stream, refusal: Some(turn), .. }) => self.refuse(stream, turn),
                Err(error) => {
                    counter!(ACCEPT_FAILURES).increment(1);
                    warn!("cannot accept a connection: {error}");
                    tokio::select! {
                        () = self.life.drain().cancelled() => break,
                        () = tokio::time::sleep(pause) => {}
                    }
                    pause = (pause * 2).min(ACCEPT_PAUSES.1);
                }
            }
        }
        drop(listener);
        open.shutdown().await;
        Ok(())
    }

    /// The next connection, once there are the means to serve or to refuse it.
    async fn accept(&self, listener: &TcpListener, free: &Arc<Semaphore>) -> io::Result<Accepted> {
        let permit = Arc::clone(free).acquire_owned().await.ok();
        let Some(crowd) = &self.crowd else {
            let (stream, peer) = listener.accept().await?;
            return Ok(Accepted { stream, peer, permit, place: None, refusal: None });
        };
        let turn = Arc::clone(&crowd.refusals).acquire_owned().await.ok();
        let (stream, peer) = listener.accept().await?;
        let place = crowd.descriptors.take(1);
        let refusal = if place.is_some() { None } else { turn };
        Ok(Accepted { stream, peer, permit, place, refusal })
    }

    fn take(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        (permit, place): (Option<OwnedSemaphorePermit>, Option<Place>),
        open: &GracefulShutdown,
    ) {
        if let Err(error) = stream.set_nodelay(true) {
            debug!("a connection was closed before it was taken: {error}");
            return;
        }
        let (http, router, tls) = (self.http.clone(), self.router.clone(), self.tls.clone());
        let watcher = open.watcher();
        self.life.spawn_connection(async move {
            let place = place.map(Carried::new);
            let service = service_fn(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(ConnectInfo(peer));
                if let Some(place) = &place {
                    request.extensions_mut().insert(place.clone());
                }
                router.clone().oneshot(request.map(Body::new))
            });
            let ended = match tls {
                None => {
                    watcher.watch(http.serve_connection_with_upgrades(TokioIo::new(stream), service)).await
                }
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => {
                        watcher
                            .watch(http.serve_connection_with_upgrades(TokioIo::new(stream), service))
                            .await
                    }
                    Err(error) => Err(error.into()),
                },
            };
            if let Err(error) = ended {
                debug!("a connection ended early: {error}");
            }
            drop(permit);
        });
    }
}

fn http(config: &Config) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(config.header_timeout_ms))
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(config.streams_max)
        .keep_alive_interval(Duration::from_millis(config.header_timeout_ms));
    builder
}

/// Says what the metrics of the port mean, and keeps those of its descriptors.
pub fn measure(descriptors: &Descriptors, scrape: &Scrape) {
    describe_gauge!(DESCRIPTORS, "Descriptors of the process: limit, reserve, and in use by sockets");
    describe_counter!(ACCEPT_FAILURES, "Connections that the system did not give");
    describe_counter!(REFUSED, "Connections told 503 because all places for sockets were taken");
    counter!(ACCEPT_FAILURES).absolute(0);
    counter!(REFUSED).absolute(0);
    gauge!(DESCRIPTORS, "kind" => "limit").set(descriptors.limit());
    gauge!(DESCRIPTORS, "kind" => "reserve").set(descriptors.limit() - descriptors.capacity());
    let (descriptors, in_use) = (descriptors.clone(), gauge!(DESCRIPTORS, "kind" => "in_use"));
    scrape.add(move || in_use.set(descriptors.used()));
}

fn listen(address: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?; // an IPv4 address has its own entry
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    TcpListener::from_std(socket.into())
}

fn is_ipv6_missing(address: SocketAddr, error: &io::Error) -> bool {
    const EAFNOSUPPORT: i32 = 97;
    address.ip().is_ipv6()
        && address.ip().is_loopback()
        && (error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(EAFNOSUPPORT))
}

#[cfg(test)]
mod tests;
