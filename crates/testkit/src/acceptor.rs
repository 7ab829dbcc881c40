//! The listening half of every stand-in: accepts until dropped and counts its connections.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context as _;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// How many connections a stand-in has had.
#[derive(Debug, Default)]
pub struct Connections {
    total: AtomicUsize,
    open: AtomicUsize,
    open_max: AtomicUsize,
}

impl Connections {
    /// Since the start.
    pub fn total(&self) -> usize {
        self.total.load(Ordering::SeqCst)
    }

    /// Now.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// At once, at most.
    pub fn open_max(&self) -> usize {
        self.open_max.load(Ordering::SeqCst)
    }

    fn opened(&self) -> usize {
        let open = self.open.fetch_add(1, Ordering::SeqCst) + 1;
        self.open_max.fetch_max(open, Ordering::SeqCst);
        self.total.fetch_add(1, Ordering::SeqCst) + 1
    }

    fn closed(&self) {
        self.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A listening socket and its open connections; dropping it closes all of them.
pub(crate) struct Acceptor {
    pub(crate) address: SocketAddr,
    pub(crate) connections: Arc<Connections>,
    _stop: DropGuard,
}

impl Acceptor {
    /// Listens on `address` (port 0: any) and serves each connection with `serve`, which is told the
    /// connection's number, from 1.
    pub(crate) async fn start<S, F>(address: SocketAddr, serve: S) -> anyhow::Result<Self>
    where
        S: Fn(TcpStream, usize) -> F + Send + 'static,
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let listener =
            TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
        let address = listener.local_addr()?;
        let connections = Arc::new(Connections::default());
        let stop = CancellationToken::new();
        let (counted, stopped) = (Arc::clone(&connections), stop.clone());
        TaskTracker::new().spawn(async move {
            let tasks = TaskTracker::new();
            while let Some(Ok((stream, _))) = stopped.run_until_cancelled(listener.accept()).await {
                // a small answer must not wait for more
                let _ = stream.set_nodelay(true);
                let number = counted.opened();
                let (counted, stopped, serving) =
                    (Arc::clone(&counted), stopped.clone(), serve(stream, number));
                tasks.spawn(async move {
                    if let Some(Err(cause)) = stopped.run_until_cancelled(serving).await {
                        tracing::debug!(connection = number, "the connection ended: {cause:#}");
                    }
                    counted.closed();
                });
            }
        });
        Ok(Self { address, connections, _stop: stop.drop_guard() })
    }
}
