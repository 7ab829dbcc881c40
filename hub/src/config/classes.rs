//! `[hub.classes]`: what may be done with the topics of each class, and what is kept of them.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use service::Faults;

/// The highest priority of a class.
pub(crate) const PRIORITY_MAX: u8 = 9;

/// The class of names without a `:` that no other class has.
pub(crate) const DEFAULT: &str = "default";

/// The classes of topics by name, which is the part of a topic's name before the first `:`. `festival`, `venue`, `event`,
/// `user` and `staff` are always there; `default` is for names without a `:`. A section given in part keeps the rest of
/// the class's own defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classes(pub(crate) BTreeMap<String, Class>);

#[expect(clippy::struct_excessive_bools, reason = "each is offered or not, apart from the others")]
/// What holds for the topics of one class: `[hub.classes.<name>]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Class {
    /// Publications of a topic that are kept in memory, at most `hub.history.publications_max`; 0: none, there is no
    /// history and nobody recovers. 0 to 100,000. Too low: short absences cannot be recovered. Too high: memory.
    pub history_size: u32,
    /// Their age, in milliseconds, at most `hub.history.age_ms_max`. 1,000 to 604,800,000. Too low: a short tunnel is too
    /// long. Too high: clients are brought up to date with what nobody needs.
    pub history_ttl_ms: u64,
    /// Whether subscribers that come back get what they missed: `off`, `asked` (who wishes it), `forced` (all).
    pub recovery: Offer,
    /// Whether they get only the latest publication instead of all: for topics that carry a state, not events.
    pub cache: bool,
    /// Whether subscribers know their position: `off`, `asked`, `forced`. Who can recover knows it anyway.
    pub positioned: Offer,
    /// Whether it is known who follows a topic.
    pub presence: bool,
    /// Whether subscribers are told who comes and goes: `off`, `asked`, `forced`.
    pub join_leave: Offer,
    /// Whether subscribers that ask for it get the difference to the publication before instead of the whole.
    pub delta: bool,
    /// Whether subscribers may ask for some publications only, by their tags.
    pub filter: bool,
    /// Who may subscribe without a subscription token: `nobody` (not with one either), `token`, `owner` (whose id follows
    /// the `:`), `staff`, `user` (whoever has signed in), `anyone`.
    pub subscribe: Who,
    /// Who may publish from a socket: `nobody`, `subscriber` (of the topic), `follower` (who may subscribe), or as above.
    pub publish: Who,
    /// Who may read the history: as with `publish`.
    pub read_history: Who,
    /// Who may ask who is there: as with `publish`.
    pub read_presence: Who,
    /// Which topics a slow client keeps longest: those with the highest number. 0 to 9. In topics of 9 every publication
    /// overtakes what waits of other topics, as emergencies do in any topic.
    pub priority: u8,
}

/// Whether something is given to subscribers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Offer {
    /// To none.
    Off,
    /// To those who wish it.
    Asked,
    /// To all.
    Forced,
}

/// Who may do something in a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// No client at all.
    Nobody,
    /// Whoever shows a token for this topic.
    Token,
    /// Whoever subscribes to the topic now.
    Subscriber,
    /// Whoever may subscribe to the topic.
    Follower,
    /// The user whose id follows the `:` of the topic's name.
    Owner,
    /// Whoever may watch staff topics.
    Staff,
    /// Whoever has signed in.
    User,
    /// Whoever has connected.
    Anyone,
}

impl Offer {
    /// Whether somebody gets it who wishes it or not.
    pub(crate) fn grants(self, wished: bool) -> bool {
        match self {
            Self::Off => false,
            Self::Asked => wished,
            Self::Forced => true,
        }
    }
}

impl Class {
    /// As the programme of the festival, which everybody may follow.
    pub(crate) const DEFAULT: Self = Self {
        history_size: 1_000,
        history_ttl_ms: 86_400_000,
        recovery: Offer::Forced,
        cache: false,
        positioned: Offer::Forced,
        presence: false,
        join_leave: Offer::Off,
        delta: true,
        filter: true,
        subscribe: Who::Anyone,
        publish: Who::Nobody,
        read_history: Who::Follower,
        read_presence: Who::Nobody,
        priority: 5,
    };
}

