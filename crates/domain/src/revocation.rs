//! Revocations: sessions that end before their access tokens do.
//!
//! The API writes them with the rows they follow from; the change log takes them to every node in the topic
//! [`Topic::control`](crate::Topic::control), where open sockets are closed and tokens issued before are refused.

use serde::{Deserialize, Serialize};

use crate::{Timestamp, UserId};

/// What has ended, as the control topic tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum Revocation {
    /// One session: somebody signed out, or a refresh token was copied.
    #[serde(rename = "session.revoked")]
    Session {
        /// Its id, the `sid` of its access tokens.
        session: String,
        /// Whose it is.
        user_id: UserId,
    },
    /// Every session of a user that began before.
    #[serde(rename = "user.revoked")]
    User {
        /// Whose.
        user_id: UserId,
        /// Why.
        reason: RevocationReason,
        /// The session that goes on: who changes their own password stays where they are.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        except: Option<String>,
    },
}

/// Why every session of a user is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RevocationReason {
    /// They signed out everywhere.
    SignedOut,
    /// Their password is another.
    Password,
    /// They are blocked.
    Blocked,
    /// They have other roles: the sessions go on, with new access tokens.
    Roles,
}

/// Whose token is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bearer<'a> {
    /// The user.
    pub user_id: UserId,
    /// Their session.
    pub session: &'a str,
    /// When the token was issued, seconds since 1970.
    pub issued_at: i64,
}

/// What a revocation means for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Nothing.
    Good,
    /// It is out of date: its bearer may have another, which says how things are now.
    Renew,
    /// Its session has ended.
    Ended,
}

impl Revocation {
    /// The word in `type`.
    pub fn message_type(&self) -> &'static str {
        match self {
            Self::Session { .. } => "session.revoked",
            Self::User { .. } => "user.revoked",
        }
    }

    /// Whose sessions are concerned.
    pub fn user_id(&self) -> UserId {
        match self {
            Self::Session { user_id, .. } | Self::User { user_id, .. } => *user_id,
        }
    }

    /// Where a token stands after this revocation of instant `at`.
    ///
    /// Tokens name the second in which they were issued. One of the very second of the revocation may have been issued
    /// before or after it, so its bearer is asked for another: the API does not give one to whom it has signed out.
    pub fn standing(&self, at: Timestamp, bearer: Bearer<'_>) -> Standing {
        let (user_id, reason, except) = match self {
            Self::Session { session, user_id } => {
                let ended = session == bearer.session && *user_id == bearer.user_id;
                return if ended { Standing::Ended } else { Standing::Good };
            }
            Self::User { user_id, reason, except } => (user_id, reason, except),
        };
        let concerned = *user_id == bearer.user_id && except.as_deref() != Some(bearer.session);
        if !concerned || bearer.issued_at > at.as_second() {
            Standing::Good
        } else if bearer.issued_at == at.as_second() || *reason == RevocationReason::Roles {
            Standing::Renew
        } else {
            Standing::Ended
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(reason: RevocationReason, except: Option<&str>) -> Revocation {
        Revocation::User { user_id: UserId(4), reason, except: except.map(str::to_owned) }
    }

    #[test]
    fn what_was_issued_before_is_ended_or_renewed() {
        let at: Timestamp = "2026-07-15T12:00:00.5Z".parse().unwrap();
        let standing = |revocation: &Revocation, session, ahead| {
            let issued_at = at.as_second() + ahead;
            revocation.standing(at, Bearer { user_id: UserId(4), session, issued_at })
        };
        let session = Revocation::Session { session: "a".to_owned(), user_id: UserId(4) };
        assert_eq!(standing(&session, "a", 5), Standing::Ended, "a session does not begin again");
        assert_eq!(standing(&session, "b", -5), Standing::Good);
        for reason in [RevocationReason::SignedOut, RevocationReason::Password, RevocationReason::Blocked] {
            assert_eq!(standing(&user(reason, None), "a", -1), Standing::Ended);
            assert_eq!(standing(&user(reason, None), "a", 0), Standing::Renew, "before or after: unknown");
            assert_eq!(standing(&user(reason, None), "a", 1), Standing::Good, "they have signed in again");
            assert_eq!(standing(&user(reason, Some("a")), "a", -1), Standing::Good);
            assert_eq!(standing(&user(reason, Some("b")), "a", -1), Standing::Ended);
        }
        assert_eq!(standing(&user(RevocationReason::Roles, None), "a", -100), Standing::Renew);
        let other = Bearer { user_id: UserId(5), session: "a", issued_at: 0 };
        assert_eq!(user(RevocationReason::Blocked, None).standing(at, other), Standing::Good);
    }

    #[test]
    fn the_form_is_the_one_that_nodes_agree_on() {
        let text = serde_json::to_value(user(RevocationReason::SignedOut, None)).unwrap();
        assert_eq!(text, serde_json::json!({"type": "user.revoked", "user_id": 4, "reason": "signed_out"}));
        let text =
            r#"{"type":"session.revoked","id":"x","at":"2026-07-15T12:00:00Z","session":"a","user_id":4}"#;
        let read: Revocation = serde_json::from_str(text).unwrap();
        assert_eq!(read, Revocation::Session { session: "a".to_owned(), user_id: UserId(4) });
    }
}
