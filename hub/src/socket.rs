//! The byte stream under a WebSocket: a TCP socket, one with TLS, or our end of a pair that leads to whatever else
//! was upgraded.

mod tls;

use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;

use tracing::debug;

pub(crate) use tls::TlsSocket;

/// A socket, on its way from the front door to a shard and in it. It never blocks.
#[derive(Debug)]
pub(crate) enum Socket {
    /// As the kernel accepted it.
    Tcp(TcpStream),
    /// With TLS, whose handshake is done.
    Tls(Box<TlsSocket>),
    /// One end of a pair; a task of the front door copies between the other end and the real stream.
    Bridged(UnixStream),
}

/// A socket on its way from the front door to a shard.
pub(crate) type Handover = Socket;

impl Socket {
    /// Reads what is there.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is, `Interrupted` when it is to be asked again; others end the connection.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => (&*stream).read(buffer),
            Self::Tls(socket) => socket.read(buffer),
            Self::Bridged(stream) => (&*stream).read(buffer),
        }
    }

    /// Whether a read that fills less than its buffer has found the end of what is there. With TLS a record may be short
    /// although more has come.
    pub(crate) fn shows_its_end(&self) -> bool {
        !matches!(self, Self::Tls(_))
    }

    /// Writes as much as the socket takes.
    ///
    /// # Errors
    /// `WouldBlock` when it takes nothing; others end the connection.
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => (&*stream).write(bytes),
            Self::Tls(socket) => socket.write(bytes),
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
            Self::Tls(socket) => socket.write_vectored(slices),
            Self::Bridged(stream) => (&*stream).write_vectored(slices),
        }
    }

    /// Ends our side: the peer reads to the end of what was written. The socket goes on reading.
    pub(crate) fn finish(&self) {
        let ended = match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Self::Tls(socket) => socket.finish(),
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
            Self::Tls(socket) => socket.as_raw_fd(),
            Self::Bridged(stream) => stream.as_raw_fd(),
        }
    }
}
