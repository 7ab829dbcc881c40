//! The state of one TLS connection, apart from its socket: bytes of the peer in, what it says out, and back.
//!
//! rustls keeps no buffers in this form (its *unbuffered* interface). What has come or gone in part is kept here, for
//! as long as it is in part.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus,
};
use rustls::{Error, ServerConfig};

/// Bytes of the peer that may wait for the rest of their message: more than the longest of a handshake.
const REST_BYTES_MAX: usize = 131_072;
/// What a record of TLS adds to what is said, rounded up.
const RECORD_OVERHEAD: usize = 64;
/// What one record holds.
pub const RECORD_BYTES: usize = 16_384;

/// One connection.
pub struct Session {
    connection: UnbufferedServerConnection,
    /// The beginning of a record whose end has not come.
    rest: Vec<u8>,
    /// Records for the peer, of which `sent` bytes have gone.
    sealed: Vec<u8>,
    sent: usize,
    ended: bool,
    failed: bool,
}

impl Session {
    /// Before the handshake.
    ///
    /// # Errors
    /// When the configuration cannot serve anybody.
    pub fn new(config: Arc<ServerConfig>) -> Result<Self, Error> {
        let connection = UnbufferedServerConnection::new(config)?;
        Ok(Self { connection, rest: Vec::new(), sealed: Vec::new(), sent: 0, ended: false, failed: false })
    }

    /// Whether the handshake goes on.
    pub fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Whether the peer has said that nothing more comes.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Bytes that wait for the rest of their record.
    pub fn waiting(&self) -> usize {
        self.rest.len()
    }

    /// Takes bytes of the peer, and adds what they say to `said`.
    ///
    /// # Errors
    /// When they are not what TLS allows: what waits is sent, and the connection is of no more use.
    pub fn open(&mut self, bytes: &mut [u8], said: &mut Vec<u8>) -> Result<(), Error> {
        if self.rest.is_empty() {
            let used = self.turn(bytes, said, None)?;
            self.rest.extend_from_slice(&bytes[used..]);
        } else {
            let mut input = std::mem::take(&mut self.rest);
            input.extend_from_slice(bytes);
            let used = self.turn(&mut input, said, None)?;
            self.rest = input[used..].to_vec();
        }
        if self.ended {
            self.rest = Vec::new();
        }
        if self.rest.len() > REST_BYTES_MAX {
            return Err(Error::General("a message of the peer is too long".to_owned()));
        }
        Ok(())
    }

    /// Seals what is to be said; [`Session::flush`] sends it.
    ///
    /// # Errors
    /// When nothing can be said any more, or yet.
    pub fn seal(&mut self, plain: &[u8]) -> Result<(), Error> {
        self.say(Say::Data(plain))
    }

    /// Tells the peer that nothing more comes.
    ///
    /// # Errors
    /// As [`Session::seal`].
    pub fn end(&mut self) -> Result<(), Error> {
        self.say(Say::End)
    }

    fn say(&mut self, what: Say<'_>) -> Result<(), Error> {
        let mut said = Vec::new();
        let before = self.sealed.len();
        // what has come in part belongs to rustls's picture of the connection
        let mut input = std::mem::take(&mut self.rest);
        let used = self.turn(&mut input, &mut said, Some(what))?;
        input.drain(..used);
        self.rest = input;
        if self.sealed.len() == before || !said.is_empty() {
            return Err(Error::General("nothing can be said on this connection".to_owned()));
        }
        Ok(())
    }

