//! The byte stream under a WebSocket: a TCP socket, or our end of a pair that leads to whatever else was upgraded.

use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;

use tracing::debug;

/// A socket, on its way from the front door to a shard and in it. It never blocks.
#[derive(Debug)]
pub(crate) enum Socket {
    /// As the kernel accepted it.
    Tcp(TcpStream),
    /// One end of a pair; a task of the front door copies between the other end and the real stream.
    Bridged(UnixStream),
}

/// A socket on its way from the front door to a shard.
pub(crate) type Handover = Socket;

impl Socket {
    /// Reads what is there.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is; others end the connection.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => (&*stream).read(buffer),
            Self::Bridged(stream) => (&*stream).read(buffer),
        }
    }

    /// Writes as much as the socket takes.
    ///
    /// # Errors
    /// `WouldBlock` when it takes nothing; others end the connection.
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => (&*stream).write(bytes),
            Self::Bridged(stream) => (&*stream).write(bytes),
        }
    }

    /// Writes as much of `slices` as the socket takes.
    ///
    /// # Errors
    /// As [`Socket::write`].
    pub(crate) fn write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => (&*stream).write_vectored(slices),
            Self::Bridged(stream) => (&*stream).write_vectored(slices),
        }
    }

    /// Ends our side: the peer reads to the end of what was written. The socket goes on reading.
    pub(crate) fn finish(&self) {
        let ended = match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Self::Bridged(stream) => stream.shutdown(Shutdown::Write),
        };
        if let Err(cause) = ended {
            debug!("a socket that was to be ended is gone: {cause}");
        }
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Self::Tcp(stream) => stream.as_raw_fd(),
            Self::Bridged(stream) => stream.as_raw_fd(),
        }
    }
}
