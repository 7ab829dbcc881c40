//! The byte stream under a WebSocket: a TCP socket, or our end of a pair that leads to whatever else was upgraded.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::task::{Context, Poll};

use tokio::net::{TcpStream, UnixStream};
use tracing::debug;

/// A socket on its way from the front door's runtime to a shard's.
#[derive(Debug)]
pub(crate) enum Handover {
    /// As the kernel accepted it.
    Tcp(std::net::TcpStream),
    /// One end of a pair; a task of the front door copies between the other end and the real stream.
    Bridged(std::os::unix::net::UnixStream),
}

/// A socket of a shard.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    Bridged(UnixStream),
}

impl Handover {
    /// Registers the socket with the current runtime.
    ///
    /// # Errors
    /// When the runtime cannot watch it.
    pub(crate) fn register(self) -> io::Result<Socket> {
        match self {
            Self::Tcp(stream) => TcpStream::from_std(stream).map(Socket::Tcp),
            Self::Bridged(stream) => UnixStream::from_std(stream).map(Socket::Bridged),
        }
    }
}

impl Socket {
    /// Reads what is there.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is; others end the connection.
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_read(buffer),
            Self::Bridged(stream) => stream.try_read(buffer),
        }
    }

    /// Writes as much as the socket takes.
    ///
    /// # Errors
    /// `WouldBlock` when it takes nothing; others end the connection.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_write(bytes),
            Self::Bridged(stream) => stream.try_write(bytes),
        }
    }

    /// Writes as much of `slices` as the socket takes.
    ///
    /// # Errors
    /// As [`Socket::try_write`].
    pub(crate) fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_write_vectored(slices),
            Self::Bridged(stream) => stream.try_write_vectored(slices),
        }
    }

    /// Ends our side: the peer reads to the end of what was written. The socket goes on reading.
    pub(crate) fn finish(&self) {
        let ended = match self {
            Self::Tcp(stream) => socket2::SockRef::from(stream).shutdown(Shutdown::Write),
            Self::Bridged(stream) => socket2::SockRef::from(stream).shutdown(Shutdown::Write),
        };
        if let Err(cause) = ended {
            debug!("a socket that was to be ended is gone: {cause}");
        }
    }

    /// Ready when a read may find something; otherwise the task is woken then.
    pub(crate) fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(context),
            Self::Bridged(stream) => stream.poll_read_ready(context),
        }
    }

    /// Ready when a write may be taken; otherwise the task is woken then.
    pub(crate) fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_write_ready(context),
            Self::Bridged(stream) => stream.poll_write_ready(context),
        }
    }
}
