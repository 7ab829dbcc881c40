//! A TCP proxy that tests cut, stall and restore: outages of servers that themselves stay up.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// A proxy in front of one server. Ends with all its connections when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    line: watch::Sender<Line>,
    _stop: DropGuard,
}

/// How the line to the server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Line {
    /// What happens to connections and to what they are sent.
    mode: Mode,
    /// How often the open connections were closed: one that saw a smaller number ends.
    cuts: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Forward,
    Stall,
    Refuse,
}

impl Proxy {
    /// Starts a proxy on a free port in front of `upstream` (`host:port`).
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start(upstream: impl ToString) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (line, receiver) = watch::channel(Line { mode: Mode::Forward, cuts: 0 });
        let stop = CancellationToken::new();
        TaskTracker::new().spawn({
            let (upstream, stop) = (upstream.to_string(), stop.clone());
            async move { stop.run_until_cancelled(accept(listener, upstream, receiver)).await }
        });
        Self { address, line, _stop: stop.drop_guard() }
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes the open connections; new ones are taken.
    pub fn cut(&self) {
        self.line.send_modify(|line| line.cuts += 1);
    }

    /// Closes the open connections, and every new one at once.
    pub fn refuse(&self) {
        self.line.send_modify(|line| *line = Line { mode: Mode::Refuse, cuts: line.cuts + 1 });
    }

    /// Keeps connections open, takes new ones, and lets nothing pass.
    pub fn stall(&self) {
        self.line.send_modify(|line| line.mode = Mode::Stall);
    }

    /// Passes everything on again, beginning with what had been held back.
    pub fn restore(&self) {
        self.line.send_modify(|line| line.mode = Mode::Forward);
    }
}

/// Takes connections until it is dropped; the connections are dropped with it.
async fn accept(listener: TcpListener, upstream: String, line: watch::Receiver<Line>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((client, _)) = listener.accept().await else { return };
        while connections.try_join_next().is_some() {}
        if line.borrow().mode != Mode::Refuse {
            connections.spawn(serve(client, upstream.clone(), line.clone()));
        }
    }
}

/// Carries one connection until an end closes it or it is cut.
async fn serve(client: TcpStream, upstream: String, mut line: watch::Receiver<Line>) {
    let cuts = line.borrow().cuts;
    let directions = line.clone();
    let carry = async move {
        let Ok(server) = TcpStream::connect(upstream).await else { return };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let (client_read, client_write) = client.into_split();
        let (server_read, server_write) = server.into_split();
        tokio::select! { // whichever direction ends first ends the connection
            () = copy(client_read, server_write, directions.clone()) => {}
            () = copy(server_read, client_write, directions) => {}
        }
    };
    tokio::select! {
        () = carry => {}
        _ = line.wait_for(|line| line.cuts != cuts) => {}
    }
}

/// Copies one direction; what is read while the line is stalled waits.
async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut line: watch::Receiver<Line>) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = match from.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(length) => length,
        };
        if line.wait_for(|line| line.mode != Mode::Stall).await.is_err() {
            return;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    /// A server that sends back what it receives.
    async fn echo() -> (SocketAddr, JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                connections.spawn(async move {
                    let (mut read, mut write) = stream.split();
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                });
            }
        });
        (address, tasks)
    }

    async fn round_trip(stream: &mut TcpStream) -> std::io::Result<u8> {
        stream.write_all(b"x").await?;
        stream.read_u8().await
    }

    #[tokio::test]
    async fn connections_are_forwarded_stalled_cut_refused_and_restored() {
        let (upstream, _tasks) = echo().await;
        let proxy = Proxy::start(upstream).await;
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(round_trip(&mut stream).await.unwrap(), b'x');

        proxy.stall();
        stream.write_all(b"y").await.unwrap();
        assert!(timeout(Duration::from_millis(50), stream.read_u8()).await.is_err());
        proxy.restore();
        assert_eq!(stream.read_u8().await.unwrap(), b'y');

        proxy.cut();
        assert!(round_trip(&mut stream).await.is_err());
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(round_trip(&mut stream).await.unwrap(), b'x');

        proxy.refuse();
        assert!(round_trip(&mut stream).await.is_err());
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(round_trip(&mut stream).await.is_err());

        proxy.restore();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(round_trip(&mut stream).await.unwrap(), b'x');
    }
}
