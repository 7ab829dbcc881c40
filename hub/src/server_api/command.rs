//! `subscribe`, `unsubscribe`, `disconnect`, `refresh`: what back ends want of connections, wherever these are.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use domain::{ChangeId, Lane, PublicationId, Topic};
use protocol::codes::{DisconnectCode, ErrorCode};
use serde::Deserialize;
use serde_json::Value;
use streams::NewPublication;

use super::fault::Fault;
use super::{Answer, ServerApi, raw};
use crate::authority::OverrideClaims;
use crate::control::{self, Begin, Renewal, Since, Whose};

/// Bytes that a close frame has for its reason.
const REASON_BYTES_MAX: usize = 123;

/// `subscribe`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Subscribe {
    user: String,
    channel: String,
    client: String,
    session: String,
    info: Option<Value>,
    b64info: String,
    data: Option<Value>,
    b64data: String,
    recover_since: Option<Since>,
    expire_at: i64,
    #[serde(rename = "override")]
    overrides: Option<OverrideClaims>,
}

/// `unsubscribe`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Unsubscribe {
    user: String,
    channel: String,
    client: String,
    session: String,
}

/// `disconnect`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Disconnect {
    user: String,
    client: String,
    session: String,
    whitelist: Vec<String>,
    #[serde(rename = "disconnect")]
    told: Option<Told>,
}

/// What those who are disconnected are told.
#[derive(Debug, Deserialize)]
struct Told {
    code: u16,
    #[serde(default)]
    reason: String,
}

/// `refresh`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Refresh {
    user: String,
    client: String,
    session: String,
    expired: bool,
    expire_at: i64,
    info: Option<Value>,
}

impl ServerApi {
    pub(super) async fn subscribe(&self, request: Subscribe) -> Answer {
        let (topic, _) = self.topic(&request.channel)?;
        let begin = Begin {
            whose: Whose { user: request.user, client: request.client, session: request.session },
            topic,
            info: document(request.info, &request.b64info)?,
            data: document(request.data, &request.b64data)?,
            recover_since: request.recover_since,
            expire_at: request.expire_at,
            overrides: request.overrides.unwrap_or_default().into(),
        };
        self.command(&control::Command::Subscribe(Box::new(begin))).await
    }

    pub(super) async fn unsubscribe(&self, request: Unsubscribe) -> Answer {
        let (topic, _) = self.topic(&request.channel)?;
        let whose = Whose { user: request.user, client: request.client, session: request.session };
        self.command(&control::Command::Unsubscribe { whose, topic }).await
    }

    pub(super) async fn disconnect(&self, request: Disconnect) -> Answer {
        let code = DisconnectCode::ForceNoReconnect;
        let told = request.told.unwrap_or_else(|| Told { code: code.code(), reason: code.text().to_owned() });
        if !(3_000..=4_999).contains(&told.code) || told.reason.len() > REASON_BYTES_MAX {
            return Err(ErrorCode::BadRequest.into());
        }
        let disconnect = control::Disconnect {
            whose: Whose { user: request.user, client: request.client, session: request.session },
            whitelist: request.whitelist,
            code: told.code,
            reason: told.reason,
        };
        self.command(&control::Command::Disconnect(disconnect)).await
    }

    pub(super) async fn refresh(&self, request: Refresh) -> Answer {
        let renewal = Renewal {
            whose: Whose { user: request.user, client: request.client, session: request.session },
            expired: request.expired,
            expire_at: request.expire_at,
            info: request.info,
        };
        self.command(&control::Command::Refresh(renewal)).await
    }

    /// Tells every node.
    async fn command(&self, command: &control::Command) -> Answer {
        let (topic, now) = (Topic::control(), self.clock.now());
        let data = serde_json::to_vec(command).map_err(|_| ErrorCode::Internal)?;
        let publication = NewPublication {
            id: PublicationId::of(ChangeId::at(now, rand::random()), topic.as_str()),
            topic,
            data: Bytes::from(data),
            lane: Lane::Transactional,
            change: None,
            attributes: None,
            at: now,
        };
        self.append_all(&[publication]).await?;
        raw(&serde_json::json!({}))
    }
}

/// A document given as JSON, or as base 64 of JSON.
fn document(plain: Option<Value>, base64: &str) -> Result<Option<Value>, Fault> {
    if base64.is_empty() {
        return Ok(plain);
    }
    let bytes = STANDARD.decode(base64).map_err(|_| ErrorCode::BadRequest)?;
    serde_json::from_slice(&bytes).map(Some).map_err(|_| ErrorCode::BadRequest.into())
}
