//! Who somebody is, as their access token says, and which topics they may follow.

use serde::{Deserialize, Serialize};

use crate::{Bearer, Permission, Role, Topic, TopicKind, UserId};

/// The claims of an access token: an EdDSA JWT of type `at+jwt` (RFC 9068), valid for minutes.
///
/// The API signs it; the hub believes it without asking anybody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Issuer: the configured name of this installation.
    pub iss: String,
    /// Audience: the configured name of what the token opens.
    pub aud: String,
    /// The user's id, as text.
    pub sub: String,
    /// The session (refresh token family) that the token belongs to.
    pub sid: String,
    /// Roles of the user when the token was made.
    #[serde(default)]
    pub roles: Vec<Role>,
    /// Issued at, seconds since 1970.
    pub iat: i64,
    /// Expires at, seconds since 1970.
    pub exp: i64,
    /// Topics that the connection is subscribed to without asking, besides its own `user:` topic.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<Topic>,
}

/// Somebody whose token was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Who it is.
    pub user_id: UserId,
    /// What they are.
    pub roles: Vec<Role>,
    /// Their session.
    pub session: String,
    /// When their token was issued, seconds since 1970.
    pub issued_at: i64,
}

impl Principal {
    /// Whose token it was, as revocations see it.
    pub fn bearer(&self) -> Bearer<'_> {
        Bearer { user_id: self.user_id, session: &self.session, issued_at: self.issued_at }
    }

    /// Whether one of the roles gives `permission`.
    pub fn may(&self, permission: Permission) -> bool {
        self.roles.iter().any(|role| role.may(permission))
    }
}

impl Claims {
    /// The principal that the claims describe; `None` when `sub` is not a user id.
    pub fn principal(&self) -> Option<Principal> {
        let user_id = self.sub.parse().ok().filter(|UserId(id)| *id > 0)?;
        let (roles, session) = (self.roles.clone(), self.sid.clone());
        Some(Principal { user_id, roles, session, issued_at: self.iat })
    }
}

/// Whether `who` (`None`: nobody in particular) may follow `topic`.
///
/// The programme is public. A person's topic is that person's alone. `staff:` topics need
/// [`Permission::WatchStaffTopics`]. Topics without a meaning of ours are refused.
pub fn may_subscribe(who: Option<&Principal>, topic: &Topic) -> bool {
    match topic.kind() {
        TopicKind::Festival | TopicKind::Venue(_) | TopicKind::Event(_) => true,
        TopicKind::User(id) => who.is_some_and(|principal| principal.user_id == id),
        TopicKind::Staff(_) => who.is_some_and(|principal| principal.may(Permission::WatchStaffTopics)),
        TopicKind::Reserved | TopicKind::Other => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_open_to_whom_they_concern() {
        let principal = |id, role| Principal {
            user_id: UserId(id),
            roles: vec![role],
            session: String::new(),
            issued_at: 0,
        };
        let (attendee, steward) = (principal(4, Role::Attendee), principal(5, Role::Steward));
        let may = |who, topic: &str| may_subscribe(who, &Topic::new(topic).unwrap());
        assert!(may(None, "festival") && may(None, "venue:1") && may(None, "event:9"));
        assert!(!may(None, "user:4") && may(Some(&attendee), "user:4") && !may(Some(&steward), "user:4"));
        assert!(!may(None, "staff:x") && !may(Some(&attendee), "staff:x") && may(Some(&steward), "staff:x"));
        assert!(!may(Some(&steward), "anything") && !may(Some(&steward), "$control"));
    }
}