    /// Sends what is sealed through `write` until everything is sent or it takes no more; whether everything is.
    ///
    /// # Errors
    /// Those of `write`, but for `WouldBlock` and `Interrupted`.
    pub fn flush(&mut self, mut write: impl FnMut(&[u8]) -> io::Result<usize>) -> io::Result<bool> {
        while self.sent < self.sealed.len() {
            match write(&self.sealed[self.sent..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.sealed = Vec::new();
        self.sent = 0;
        Ok(true)
    }

    /// Has rustls look at `input`, and says `say`; gives how many bytes of the input are done with.
    fn turn(&mut self, input: &mut [u8], said: &mut Vec<u8>, say: Option<Say<'_>>) -> Result<usize, Error> {
        if self.failed {
            return Err(Error::General("the connection has failed".to_owned()));
        }
        let mut used = 0;
        let result = self.advance(input, &mut used, said, say);
        if result.is_err() {
            self.failed = true; // rustls is not asked again, but for what it has to tell the peer
            self.take_alert();
        }
        result.map(|()| used)
    }

    fn take_alert(&mut self) {
        if !self.connection.wants_write() {
            return;
        }
        if let Ok(ConnectionState::EncodeTlsData(mut alert)) =
            self.connection.process_tls_records(&mut []).state
        {
            // without the alert the peer sees the end of the stream
            let _ =
                append(&mut self.sealed, 0, |out| alert.encode(out).map_err(|error| encode_error(&error)));
        }
    }

    fn advance(
        &mut self,
        input: &mut [u8],
        used: &mut usize,
        said: &mut Vec<u8>,
        mut say: Option<Say<'_>>,
    ) -> Result<(), Error> {
        loop {
            let UnbufferedStatus { discard, state } =
                self.connection.process_tls_records(&mut input[*used..]);
            *used += discard;
            let mut done = false;
            match state? {
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        said.extend_from_slice(record?.payload);
                    }
                }
                ConnectionState::EncodeTlsData(mut data) => {
                    append(&mut self.sealed, 0, |out| {
                        data.encode(out).map_err(|error| encode_error(&error))
                    })?;
                }
                ConnectionState::TransmitTlsData(sent) => sent.done(), // it waits here
                ConnectionState::WriteTraffic(mut traffic) => {
                    match say.take() {
                        Some(Say::Data(plain)) => {
                            let room = plain.len() + (plain.len() / RECORD_BYTES + 1) * RECORD_OVERHEAD;
                            append(&mut self.sealed, room, |out| {
                                traffic.encrypt(plain, out).map_err(|error| encrypt_error(&error))
                            })?;
                        }
                        Some(Say::End) => append(&mut self.sealed, RECORD_OVERHEAD, |out| {
                            traffic.queue_close_notify(out).map_err(|error| encrypt_error(&error))
                        })?,
                        None => {}
                    }
                    done = true;
                }
                ConnectionState::PeerClosed => self.ended = true,
                ConnectionState::Closed => (self.ended, done) = (true, true),
                ConnectionState::BlockedHandshake => done = true,
                // early data is not offered, and other states are unknown
                _ => return Err(Error::General("the connection is in an unknown state".to_owned())),
            }
            if done {
                return Ok(());
            }
        }
    }
}

/// What is to be said.
enum Say<'a> {
    Data(&'a [u8]),
    End,
}

/// Appends what `write` writes, for which there has to be `room`, or as much as it asks for.
fn append(
    sealed: &mut Vec<u8>,
    room: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, Result<usize, Error>>,
) -> Result<(), Error> {
    let start = sealed.len();
    sealed.resize(start + room, 0);
    let mut written = write(&mut sealed[start..]);
    if let Err(Ok(needed)) = written {
        sealed.resize(start + needed, 0);
        written = write(&mut sealed[start..]);
    }
    match written {
        Ok(count) => {
            sealed.truncate(start + count);
            Ok(())
        }
        Err(Ok(_)) => Err(Error::General("a record has no end".to_owned())),
        Err(Err(error)) => Err(error),
    }
}

/// How much room is needed, or what is wrong.
fn encode_error(error: &EncodeError) -> Result<usize, Error> {
    match error {
        EncodeError::InsufficientSize(InsufficientSizeError { required_size }) => Ok(*required_size),
        EncodeError::AlreadyEncoded => Err(Error::General(error.to_string())),
    }
}

fn encrypt_error(error: &EncryptError) -> Result<usize, Error> {
    match error {
        EncryptError::InsufficientSize(InsufficientSizeError { required_size }) => Ok(*required_size),
        EncryptError::EncryptExhausted => Err(Error::EncryptError),
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("ended", &self.ended).finish_non_exhaustive()
    }
}
