//! Mail: lettre builds it and speaks SMTP, a bounded set of connections per lane carries it.

mod config;
mod content;
mod reply;
mod session;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use domain::{Action, Clock, Lane};
use lettre::Address;
use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use secrecy::ExposeSecret as _;

use crate::gateway::{Gateway, Outcome, Outgoing, Verdict};

use super::GatewayError;
pub use config::{Config, Tls};
use content::Sender;
pub(super) use content::html_part;
use reply::Phase;
use session::{Cause, Envelope, Failure, Pool, Relay, Session, Slot};

/// Logins refused for the moment, in a row, before that counts as a matter of configuration.
const LOGIN_DEFERRALS_MAX: u32 = 3;

/// The adapter.
pub struct Email {
    relay: Relay,
    pools: [Pool; 4],
    sender: Sender,
    envelope_from: Address,
    /// Of addresses that bounces return to; empty: all to `envelope_from`.
    bounce_domain: String,
    mails_max: u32,
    connection_wait: Duration,
    greylist_wait: Duration,
    login_deferrals: AtomicU32,
    clock: Arc<dyn Clock>,
}

impl Email {
    /// Builds the adapter; nothing is connected yet.
    ///
    /// # Errors
    /// [`GatewayError`] when an address, the password or the authority cannot be used.
    pub fn new(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, GatewayError> {
        let from = mailbox(&config.from)?;
        let sender = Sender {
            emergency_from: optional(&config.emergency_from)?.unwrap_or_else(|| from.clone()),
            reply_to: optional(&config.reply_to)?,
            public_url: config.public_url.trim_end_matches('/').to_owned(),
            from,
        };
        let envelope_from = match config.envelope_from.as_str() {
            "" => sender.from.email.clone(),
            text => text.parse().map_err(|_| GatewayError::Address(text.to_owned()))?,
        };
        let millis = |millis: u32| Duration::from_millis(millis.into());
        let idle_max = millis(config.idle_ms);
        Ok(Self {
            relay: relay(config)?,
            pools: std::array::from_fn(|_| Pool::new(config.connections_per_lane as usize, idle_max)),
            sender,
            envelope_from,
            bounce_domain: config.bounce_domain.clone(),
            mails_max: config.mails_per_connection,
            connection_wait: millis(config.connection_wait_ms),
            greylist_wait: millis(config.greylist_wait_ms),
            login_deferrals: AtomicU32::new(0),
            clock,
        })
    }

    /// Hands a mail to the relay over the slot's connection, or a new one.
    async fn deliver(&self, slot: Slot<'_>, mail: &Envelope<'_>) -> Result<Option<String>, Failure> {
        if let Some(mut session) = slot.idle() {
            let sent = self.relay.deliver(&mut session, mail).await;
            match sent {
                // the relay has closed an idle connection: nothing was taken, a new one may do
                Err(ref failure) if session.is_used() && has_gone_stale(failure) => {}
                _ => return self.settle(slot, session, sent).await,
            }
        }
        let mut session = self.relay.connect().await?;
        self.login_deferrals.store(0, Ordering::Relaxed);
        let sent = self.relay.deliver(&mut session, mail).await;
        self.settle(slot, session, sent).await
    }

    /// Decides what becomes of the connection.
    async fn settle(
        &self,
        slot: Slot<'_>,
        mut session: Session,
        sent: Result<Option<String>, Failure>,
    ) -> Result<Option<String>, Failure> {
        let in_step = match &sent {
            Ok(_) | Err(Failure { cause: Cause::Unsupported, .. }) => true,
            Err(Failure { cause: Cause::Reply(reply), phase }) if (400..600).contains(&reply.code) => {
                // after the final dot the conversation is at its beginning anyway
                reply.code != 421 && (*phase == Phase::Final || self.relay.reset(&mut session).await)
            }
            Err(_) => false,
        };
        if in_step && session.mails() >= self.mails_max {
            self.relay.quit(session).await;
        } else if in_step {
            slot.keep(session);
        }
        sent
    }

    /// What a failure means.
    fn outcome(&self, failure: &Failure, lane: Lane) -> Outcome {
        let phase = failure.phase;
        let bytes_left = matches!(phase, Phase::Content | Phase::Final);
        let (action, reason, code) = match &failure.cause {
            Cause::Reply(reply) => {
                let (action, reason) = reply::judge(phase, reply);
                (self.escalated(action, reason), reason, Some(reply.code))
            }
            Cause::Timeout if phase == Phase::Final => (Action::Unknown, "timeout", None),
            Cause::Timeout => (Action::Retry, "timeout", None),
            Cause::Broken if phase == Phase::Final => (Action::Unknown, "connection_lost", None),
            // a certificate that is not trusted does not become so by waiting
            Cause::Untrusted => (Action::FixConfig, "untrusted", None),
            Cause::Broken if phase == Phase::Connect => (Action::Retry, "connect", None),
            Cause::Broken => (Action::Retry, "connection_lost", None),
            Cause::Unsupported if phase == Phase::Recipient => {
                (Action::Quarantine, "address_not_ascii", None)
            }
            Cause::Unsupported => (Action::FixConfig, "relay_lacks_extension", None),
        };
        let waits = reason == "greylisted" && lane != Lane::Emergency;
        Outcome {
            status_code: code,
            retry_after: waits.then_some(self.greylist_wait),
            bytes_left,
            ..Outcome::refused(action, reason)
        }
    }

    /// A login that is deferred again and again is a matter of configuration.
    fn escalated(&self, action: Action, reason: &str) -> Action {
        if reason != "login_unavailable" {
            return action;
        }
        let deferrals = self.login_deferrals.fetch_add(1, Ordering::Relaxed) + 1;
        if deferrals > LOGIN_DEFERRALS_MAX { Action::FixConfig } else { action }
    }
}

#[async_trait]
impl Gateway for Email {
    async fn send(&self, message: &Outgoing) -> Outcome {
        let Ok(to) = message.target.parse::<Address>() else {
            return Outcome::refused(Action::Quarantine, "address_malformed");
        };
        let Ok(content) = content::render(message, to.clone(), &self.sender, self.clock.now()) else {
            return Outcome::refused(Action::FixMessage, "unrenderable");
        };
        let pool = &self.pools[message.lane as usize];
        let Ok(slot) = tokio::time::timeout(self.connection_wait, pool.slot()).await else {
            return Outcome::refused(Action::Retry, "no_free_connection");
        };
        // an address of its own, so that a bounce says by where it comes to what it is about
        let own = Address::new(message.bounce_local.as_str(), self.bounce_domain.as_str()).ok();
        let from = own.as_ref().unwrap_or(&self.envelope_from);
        let id = own.is_some().then_some(message.bounce_local.as_str());
        let mail = Envelope { from, to: &to, id, content: &content };
        match self.deliver(slot, &mail).await {
            Ok(provider_id) => Outcome {
                verdict: Verdict::Accepted,
                provider_id,
                status_code: Some(250),
                reason: "accepted".to_owned(),
                retry_after: None,
                bytes_left: true,
            },
            Err(failure) => self.outcome(&failure, message.lane),
        }
    }
}

/// Whether the first command on an idle connection found it closed.
fn has_gone_stale(failure: &Failure) -> bool {
    failure.phase == Phase::Sender
        && match &failure.cause {
            Cause::Broken => true,
            Cause::Reply(reply) => reply.code == 421,
            Cause::Timeout | Cause::Untrusted | Cause::Unsupported => false,
        }
}

fn relay(config: &Config) -> Result<Relay, GatewayError> {
    let credentials = if config.username.is_empty() {
        None
    } else {
        let password = super::secret(config.password.as_ref(), config.password_file.as_deref())?;
        Some(Credentials::new(config.username.clone(), password.expose_secret().to_owned()))
    };
    let parameters = match config.tls {
        Tls::None => None,
        Tls::Starttls | Tls::Implicit => Some(parameters(config)?),
    };
    let millis = |millis: u32| Duration::from_millis(millis.into());
    Ok(Relay {
        host: config.host.clone(),
        port: config.port,
        tls: config.tls,
        parameters,
        credentials,
        hello: ClientId::Domain(config.hello_name.clone()),
        dsn_success: config.dsn_success,
        connect_timeout: millis(config.connect_timeout_ms),
        command_timeout: millis(config.command_timeout_ms),
        content_timeout: millis(config.content_timeout_ms),
        final_timeout: millis(config.final_timeout_ms),
    })
}

fn parameters(config: &Config) -> Result<TlsParameters, GatewayError> {
    let mut builder = TlsParameters::builder(config.host.clone());
    if let Some(path) = &config.ca_file {
        let pem = std::fs::read(path).map_err(|source| GatewayError::Read { path: path.clone(), source })?;
        builder = builder.add_root_certificate(Certificate::from_pem(&pem).map_err(GatewayError::RelayTls)?);
    }
    builder.build().map_err(GatewayError::RelayTls)
}

fn mailbox(text: &str) -> Result<Mailbox, GatewayError> {
    text.parse().map_err(|_| GatewayError::Address(text.to_owned()))
}

fn optional(text: &str) -> Result<Option<Mailbox>, GatewayError> {
    if text.is_empty() { Ok(None) } else { mailbox(text).map(Some) }
}
