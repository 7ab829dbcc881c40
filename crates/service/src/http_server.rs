//! The HTTP port: listens, limits what strangers may take, and drains.
//!
//! What is served is the caller's router. A connection counts here until it is closed or has become a socket: then
//! it belongs to whoever took it.

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
use serde::Deserialize;
use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tower::ServiceExt;
use tracing::{debug, warn};

use crate::{Faults, Lifecycle};

/// How long to wait when the system gives no more connections.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

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

/// Serves `router` on `listener` as tasks of `life`, until it drains: then nothing new is accepted and every
/// request that was begun is answered.
pub fn serve(listener: TcpListener, router: Router, config: &Config, life: &Lifecycle) {
    let server = Server {
        router,
        http: http(config),
        free: Arc::new(Semaphore::new(config.connections_max as usize)),
        life: life.clone(),
    };
    life.spawn("http", server.run(listener));
}

struct Server {
    router: Router,
    http: Builder<TokioExecutor>,
    free: Arc<Semaphore>,
    life: Lifecycle,
}

impl Server {
    async fn run(self, listener: TcpListener) -> Result<(), Infallible> {
        let open = GracefulShutdown::new();
        loop {
            let permit = Arc::clone(&self.free).acquire_owned();
            let accepted = tokio::select! { // cancel-safe: both are taken whole or not at all
                () = self.life.drain().cancelled() => break,
                accepted = async { (permit.await, listener.accept().await) } => accepted,
            };
            match accepted {
                (permit, Ok((stream, peer))) => self.take(stream, peer, permit.ok(), &open),
                (_, Err(error)) => {
                    warn!("cannot accept a connection: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        open.shutdown().await;
        Ok(())
    }

    fn take(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        permit: impl Send + 'static,
        open: &GracefulShutdown,
    ) {
        if let Err(error) = stream.set_nodelay(true) {
            debug!("a connection was closed before it was taken: {error}");
            return;
        }
        let (http, router) = (self.http.clone(), self.router.clone());
        let watcher = open.watcher();
        self.life.spawn_connection(async move {
            let service = service_fn(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(ConnectInfo(peer));
                router.clone().oneshot(request.map(Body::new))
            });
            let connection = http.serve_connection_with_upgrades(TokioIo::new(stream), service);
            if let Err(error) = watcher.watch(connection).await {
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
        .keep_alive_interval(Duration::from_millis(config.header_timeout_ms))
        .enable_connect_protocol();
    builder
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
