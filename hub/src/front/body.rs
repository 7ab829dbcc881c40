//! Bodies: requests read within their limits, and responses that are one end of a connection.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Frame;
use tokio::net::UnixStream;
use tokio::sync::OwnedSemaphorePermit;

/// Bytes that are taken from the connection at once.
const READ_BYTES: usize = 8_192;

/// Reads the whole body of a request.
///
/// # Errors
/// The status that says why not.
pub(super) async fn read(body: Body, bytes_max: usize, patience: Duration) -> Result<Bytes, StatusCode> {
    match tokio::time::timeout(patience, Limited::new(body, bytes_max).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(StatusCode::PAYLOAD_TOO_LARGE),
        Ok(Err(_)) => Err(StatusCode::BAD_REQUEST),
        Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
    }
}

/// The body of a response that carries what a shard writes into the other end of `socket`. Dropping it – the client
/// has gone – closes the connection; it ends when the shard has closed its end.
#[derive(Debug)]
pub(super) struct Downstream {
    socket: UnixStream,
    /// What goes before.
    first: Bytes,
    /// The stream's place among those that are allowed.
    _place: OwnedSemaphorePermit,
}

impl Downstream {
    /// A body that begins with `first`.
    pub(super) fn new(socket: UnixStream, first: Bytes, place: OwnedSemaphorePermit) -> Self {
        Self { socket, first, _place: place }
    }

    /// Waits for what the shard says first. Empty at the end.
    ///
    /// # Errors
    /// When the socket fails.
    pub(super) async fn peek(&mut self) -> std::io::Result<&[u8]> {
        let mut buffer = BytesMut::with_capacity(READ_BYTES);
        loop {
            self.socket.readable().await?;
            match self.socket.try_read_buf(&mut buffer) {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
                Ok(count) => {
                    let start = self.first.len();
                    self.first = [&*self.first, &buffer].concat().into();
                    debug_assert_eq!(self.first.len(), start + count);
                    return Ok(&self.first[start..]);
                }
            }
        }
    }
}

impl hyper::body::Body for Downstream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if !self.first.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.first)))));
        }
        loop {
            // no buffer is held while there is nothing to read: most connections are quiet most of the time
            if ready!(self.socket.poll_read_ready(context)).is_err() {
                return Poll::Ready(None);
            }
            let mut buffer = BytesMut::with_capacity(READ_BYTES);
            match self.socket.try_read_buf(&mut buffer) {
                Ok(1..) => return Poll::Ready(Some(Ok(Frame::data(buffer.freeze())))),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Ok(0) | Err(_) => return Poll::Ready(None),
            }
        }
    }
}
