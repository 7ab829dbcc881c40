//! One connection to the relay: lettre's protocol parts, each with a timeout, and the lane's bounded set of them.
//!
//! A connection is owned by the one mail that it carries. It goes back to the set only when the conversation is in
//! step: whatever times out or breaks drops the socket, so that no mail can ever be told another one's reply.

use std::error::Error as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lettre::Address;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Ehlo, Mail, Quit, Rcpt, Rset};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter, RcptParameter};
use lettre::transport::smtp::response::Response;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::config::Tls;
use super::reply::{Phase, Reply};

/// Bytes written at once.
const CHUNK_BYTES: usize = 16 * 1024;

/// Where the relay is and how it is spoken to.
pub(super) struct Relay {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: Tls,
    /// For STARTTLS and implicit TLS.
    pub(super) parameters: Option<TlsParameters>,
    pub(super) credentials: Option<Credentials>,
    pub(super) hello: ClientId,
    /// Whether to ask for reports of success, too.
    pub(super) dsn_success: bool,
    pub(super) connect_timeout: Duration,
    pub(super) command_timeout: Duration,
    pub(super) content_timeout: Duration,
    pub(super) final_timeout: Duration,
}

/// A mail that did not get through.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) phase: Phase,
    pub(super) cause: Cause,
}

/// Why.
#[derive(Debug)]
pub(super) enum Cause {
    /// The relay said so.
    Reply(Reply),
    /// It said nothing in time.
    Timeout,
    /// The connection broke, or what came was no reply.
    Broken,
    /// The relay's certificate does not convince.
    Untrusted,
    /// The relay cannot take this at all: it lacks an extension.
    Unsupported,
}

/// A mail with what is written on its envelope.
pub(super) struct Envelope<'a> {
    /// To whom it returns.
    pub(super) from: &'a Address,
    /// To whom it goes.
    pub(super) to: &'a Address,
    /// What a report (RFC 3461) is to name it by; `None`: no report is wanted.
    pub(super) id: Option<&'a str>,
    /// The mail.
    pub(super) content: &'a [u8],
}

/// An open connection.
pub(super) struct Session {
    connection: AsyncSmtpConnection,
    /// Whether the relay reports what becomes of a mail.
    offers_dsn: bool,
    mails: u32,
    used_at: Instant,
}

/// The connections of one lane.
pub(super) struct Pool {
    permits: Semaphore,
    idle: Mutex<Vec<Session>>,
    idle_max: Duration,
}

/// The right to one connection.
pub(super) struct Slot<'a> {
    pool: &'a Pool,
    _permit: SemaphorePermit<'a>,
}

/// Runs one step of a conversation within its time.
async fn step<T>(
    phase: Phase,
    limit: Duration,
    step: impl Future<Output = Result<T, lettre::transport::smtp::Error>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(limit, step).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(Failure { phase, cause: cause(&error) }),
        Err(_) => Err(Failure { phase, cause: Cause::Timeout }),
    }
}

fn cause(error: &lettre::transport::smtp::Error) -> Cause {
    match error.status() {
        Some(code) => {
            let text = error.source().map(ToString::to_string).unwrap_or_default();
            Cause::Reply(Reply::new(code.into(), &text))
        }
        None if error.is_timeout() => Cause::Timeout,
        None if is_untrusted(error) => Cause::Untrusted,
        None => Cause::Broken,
    }
}

/// Whether TLS itself refused, rather than the network.
fn is_untrusted(error: &lettre::transport::smtp::Error) -> bool {
    let mut source = error.source();
    while let Some(error) = source {
        let inside = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if inside.is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>)
            || error.is::<rustls::Error>()
        {
            return true;
        }
        source = error.source();
    }
    false
}

/// Only a reply of class `digit` (or the very code) is what a step hopes for.
fn expect(phase: Phase, response: &Response, hoped: impl Fn(u16) -> bool) -> Result<(), Failure> {
    let code = u16::from(response.code());
    if hoped(code) {
        return Ok(());
    }
    Err(Failure { phase, cause: Cause::Reply(Reply::new(code, response.first_line().unwrap_or_default())) })
}

impl Relay {
    /// Connects, encrypts, greets and logs in.
    pub(super) async fn connect(&self) -> Result<Session, Failure> {
        let implicit = self.parameters.clone().filter(|_| self.tls == Tls::Implicit);
        let address = (self.host.as_str(), self.port);
        let connecting = AsyncSmtpConnection::connect_tokio1(
            address,
            Some(self.connect_timeout),
            &self.hello,
            implicit,
            None,
        );
        let mut connection = step(Phase::Connect, self.connect_timeout, connecting).await?;
        if let (Tls::Starttls, Some(parameters)) = (self.tls, &self.parameters) {
            if !connection.can_starttls() {
                return Err(Failure { phase: Phase::Encrypt, cause: Cause::Unsupported });
            }
            let encrypting = connection.starttls(parameters.clone(), &self.hello);
            step(Phase::Encrypt, self.connect_timeout, encrypting).await?;
        }
        if let Some(credentials) = &self.credentials {
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            if connection.server_info().get_auth_mechanism(&mechanisms).is_none() {
                return Err(Failure { phase: Phase::Login, cause: Cause::Unsupported });
            }
            let response =
                step(Phase::Login, self.connect_timeout, connection.auth(&mechanisms, credentials)).await?;
            expect(Phase::Login, &response, |code| code / 100 == 2)?;
        }
        // lettre keeps only the extensions that it knows itself, so the relay is asked again
        let greeting = connection.command(Ehlo::new(self.hello.clone()));
        let offers = step(Phase::Connect, self.command_timeout, greeting).await?;
        let offers_dsn = offers.message().any(|line| line.trim().eq_ignore_ascii_case("DSN"));
        Ok(Session { connection, offers_dsn, mails: 0, used_at: Instant::now() })
    }

