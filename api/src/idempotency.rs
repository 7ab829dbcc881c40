//! Writes: one transaction each, and, with an `Idempotency-Key`, the same answer to the same request.
//!
//! A handler takes [`Once`], begins its [`Work`], lets an operation write in it, and finishes it with the answer:
//! the key's row is stored in the transaction of the effect, so that there are both or none.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::Method;
use axum::http::request::Parts;
use domain::Principal;
use metrics::counter;
use serde_json::Value;
use sha2::{Digest, Sha256};
use store::Tx;
use store::idempotency::{Claim, Slot};

use crate::answer::Answer;
use crate::app::App;
use crate::code::Code;
use crate::error::ApiError;
use crate::metrics as names;

/// Characters of the longest key.
const KEY_LENGTH_MAX: usize = 255;
/// When to ask again for the answer of a request that is still running.
const BUSY_RETRY: Duration = Duration::from_secs(1);

/// The digest of a request's body, once the body has been read; empty body until then.
#[derive(Debug, Clone, Default)]
pub(crate) struct BodyDigest(Arc<OnceLock<[u8; 32]>>);

impl BodyDigest {
    /// Notes the body. JSON is digested in canonical form: the order of fields and white space make no difference.
    pub(crate) fn set(&self, body: &[u8]) {
        let canonical =
            serde_json::from_slice::<Value>(body).ok().and_then(|value| serde_json::to_vec(&value).ok());
        let digest = Sha256::digest(canonical.as_deref().unwrap_or(body)).into();
        let _ = self.0.set(digest); // a body is read once
    }
}

/// The idempotency key of a write, when it has one.
#[derive(Debug, Clone)]
pub(crate) struct Once {
    key: Option<String>,
    route: String,
    body: BodyDigest,
}

/// A write under way: a transaction that also keeps the answer under the idempotency key.
#[derive(Debug)]
pub(crate) struct Work {
    /// What the operation writes in.
    pub(crate) tx: Tx,
    kept: Option<(Slot, Duration)>,
}

/// A write that begins, or one that was done before.
#[derive(Debug)]
pub(crate) enum Begun {
    /// Do it.
    Work(Work),
    /// It is done; this was the answer.
    Replay(Answer),
}

/// Begins a [`Work`], or returns from the handler with the answer of the first time.
macro_rules! begin {
    ($once:expr, $app:expr, $who:expr) => {
        match $once.begin($app, $who).await? {
            $crate::idempotency::Begun::Work(work) => work,
            $crate::idempotency::Begun::Replay(answer) => return Ok(answer),
        }
    };
}
pub(crate) use begin;

impl FromRequestParts<App> for Once {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let key = match parts.headers.get("idempotency-key") {
            None if app.config.idempotency.required => {
                return Err(ApiError::new(Code::IdempotencyKeyRequired));
            }
            None => None,
            Some(value) => Some(read_key(value.to_str().ok()).ok_or_else(|| {
                ApiError::new(Code::InvalidHeader).detail("Idempotency-Key is 1 to 255 printable characters")
            })?),
        };
        let body = BodyDigest::default();
        if key.is_some() {
            parts.extensions.insert(body.clone());
        }
        Ok(Self { key, route: route(&parts.method, parts.uri.path()), body })
    }
}

fn route(method: &Method, path: &str) -> String {
    format!("{method} {path}")
}

/// A structured-field string (`"…"`) or a bare value.
fn read_key(value: Option<&str>) -> Option<String> {
    let value = value?.trim();
    let key = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
    let printable = key.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    ((1..=KEY_LENGTH_MAX).contains(&key.len()) && printable).then(|| key.to_owned())
}

impl Once {
    /// Begins the write of `who`.
    ///
    /// # Errors
    /// [`Code::IdempotencyInProgress`] while the first request with the key runs, [`Code::IdempotencyKeyReused`]
    /// when the key was another request's.
    pub(crate) async fn begin(&self, app: &App, who: &Principal) -> Result<Begun, ApiError> {
        let Some(key) = &self.key else {
            return Ok(Begun::Work(Work { tx: app.store.begin().await?, kept: None }));
        };
        let slot = Slot {
            principal: format!("user:{}", who.user_id),
            route: self.route.clone(),
            key: key.clone(),
            fingerprint: self.fingerprint(),
        };
        let mut tx = app.store.begin().await?;
        match store::idempotency::claim(&mut tx, &slot, app.clock.now()).await? {
            Claim::Fresh => {
                counter!(names::IDEMPOTENCY, "outcome" => "fresh").increment(1);
                let keep = Duration::from_secs(app.config.idempotency.keep_hours * 3_600);
                Ok(Begun::Work(Work { tx, kept: Some((slot, keep)) }))
            }
            Claim::Busy => {
                counter!(names::IDEMPOTENCY, "outcome" => "busy").increment(1);
                Err(ApiError::new(Code::IdempotencyInProgress).retry_after(BUSY_RETRY))
            }
            Claim::Other => {
                counter!(names::IDEMPOTENCY, "outcome" => "reused").increment(1);
                tx.rollback().await?; // whoever comes next with the key is not to find it busy
                Err(ApiError::new(Code::IdempotencyKeyReused))
            }
            Claim::Done(kept) => {
                counter!(names::IDEMPOTENCY, "outcome" => "replayed").increment(1);
                tx.rollback().await?; // as above
                let mut answer: Answer = serde_json::from_str(&kept).map_err(ApiError::internal)?;
                answer.replayed = true;
                Ok(Begun::Replay(answer))
            }
        }
    }

    fn fingerprint(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        digest.update(self.route.as_bytes());
        digest.update([0]);
        digest.update(self.body.0.get().copied().unwrap_or_default());
        digest.finalize().into()
    }
}

impl Work {
    /// Stores the answer under the key, commits, and hands the answer back.
    ///
    /// # Errors
    /// [`Code::Internal`] when the database refuses: then nothing was done.
    pub(crate) async fn finish(mut self, app: &App, answer: Answer) -> Result<Answer, ApiError> {
        if let Some((slot, keep)) = &self.kept {
            let text = serde_json::to_string(&answer).map_err(ApiError::internal)?;
            let now = app.clock.now();
            store::idempotency::keep(&mut self.tx, slot, &text, now, now + *keep).await?;
        }
        self.tx.commit().await?;
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_quoted_and_bare() {
        assert_eq!(read_key(Some("\"a-b\"")), Some("a-b".to_owned()));
        assert_eq!(read_key(Some(" a b ")), Some("a b".to_owned()));
        for bad in [Some(""), Some("\"\""), Some("é"), None] {
            assert_eq!(read_key(bad), None);
        }
        assert_eq!(read_key(Some(&"k".repeat(256))), None);
    }

    #[test]
    fn the_form_of_json_makes_no_difference() {
        let digest = |body: &[u8]| {
            let digest = BodyDigest::default();
            digest.set(body);
            *digest.0.get().unwrap()
        };
        assert_eq!(digest(br#"{"a":1,"b":[2]}"#), digest(b"{ \"b\": [2],\n\"a\": 1 }"));
        assert_ne!(digest(br#"{"a":1}"#), digest(br#"{"a":2}"#));
        assert_ne!(digest(b"not json"), digest(b"not  json"));
    }
}
