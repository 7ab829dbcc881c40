//! Connections to APNs: a set per lane, one request each until the first answer, then many.
//!
//! A [`Connection`] is a reqwest client that connects once in its life, so that what is known of the connection
//! (proven or not) can never be true of another one. Whoever meets its end retires it; the slot makes a new one.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::{BoxError, Layer, Service};

/// How connections are made.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// The client side of TLS; offers `h2` only.
    pub(super) tls: rustls::ClientConfig,
    /// Requests open at once on a proven connection.
    pub(super) streams_max: usize,
    /// For TCP and TLS.
    pub(super) connect_timeout: Duration,
    /// For a request and its answer.
    pub(super) request_timeout: Duration,
    /// Idle time after which the peer is asked whether it is still there.
    pub(super) ping_interval: Duration,
    /// How long it may take to answer that.
    pub(super) ping_timeout: Duration,
}

/// The connections of one lane.
pub(super) struct Lane {
    slots: Vec<Mutex<Option<Arc<Connection>>>>,
    next: AtomicUsize,
    settings: Settings,
}

/// One HTTP/2 connection.
pub(super) struct Connection {
    slot: usize,
    client: reqwest::Client,
    permits: Arc<Semaphore>,
    streams_max: usize,
    proven: AtomicBool,
}

/// The right to one request on a connection.
pub(super) struct Lease {
    connection: Arc<Connection>,
    _permit: OwnedSemaphorePermit,
}

impl Lane {
    /// A lane with `connections` slots; nothing is connected yet.
    pub(super) fn new(connections: usize, settings: Settings) -> Self {
        let slots = (0..connections.max(1)).map(|_| Mutex::new(None)).collect();
        Self { slots, next: AtomicUsize::new(0), settings }
    }

    /// Waits for a free stream: the next connection that has one, else whichever is next in turn.
    ///
    /// # Errors
    /// When no client could be built.
    pub(super) async fn lease(&self) -> Result<Lease, reqwest::Error> {
        loop {
            let first = self.next.fetch_add(1, Ordering::Relaxed);
            for step in 0..self.slots.len() {
                let connection = self.connection((first + step) % self.slots.len())?;
                if let Ok(permit) = Arc::clone(&connection.permits).try_acquire_owned() {
                    return Ok(Lease { connection, _permit: permit });
                }
            }
            let connection = self.connection(first % self.slots.len())?;
            // a retired connection closes its permits: then choose again
            if let Ok(permit) = Arc::clone(&connection.permits).acquire_owned().await {
                return Ok(Lease { connection, _permit: permit });
            }
        }
    }

    /// Takes the connection of `lease` out of use for new requests; those under way may end.
    pub(super) fn retire(&self, lease: &Lease) {
        let mut slot = self.slots[lease.connection.slot].lock().expect("no holder of this lock panics");
        if slot.as_ref().is_some_and(|current| Arc::ptr_eq(current, &lease.connection)) {
            *slot = None;
        }
        lease.connection.permits.close();
    }

    fn connection(&self, index: usize) -> Result<Arc<Connection>, reqwest::Error> {
        let mut slot = self.slots[index].lock().expect("no holder of this lock panics");
        if let Some(connection) = &*slot {
            return Ok(Arc::clone(connection));
        }
        let connection = Arc::new(Connection::new(index, &self.settings)?);
        *slot = Some(Arc::clone(&connection));
        Ok(connection)
    }
}

impl Connection {
    fn new(slot: usize, settings: &Settings) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(settings.tls.clone())
            .http2_prior_knowledge()
            .connector_layer(ConnectOnce::default())
            .connect_timeout(settings.connect_timeout)
            .timeout(settings.request_timeout)
            .http2_keep_alive_interval(settings.ping_interval)
            .http2_keep_alive_timeout(settings.ping_timeout)
            .http2_keep_alive_while_idle(true)
            .pool_idle_timeout(None)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self {
            slot,
            client,
            permits: Arc::new(Semaphore::new(1)),
            streams_max: settings.streams_max,
            proven: AtomicBool::new(false),
        })
    }
}

impl Lease {
    /// The client of the connection.
    pub(super) fn client(&self) -> &reqwest::Client {
        &self.connection.client
    }

    /// Notes that the provider has taken a token on this connection: from now on many requests at once.
    pub(super) fn prove(&self) {
        if !self.connection.proven.swap(true, Ordering::AcqRel) {
            self.connection.permits.add_permits(self.connection.streams_max.saturating_sub(1));
        }
    }
}

/// Lets a client connect once; later tries fail before a byte leaves.
#[derive(Debug, Clone, Default)]
struct ConnectOnce(Arc<AtomicBool>);

#[derive(Debug, Clone)]
struct Once<S> {
    inner: S,
    used: Arc<AtomicBool>,
}

/// The connection of this client has ended.
#[derive(Debug, thiserror::Error)]
#[error("the connection has ended")]
struct Spent;

impl<S> Layer<S> for ConnectOnce {
    type Service = Once<S>;

    fn layer(&self, inner: S) -> Once<S> {
        Once { inner, used: Arc::clone(&self.0) }
    }
}

impl<S, R> Service<R> for Once<S>
where
    S: Service<R, Error = BoxError>,
    S::Response: Send + 'static,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        if self.used.swap(true, Ordering::AcqRel) {
            return Box::pin(std::future::ready(Err(Spent.into())));
        }
        Box::pin(self.inner.call(request))
    }
}
