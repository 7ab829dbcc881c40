//! Topics: what a socket subscribes to.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{EventId, UserId, VenueId};

/// The name of a topic: printable ASCII without spaces, at most [`Topic::LENGTH_MAX`] bytes.
///
/// `festival`, `venue:5`, `event:17`, `user:42` and `staff:gate-3` have a meaning of their own ([`TopicKind`]);
/// any other name is a topic that an application uses as it likes, where the configuration allows it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Topic(Box<str>);

/// What a topic is about, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicKind<'a> {
    /// Everything public about the festival.
    Festival,
    /// The timetable and messages of one venue.
    Venue(VenueId),
    /// One item of the programme.
    Event(EventId),
    /// What concerns one person; only that person may subscribe.
    User(UserId),
    /// For staff; the part after the colon names a gate, a board or a page.
    Staff(&'a str),
    /// What the nodes of an installation tell each other (the name begins with `$`): nobody follows it, and nobody from
    /// outside publishes to it.
    Reserved,
    /// Of an application's own.
    Other,
}

/// A name that cannot be a topic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// No characters.
    #[error("a topic has at least one character")]
    Empty,
    /// Too long.
    #[error("a topic has at most 255 bytes, this one has {0}")]
    TooLong(usize),
    /// A space, a control character, or not ASCII.
    #[error("a topic consists of printable ASCII without spaces")]
    Character,
}

impl Topic {
    /// Bytes in the longest name.
    pub const LENGTH_MAX: usize = 255;

    /// Checks and takes a name.
    ///
    /// # Errors
    /// [`TopicError`] says which rule the name breaks.
    pub fn new(name: impl Into<String>) -> Result<Self, TopicError> {
        let name = name.into();
        match name.len() {
            0 => Err(TopicError::Empty),
            length if length > Self::LENGTH_MAX => Err(TopicError::TooLong(length)),
            _ if !name.bytes().all(|byte| byte.is_ascii_graphic()) => Err(TopicError::Character),
            _ => Ok(Self(name.into_boxed_str())),
        }
    }

    /// The topic of the whole festival.
    pub fn festival() -> Self {
        Self("festival".into())
    }

    /// The topic of a venue.
    pub fn venue(id: VenueId) -> Self {
        Self(format!("venue:{id}").into())
    }

    /// The topic of an event.
    pub fn event(id: EventId) -> Self {
        Self(format!("event:{id}").into())
    }

    /// The topic of one person.
    pub fn user(id: UserId) -> Self {
        Self(format!("user:{id}").into())
    }

    /// What concerns every node: revocations, and commands about sessions.
    pub fn control() -> Self {
        Self("$control".into())
    }

    /// A topic for staff. `name` must itself be valid in a topic.
    ///
    /// # Errors
    /// [`TopicError`] when the whole name breaks a rule.
    pub fn staff(name: &str) -> Result<Self, TopicError> {
        Self::new(format!("staff:{name}"))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the name says the topic is about.
    pub fn kind(&self) -> TopicKind<'_> {
        let id = |text: &str| text.parse::<i64>().ok().filter(|id| *id > 0 && id.to_string() == text);
        match self.0.split_once(':') {
            _ if self.0.starts_with('$') => TopicKind::Reserved,
            None if &*self.0 == "festival" => TopicKind::Festival,
            Some(("venue", rest)) => id(rest).map_or(TopicKind::Other, |id| TopicKind::Venue(VenueId(id))),
            Some(("event", rest)) => id(rest).map_or(TopicKind::Other, |id| TopicKind::Event(EventId(id))),
            Some(("user", rest)) => id(rest).map_or(TopicKind::Other, |id| TopicKind::User(UserId(id))),
            Some(("staff", rest)) if !rest.is_empty() => TopicKind::Staff(rest),
            _ => TopicKind::Other,
        }
    }

    /// Whether the name says that listening needs a token for this very topic: after the class, if any, it begins with
    /// `private-`, `presence-` or `#`.
    pub fn is_guarded(&self) -> bool {
        let name = self.0.split_once(':').map_or(&*self.0, |(_, rest)| rest);
        ["private-", "presence-", "#"].iter().any(|prefix| name.starts_with(prefix))
    }

    /// A hash of the name that is the same on every machine, version and run (FNV-1a, 64 bit): it decides the
    /// partition of the topic in the change log.
    pub fn stable_hash(&self) -> u64 {
        self.0.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Topic {
    type Err = TopicError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::new(name)
    }
}

impl TryFrom<String> for Topic {
    type Error = TopicError;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::new(name)
    }
}

impl From<Topic> for String {
    fn from(topic: Topic) -> Self {
        topic.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_meanings() {
        let kind = |name: &str| format!("{:?}", Topic::new(name).unwrap().kind());
        assert_eq!(kind("festival"), "Festival");
        assert_eq!(kind("venue:5"), "Venue(VenueId(5))");
        assert_eq!(kind("user:42"), "User(UserId(42))");
        assert_eq!(kind("staff:gate-3"), "Staff(\"gate-3\")");
        for reserved in ["$control", "$node:3", "$", "$user:4"] {
            assert_eq!(kind(reserved), "Reserved", "{reserved}");
        }
        for other in
            ["event:0", "event:-1", "event:07", "event:+7", "user:x", "staff:", "venues:5", "festival:1"]
        {
            assert_eq!(kind(other), "Other", "{other}");
        }
    }

    #[test]
    fn names_may_say_that_a_token_is_needed() {
        let guarded = |name: &str| Topic::new(name).unwrap().is_guarded();
        assert!(guarded("private-x") && guarded("shop:presence-x") && guarded("#server-to-user-7"));
        assert!(
            !guarded("festival") && !guarded("venue:5") && !guarded("privately") && !guarded("private-:x")
        );
    }

    #[test]
    fn bad_names_are_refused_by_rule() {
        assert_eq!(Topic::new(""), Err(TopicError::Empty));
        assert_eq!(Topic::new("x".repeat(256)), Err(TopicError::TooLong(256)));
        for name in ["a b", "a\nb", "مهرجان", "a\u{7f}"] {
            assert_eq!(Topic::new(name), Err(TopicError::Character));
        }
    }

    #[test]
    fn the_partition_hash_never_changes() {
        assert_eq!(Topic::festival().stable_hash(), 4_570_478_579_667_727_797);
    }
}
