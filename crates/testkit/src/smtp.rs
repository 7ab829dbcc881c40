//! A stand-in for a mail relay: STARTTLS or TLS from the start, logins, scripts by the recipient's local part.
//!
//! Takes nothing that breaks the protocol (order, bare line feeds, long lines), parses what it takes with a library
//! that had no part in making it, and remembers it.

mod script;
mod session;

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mail_parser::MessageParser;
use serde::Serialize;
use serde_json::{Value, json};
use tokio_rustls::TlsAcceptor;

use crate::acceptor::{Acceptor, Connections};
use crate::ca::Ca;
use session::{Session, Wire};

/// How a relay is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relay {
    /// Plain first, then STARTTLS; nothing else is taken before.
    StartTls,
    /// TLS from the first byte.
    ImplicitTls,
    /// No TLS at all.
    Plain,
}

/// How the stand-in behaves.
#[derive(Debug, Clone)]
pub struct SmtpOptions {
    /// Where it listens; port 0 takes any.
    pub listen: SocketAddr,
    /// How it is reached.
    pub relay: Relay,
    /// User and password, if it wants them.
    pub login: Option<(String, String)>,
    /// The mechanisms that it offers: `PLAIN LOGIN`, `LOGIN`.
    pub mechanisms: String,
    /// The first line.
    pub banner: String,
    /// Whether it offers DSN (RFC 3461), and takes its parameters.
    pub dsn: bool,
    /// Mails that it takes on one connection before it says 421.
    pub mails_max: Option<usize>,
    /// How long the reply to a mail takes.
    pub latency: Duration,
}

impl Default for SmtpOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            relay: Relay::StartTls,
            login: Some(("munadi".to_owned(), "rehearsal".to_owned())),
            mechanisms: "PLAIN LOGIN".to_owned(),
            banner: "220 stand-in.invalid ESMTP".to_owned(),
            dsn: true,
            mails_max: None,
            latency: Duration::ZERO,
        }
    }
}

/// A mail as it was taken.
#[derive(Debug, Clone, Serialize)]
pub struct ReceivedMail {
    /// Number of the mail, from 1.
    pub number: usize,
    /// Number of the connection it came on, from 1.
    pub connection: usize,
    /// Whether the connection was encrypted.
    pub encrypted: bool,
    /// Envelope sender.
    pub from: String,
    /// Envelope recipients.
    pub to: Vec<String>,
    /// Parameters of MAIL and RCPT, as they came.
    pub parameters: Vec<String>,
    /// Headers, decoded only where `subject` is.
    pub headers: HashMap<String, String>,
    /// The subject, decoded.
    pub subject: String,
    /// The plain text, decoded.
    pub text: String,
    /// The HTML, decoded.
    pub html: String,
    /// The content as it came, dots undone.
    #[serde(skip)]
    pub raw: String,
}

/// The running stand-in; dropping it stops it.
pub struct Smtp {
    state: Arc<State>,
    acceptor: Acceptor,
}

struct State {
    options: SmtpOptions,
    received: Mutex<Vec<ReceivedMail>>,
    seen: Mutex<HashSet<String>>,
    auth_failures: Mutex<Vec<&'static str>>,
    ids: AtomicUsize,
    refused_recipients: AtomicUsize,
    bare_line_ends: AtomicUsize,
}

/// Whom a mail is from and for, so far.
#[derive(Debug, Default)]
struct Envelope {
    from: Option<String>,
    to: Vec<String>,
    parameters: Vec<String>,
}

impl Smtp {
    /// Starts the stand-in with a certificate of `ca`.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn start(ca: &Ca, options: SmtpOptions) -> anyhow::Result<Self> {
        let tls = TlsAcceptor::from(ca.server_config(&[]));
        let state = Arc::new(State {
            options,
            received: Mutex::default(),
            seen: Mutex::default(),
            auth_failures: Mutex::default(),
            ids: AtomicUsize::new(0),
            refused_recipients: AtomicUsize::new(0),
            bare_line_ends: AtomicUsize::new(0),
        });
        let shared = Arc::clone(&state);
        let acceptor = Acceptor::start(state.options.listen, move |stream, number| {
            let (state, tls) = (Arc::clone(&shared), tls.clone());
            async move {
                let implicit = state.options.relay == Relay::ImplicitTls;
                let wire: Box<dyn Wire> =
                    if implicit { Box::new(tls.accept(stream).await?) } else { Box::new(stream) };
                Session::new(state, tls, number, implicit).run(wire).await
            }
        })
        .await?;
        Ok(Self { state, acceptor })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.acceptor.address
    }

    /// What was taken after the mail numbered `after`.
    pub fn received(&self, after: usize) -> Vec<ReceivedMail> {
        self.state.lock().iter().skip(after).cloned().collect()
    }

    /// Answers the next logins with these replies.
    pub fn fail_logins(&self, replies: &[&'static str]) {
        let mut failures = self.state.auth_failures.lock().expect("no holder of this lock panics");
        *failures = replies.iter().rev().copied().collect();
    }

    /// Its connections.
    pub fn connections(&self) -> &Connections {
        &self.acceptor.connections
    }

    /// Lines that did not end as the protocol wants.
    pub fn bare_line_ends(&self) -> usize {
        self.state.bare_line_ends.load(Ordering::SeqCst)
    }

    /// Mails and refusals.
    pub fn counts(&self) -> Value {
        json!({
            "received": self.state.lock().len(),
            "refused_recipients": self.state.refused_recipients.load(Ordering::SeqCst),
            "bare_line_ends": self.bare_line_ends(),
            "connections": self.connections().total(),
            "connections_open": self.connections().open(),
        })
    }
}

impl State {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<ReceivedMail>> {
        self.received.lock().expect("no holder of this lock panics")
    }

    /// Whether this address is seen for the first time.
    fn is_new(&self, address: &str) -> bool {
        self.seen.lock().expect("no holder of this lock panics").insert(address.to_owned())
    }

    fn auth_failure(&self) -> Option<&'static str> {
        self.auth_failures.lock().expect("no holder of this lock panics").pop()
    }

    fn next_id(&self) -> usize {
        self.ids.fetch_add(1, Ordering::SeqCst) + 1
    }

    fn record(&self, connection: usize, encrypted: bool, envelope: Envelope, content: &[u8]) -> usize {
        let parsed = MessageParser::default().parse(content);
        let body = |html: bool| {
            let text =
                parsed.as_ref().and_then(|mail| if html { mail.body_html(0) } else { mail.body_text(0) });
            text.map(std::borrow::Cow::into_owned).unwrap_or_default()
        };
        let headers = parsed.iter().flat_map(mail_parser::Message::headers_raw);
        let headers =
            headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
        let mut received = self.lock();
        let number = received.len() + 1;
        received.push(ReceivedMail {
            number,
            connection,
            encrypted,
            from: envelope.from.unwrap_or_default(),
            to: envelope.to,
            parameters: envelope.parameters,
            headers,
            subject: parsed.as_ref().and_then(|mail| mail.subject()).unwrap_or_default().to_owned(),
            text: body(false),
            html: body(true),
            raw: String::from_utf8_lossy(content).into_owned(),
        });
        number
    }
}
