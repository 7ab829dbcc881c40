//! A TCP socket with TLS around it, as a shard drives it: what is read is opened and what is written is sealed on the
//! way, without a task, a pair of sockets or a buffer in between (ADR 0014).

use std::borrow::Cow;
use std::cell::RefCell;
use std::io::{self, ErrorKind, IoSlice, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsRawFd, RawFd};

use service::tls::{RECORD_BYTES, Session};

/// A secret socket. It never blocks.
#[derive(Debug)]
pub(crate) struct TlsSocket {
    stream: TcpStream,
    state: RefCell<State>,
}

#[derive(Debug)]
struct State {
    session: Session,
    /// Whether the first byte of the next write is sealed already: as long as something sealed waits for the socket, the
    /// last byte of it is not reported as written, so that the writer comes back.
    owed: bool,
}

impl TlsSocket {
    /// A connection whose handshake is done.
    pub(crate) fn new(stream: TcpStream, session: Session) -> Self {
        Self { stream, state: RefCell::new(State { session, owed: false }) }
    }

    /// See [`super::Socket::read`].
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let State { session, .. } = &mut *self.state.borrow_mut();
        if session.has_ended() {
            return Ok(0);
        }
        // what is said is shorter than what is read, together with what waited
        let room = buffer.len().saturating_sub(session.waiting()).max(1);
        let count = (&self.stream).read(&mut buffer[..room])?;
        if count == 0 {
            return Ok(0);
        }
        let mut said = Vec::new();
        let opened = session.open(&mut buffer[..count], &mut said);
        // an answer, or an alert; what is left of it goes with the next write
        let _ = session.flush(|bytes| (&self.stream).write(bytes));
        opened.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        if said.is_empty() {
            return Err(ErrorKind::Interrupted.into()); // nothing was said, and more may be there
        }
        buffer.get_mut(..said.len()).ok_or(ErrorKind::InvalidData)?.copy_from_slice(&said);
        Ok(said.len())
    }

    /// See [`super::Socket::write`].
    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    /// See [`super::Socket::write_vectored`].
    pub(super) fn write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let State { session, owed } = &mut *self.state.borrow_mut();
        if !session.flush(|bytes| (&self.stream).write(bytes))? {
            return Err(ErrorKind::WouldBlock.into());
        }
        let mut written = usize::from(std::mem::take(owed));
        loop {
            let piece = piece(slices, written);
            if piece.is_empty() {
                return Ok(written);
            }
            session.seal(&piece).map_err(io::Error::other)?;
            written += piece.len();
            if !session.flush(|bytes| (&self.stream).write(bytes))? {
                *owed = true;
                return if written > 1 { Ok(written - 1) } else { Err(ErrorKind::WouldBlock.into()) };
            }
        }
    }

    /// See [`super::Socket::finish`].
    pub(super) fn finish(&self) -> io::Result<()> {
        let session = &mut self.state.borrow_mut().session;
        // a peer to which this cannot be said sees the end of the stream
        if session.end().is_ok() {
            session.flush(|bytes| (&self.stream).write(bytes))?;
        }
        self.stream.shutdown(Shutdown::Write)
    }
}

impl AsRawFd for TlsSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }
}

/// What one record may hold of `slices`, from byte `start` on.
fn piece<'s>(slices: &'s [IoSlice<'_>], mut start: usize) -> Cow<'s, [u8]> {
    let mut piece: Cow<'s, [u8]> = Cow::Borrowed(&[]);
    for slice in slices {
        let Some(rest) = slice.get(start..) else {
            start -= slice.len();
            continue;
        };
        start = 0;
        let rest = &rest[..rest.len().min(RECORD_BYTES - piece.len())];
        if piece.is_empty() {
            piece = Cow::Borrowed(rest);
        } else if !rest.is_empty() {
            piece.to_mut().extend_from_slice(rest);
        }
    }
    piece
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_filled_from_several_slices() {
        let (long, short) = (vec![1; RECORD_BYTES + 5], [2, 3]);
        let slices = [IoSlice::new(&short), IoSlice::new(&[]), IoSlice::new(&long)];
        assert_eq!(piece(&slices, 0)[..3], [2, 3, 1]);
        assert_eq!(piece(&slices, 0).len(), RECORD_BYTES);
        assert_eq!(piece(&slices, 1)[..2], [3, 1]);
        assert_eq!(piece(&slices, RECORD_BYTES).len(), 7);
        assert!(piece(&slices, RECORD_BYTES + 7).is_empty());
        assert!(matches!(piece(&slices[..1], 0), Cow::Borrowed(_)), "one slice is not copied");
    }
}