    /// Hands over one mail; returns the relay's own id of it.
    pub(super) async fn deliver(
        &self,
        session: &mut Session,
        mail: &Envelope<'_>,
    ) -> Result<Option<String>, Failure> {
        let &Envelope { from, to, id, content } = mail;
        let connection = &mut session.connection;
        let (mut parameters, notify) = match id.filter(|_| session.offers_dsn) {
            Some(id) => self.report_wanted(id, to),
            None => (Vec::new(), Vec::new()),
        };
        if !AsRef::<str>::as_ref(from).is_ascii() || !AsRef::<str>::as_ref(to).is_ascii() {
            if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
                return Err(Failure { phase: Phase::Recipient, cause: Cause::Unsupported });
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        let positive = |code| code / 100 == 2;
        let mail = connection.command(Mail::new(Some(from.clone()), parameters));
        expect(Phase::Sender, &step(Phase::Sender, self.command_timeout, mail).await?, positive)?;
        let rcpt = connection.command(Rcpt::new(to.clone(), notify));
        expect(Phase::Recipient, &step(Phase::Recipient, self.command_timeout, rcpt).await?, positive)?;
        let data = step(Phase::Content, self.command_timeout, connection.command(Data)).await?;
        expect(Phase::Content, &data, |code| code == 354)?;
        let response = self.content(connection, content).await?;
        expect(Phase::Final, &response, positive)?;
        session.mails += 1;
        Ok(queue_id(response.first_line().unwrap_or_default()))
    }

    /// The parameters of RFC 3461: what to report, by which name, and about whom.
    fn report_wanted(&self, id: &str, to: &Address) -> (Vec<MailParameter>, Vec<RcptParameter>) {
        let mail = |keyword: &str, value: &str| MailParameter::Other {
            keyword: keyword.to_owned(),
            value: Some(value.to_owned()),
        };
        let rcpt = |keyword: &str, value: String| RcptParameter::Other {
            keyword: keyword.to_owned(),
            value: Some(value),
        };
        let when = if self.dsn_success { "SUCCESS,FAILURE" } else { "FAILURE" };
        let mut notify = vec![rcpt("NOTIFY", when.to_owned())];
        let address: &str = to.as_ref();
        if address.is_ascii() {
            notify.push(rcpt("ORCPT", format!("rfc822;{address}")));
        }
        (vec![mail("RET", "HDRS"), mail("ENVID", id)], notify)
    }

    /// Sends the content. Once the last piece is taken the final dot may have left, and a silence means nothing.
    async fn content(
        &self,
        connection: &mut AsyncSmtpConnection,
        content: &[u8],
    ) -> Result<Response, Failure> {
        let dotted = AtomicBool::new(false);
        let mut pieces = content.chunks(CHUNK_BYTES);
        let pieces = std::iter::from_fn(|| {
            let piece = pieces.next();
            dotted.store(piece.is_none(), Ordering::Relaxed);
            piece
        });
        let limit = self.content_timeout + self.final_timeout;
        let sent = step(Phase::Content, limit, connection.message_iter(pieces)).await;
        sent.map_err(|failure| Failure {
            phase: if dotted.load(Ordering::Relaxed) { Phase::Final } else { Phase::Content },
            ..failure
        })
    }

    /// Brings the conversation back to its beginning; false when the connection is of no more use.
    pub(super) async fn reset(&self, session: &mut Session) -> bool {
        let reset = step(Phase::Sender, self.command_timeout, session.connection.command(Rset)).await;
        reset.is_ok_and(|response| u16::from(response.code()) / 100 == 2)
    }

    /// Says goodbye, without insisting on an answer.
    pub(super) async fn quit(&self, mut session: Session) {
        let _ = step(Phase::Sender, self.command_timeout, session.connection.command(Quit)).await;
    }
}

impl Session {
    /// Whether it has carried mail before, so that the relay may have closed it meanwhile.
    pub(super) fn is_used(&self) -> bool {
        self.mails > 0
    }

    /// Mails that it has carried.
    pub(super) fn mails(&self) -> u32 {
        self.mails
    }
}

impl Pool {
    /// At most `connections`, unused ones kept for `idle_max`.
    pub(super) fn new(connections: usize, idle_max: Duration) -> Self {
        Self { permits: Semaphore::new(connections), idle: Mutex::default(), idle_max }
    }

    /// Waits for the right to a connection.
    pub(super) async fn slot(&self) -> Slot<'_> {
        let permit = self.permits.acquire().await.expect("the semaphore is never closed");
        Slot { pool: self, _permit: permit }
    }
}

impl Slot<'_> {
    /// The connection that was used last, unless it has been idle for too long.
    pub(super) fn idle(&self) -> Option<Session> {
        let mut idle = self.pool.idle.lock().expect("no holder of this lock panics");
        idle.retain(|session| session.used_at.elapsed() < self.pool.idle_max);
        idle.pop()
    }

    /// Keeps a connection that is in step for the next mail.
    pub(super) fn keep(self, mut session: Session) {
        session.used_at = Instant::now();
        self.pool.idle.lock().expect("no holder of this lock panics").push(session);
    }
}

/// The relay's id of a mail, from texts such as `2.0.0 Ok: queued as 4F3A`.
fn queue_id(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("queued as ")?;
    let id: String =
        rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).take(64).collect();
    Some(id).filter(|id| !id.is_empty())
}