impl Default for Class {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Default for Classes {
    fn default() -> Self {
        let class = |subscribe, priority| Class { subscribe, priority, ..Class::default() };
        let all = [
            ("festival", class(Who::Anyone, 9)),
            ("venue", class(Who::Anyone, 5)),
            ("event", class(Who::Anyone, 5)),
            ("user", class(Who::Owner, 8)),
            ("staff", class(Who::Staff, 7)),
        ];
        Self(all.into_iter().map(|(name, class)| (name.to_owned(), class)).collect())
    }
}

impl<'de> Deserialize<'de> for Classes {
    fn deserialize<D: Deserializer<'de>>(sections: D) -> Result<Self, D::Error> {
        let Self(mut classes) = Self::default();
        for (name, written) in BTreeMap::<String, Map<String, Value>>::deserialize(sections)? {
            let base = classes.remove(&name).unwrap_or_default();
            let Ok(Value::Object(mut fields)) = serde_json::to_value(base) else {
                return Err(D::Error::custom("a class is an object"));
            };
            fields.extend(written);
            let class = Class::deserialize(Value::Object(fields))
                .map_err(|error| D::Error::custom(format!("{name}: {error}")))?;
            classes.insert(name, class);
        }
        Ok(Self(classes))
    }
}

impl Classes {
    pub(super) fn check(&self, faults: &mut Faults) {
        for (name, class) in &self.0 {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
            if name.is_empty() || !name.bytes().all(plain) {
                faults.add(name, "a class is named with letters, digits, `-`, `_` and `.`");
            }
            class.check(name, faults);
        }
    }
}

impl Class {
    fn check(&self, name: &str, faults: &mut Faults) {
        let field = |field: &str| format!("{name}.{field}");
        faults.range(&field("history_size"), self.history_size, 0..=100_000);
        faults.range(&field("history_ttl_ms"), self.history_ttl_ms, 1_000..=604_800_000);
        faults.range(&field("priority"), self.priority, 0..=PRIORITY_MAX);
        if matches!(self.subscribe, Who::Subscriber | Who::Follower) {
            faults.add(&field("subscribe"), "must be nobody, token, owner, staff, user or anyone");
        }
        let others = [
            ("publish", self.publish),
            ("read_history", self.read_history),
            ("read_presence", self.read_presence),
        ];
        for (name, who) in others {
            if who == Who::Token {
                faults.add(&field(name), "a token lets subscribe: write subscriber for those who have");
            }
        }
        if self.delta && self.recovery == Offer::Off && self.positioned == Offer::Off {
            faults.add(&field("delta"), "needs subscribers that know their position: see positioned");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_given_in_part_keeps_the_defaults_of_its_own_class() {
        let text = r#"{"staff":{"history_size":5},"chat":{"publish":"subscriber"},"default":{}}"#;
        let Classes(classes) = serde_json::from_str(text).unwrap();
        assert_eq!(
            classes["staff"],
            Class { history_size: 5, subscribe: Who::Staff, priority: 7, ..Class::default() }
        );
        assert_eq!(classes["chat"], Class { publish: Who::Subscriber, ..Class::default() });
        assert_eq!((&classes[DEFAULT], classes.len()), (&Class::default(), 7));
    }

    #[test]
    fn what_makes_no_sense_is_a_fault() {
        for wrong in [r#"{"chat":true}"#, r#"{"chat":{"histroy_size":1}}"#, r#"{"chat":{"publish":"all"}}"#] {
            assert!(serde_json::from_str::<Classes>(wrong).is_err(), "{wrong}");
        }
        let text = r#"{"a b":{}, "chat":{"history_size":100001,"history_ttl_ms":1,"priority":10,"subscribe":"follower",
            "publish":"token","recovery":"off","positioned":"off"}}"#;
        let classes: Classes = serde_json::from_str(text).unwrap();
        let mut faults = Faults::default();
        classes.check(&mut faults);
        let fields: Vec<_> = faults.list().iter().map(|fault| fault.field.as_str()).collect();
        let expected = ["history_size", "history_ttl_ms", "priority", "subscribe", "publish", "delta"];
        assert_eq!(
            fields,
            [&["a b".to_owned()][..], &expected.map(|field| format!("chat.{field}"))].concat()
        );
    }
}
