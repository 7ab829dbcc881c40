//! Which sockets of a shard have something to say, or room again: an epoll of the shard's own, which its runtime watches
//! as one descriptor. A connection costs an entry in the kernel here, and neither a task nor memory of ours; the
//! kernel's news of many sockets come with one call.

use std::io;
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Poll, Token};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::socket::Socket;

/// News that are taken with one call.
const NEWS_MAX: usize = 256;

/// Watches sockets.
#[derive(Debug)]
pub(super) struct Readiness {
    poll: AsyncFd<Poll>,
    events: Events,
}

/// What is new about a socket. Told once: it is told again only after a read or write has found the end of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct News {
    /// The number that the socket is watched under; it may be another's by now.
    pub(super) index: usize,
    /// Whether there may be something to read.
    pub(super) readable: bool,
    /// Whether nothing more will come, so that it is to be read to its end.
    pub(super) ended: bool,
    /// Whether there may be room to write.
    pub(super) writable: bool,
}

impl Readiness {
    /// Watches nothing yet; to be called within the runtime.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub(super) fn new() -> io::Result<Self> {
        #[expect(
            deprecated,
            reason = "its successor is unsafe; the descriptor of an epoll stays the same as long as it lives"
        )]
        let poll = AsyncFd::with_interest(Poll::new()?, Interest::READABLE)?;
        Ok(Self { poll, events: Events::with_capacity(NEWS_MAX) })
    }

    /// Watches a socket until it is closed.
    ///
    /// # Errors
    /// When the kernel cannot.
    pub(super) fn watch(&self, socket: &Socket, index: usize) -> io::Result<()> {
        let registry = self.poll.get_ref().registry();
        let interests = mio::Interest::READABLE | mio::Interest::WRITABLE;
        registry.register(&mut SourceFd(&socket.as_raw_fd()), Token(index), interests)
    }

    /// Waits until there are news. Cancel-safe: takes none.
    pub(super) async fn wait(&self) {
        // it fails when the runtime ends, and then nobody asks any more
        let _ = self.poll.readable().await;
    }

    /// Adds to `news` what there is, without waiting.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub(super) fn take(&mut self, news: &mut Vec<News>) -> io::Result<()> {
        let mut count = 0;
        match self.poll.get_mut().poll(&mut self.events, Some(Duration::ZERO)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            taken => taken?,
        }
        for event in &self.events {
            count += 1;
            let ended = event.is_read_closed() || event.is_error();
            news.push(News {
                index: event.token().0,
                readable: event.is_readable() || ended,
                ended,
                writable: event.is_writable(),
            });
        }
        if count < NEWS_MAX {
            // everything was taken; what comes from now on makes the descriptor ready anew
            let nothing_left = |_: &Poll| Err::<(), _>(io::ErrorKind::WouldBlock.into());
            let _ = self.poll.try_io(Interest::READABLE, nothing_left); // it fails, as it is told to
        }
        Ok(())
    }
}
