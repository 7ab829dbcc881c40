//! A TCP stream with TLS around it, as HTTP reads and writes it.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::session::{RECORD_BYTES, Session};

/// Bytes that are taken from the socket at once.
const READ_BYTES: usize = 8_192;

/// A secret connection.
#[derive(Debug)]
pub struct TlsStream {
    stream: TcpStream,
    session: Session,
    /// What the peer has said, of which `taken` bytes were read.
    said: Vec<u8>,
    taken: usize,
}

impl TlsStream {
    /// Shakes hands.
    pub(super) async fn accept(stream: TcpStream, config: Arc<ServerConfig>) -> io::Result<Self> {
        let session = Session::new(config).map_err(io::Error::other)?;
        let mut stream = Self { stream, session, said: Vec::new(), taken: 0 };
        std::future::poll_fn(|context| stream.poll_handshake(context)).await?;
        Ok(stream)
    }

    /// The socket, the session, and what the peer has said that nobody has read.
    pub fn into_parts(mut self) -> (TcpStream, Session, Vec<u8>) {
        self.said.drain(..self.taken);
        (self.stream, self.session, self.said)
    }

    fn poll_handshake(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_sent(context))?;
            if !self.session.is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            if ready!(self.poll_hear(context))? == 0 || self.session.has_ended() {
                return Poll::Ready(Err(ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    /// Takes bytes of the peer; how many.
    fn poll_hear(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut buffer = [0; READ_BYTES];
        loop {
            ready!(self.stream.poll_read_ready(context))?;
            match self.stream.try_read(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
                Ok(count) => {
                    let opened = self.session.open(&mut buffer[..count], &mut self.said);
                    // an answer, or an alert that says why not; the next write sends what is left of it
                    let _ = self.session.flush(|bytes| self.stream.try_write(bytes));
                    opened.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
                    return Poll::Ready(Ok(count));
                }
            }
        }
    }

    /// Ready when everything that is sealed is sent.
    fn poll_sent(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.session.flush(|bytes| self.stream.try_write(bytes))? {
            ready!(self.stream.poll_write_ready(context))?;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for TlsStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.said.is_empty() {
            if self.session.has_ended() || ready!(self.poll_hear(context))? == 0 {
                return Poll::Ready(Ok(()));
            }
        }
        let here = &self.said[self.taken..];
        let count = here.len().min(buffer.remaining());
        buffer.put_slice(&here[..count]);
        self.taken += count;
        if self.taken == self.said.len() {
            (self.said, self.taken) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_sent(context))?;
        let bytes = &bytes[..bytes.len().min(RECORD_BYTES)];
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let this = &mut *self;
        this.session.seal(bytes).map_err(io::Error::other)?;
        this.session.flush(|bytes| this.stream.try_write(bytes))?;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_sent(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // fails when it was told before, or when nothing can be told
        let _ = self.session.end();
        ready!(self.poll_sent(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
