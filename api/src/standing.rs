//! Whether the session of an access token still goes on: signed out, blocked and other roles count at once here too,
//! not only when the token runs out (ADR 0015).
//!
//! The database knows; what it said is believed for `api.sessions.recheck_ms`, so that a busy page costs two reads in
//! that time and not two for each request.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use domain::{Principal, Role, UserId};
use store::{Store, StoreError, refresh_tokens, users};
use tokio::time::Instant;
use uuid::Uuid;

/// Sessions that are remembered at once; those that are due make room.
const SESSIONS_MAX: usize = 100_000;

/// Where the bearer of a good token stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// As the token says.
    Good,
    /// They are something else by now: another token says what.
    Renew,
    /// Their session has ended.
    Ended,
    /// They are kept out.
    Blocked,
}

/// What was found out lately. Asked by every request with a token.
#[derive(Debug)]
pub(crate) struct Sessions {
    believed_for: Duration,
    known: Mutex<HashMap<(UserId, String), Known>>,
}

#[derive(Debug, Clone)]
struct Known {
    until: Instant,
    /// What the user is, or why they are nobody here.
    roles: Result<Vec<Role>, Standing>,
}

impl Sessions {
    /// Believes what it knows for `recheck_ms`.
    pub(crate) fn new(recheck_ms: u64) -> Self {
        Self { believed_for: Duration::from_millis(recheck_ms), known: Mutex::default() }
    }

    /// Where the bearer of a good token stands.
    ///
    /// # Errors
    /// [`StoreError`] when the database has to be asked and does not say.
    pub(crate) async fn standing(&self, store: &Store, bearer: &Principal) -> Result<Standing, StoreError> {
        let key = (bearer.user_id, bearer.session.clone());
        let now = Instant::now();
        let known = self.known.lock().expect("no holder of this lock panics").get(&key).cloned();
        let roles = match known {
            Some(known) if known.until > now => known.roles,
            _ => {
                let roles = look_up(store, bearer).await?;
                self.remember(key, Known { until: now + self.believed_for, roles: roles.clone() }, now);
                roles
            }
        };
        Ok(match roles {
            Err(standing) => standing,
            Ok(roles) if same(&roles, &bearer.roles) => Standing::Good,
            Ok(_) => Standing::Renew,
        })
    }

    fn remember(&self, key: (UserId, String), what: Known, now: Instant) {
        let mut known = self.known.lock().expect("no holder of this lock panics");
        if known.len() >= SESSIONS_MAX {
            known.retain(|_, known| known.until > now);
        }
        if known.len() < SESSIONS_MAX {
            known.insert(key, what);
        }
    }
}

async fn look_up(store: &Store, bearer: &Principal) -> Result<Result<Vec<Role>, Standing>, StoreError> {
    let Some(user) = users::find(store, bearer.user_id).await? else { return Ok(Err(Standing::Ended)) };
    if user.blocked_at.is_some() {
        return Ok(Err(Standing::Blocked));
    }
    // a session that is not in our own form has no refresh tokens, and ends with its access token
    let ended = match Uuid::parse_str(&bearer.session) {
        Ok(family) => refresh_tokens::has_ended(store, family).await?,
        Err(_) => false,
    };
    Ok(if ended { Err(Standing::Ended) } else { Ok(user.roles) })
}

fn same(one: &[Role], other: &[Role]) -> bool {
    one.iter().all(|role| other.contains(role)) && other.iter().all(|role| one.contains(role))
}
