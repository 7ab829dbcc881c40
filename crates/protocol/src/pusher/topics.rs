//! How channels of Pusher and our topics belong together (ADR 0009).
//!
//! Pusher's names have no colon, ours no prefix that says who may listen. So a channel whose name, after its prefix,
//! is that of a *shared* class and a dot (`venue.5`, `private-user.42`, `presence-staff.gate-3`) is the topic with a
//! colon in the dot's place (`venue:5`, `user:42`, `staff:gate-3`), whatever its prefix: what is published there once
//! is heard by subscribers of every dialect. Any other channel is the application's own: a topic of the
//! application's class that is named like the channel, prefix and all.

use domain::Topic;

use super::{Channel, Prefix};

/// The class without a name before a colon.
pub const DEFAULT_CLASS: &str = "default";
/// The class with the topics of persons.
const USER_CLASS: &str = "user";
/// The topic, and class, of the whole festival.
const FESTIVAL: &str = "festival";

/// The rules of one application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    shared: Vec<String>,
    own: String,
}

/// Which topic a channel is, and how the channel's name comes from the topic's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapped {
    /// The topic.
    pub topic: Topic,
    /// How to name it.
    pub form: Form,
}

/// How a topic is named as a channel. A publication is framed once for each form that somebody uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// A topic of the application's own: the channel's whole name, after the class.
    Own,
    /// A topic that other dialects and applications know too, under this prefix.
    Shared(Prefix),
}

impl Names {
    /// `shared`: classes whose topics the application's channels reach; `own`: the class of its other channels.
    pub fn new(shared: Vec<String>, own: &str) -> Self {
        Self { shared, own: own.to_owned() }
    }

    /// The topic of a channel; `None` when its name would be too long for a topic, or is the festival's, which this
    /// application does not share.
    pub fn topic(&self, channel: Channel<'_>) -> Option<Mapped> {
        if let Some(name) = self.shared_name(channel) {
            let form = Form::Shared(channel.prefix());
            return Topic::new(name).ok().map(|topic| Mapped { topic, form });
        }
        let topic = match self.own.as_str() {
            DEFAULT_CLASS if channel.name() == FESTIVAL => return None,
            DEFAULT_CLASS => Topic::new(channel.name()),
            own => Topic::new(format!("{own}:{}", channel.name())),
        };
        topic.ok().map(|topic| Mapped { topic, form: Form::Own })
    }

    fn shared_name(&self, channel: Channel<'_>) -> Option<String> {
        let shares = |class: &str| self.shared.iter().any(|shared| shared == class);
        match channel.prefix() {
            // what only clients can read means nothing to subscribers of other dialects
            Prefix::Encrypted | Prefix::EncryptedCache => None,
            Prefix::User => shares(USER_CLASS).then(|| format!("{USER_CLASS}:{}", channel.base())),
            _ if channel.base() == FESTIVAL => shares(FESTIVAL).then(|| FESTIVAL.to_owned()),
            _ => match channel.base().split_once('.') {
                Some((class, rest)) if !rest.is_empty() && shares(class) => Some(format!("{class}:{rest}")),
                _ => None,
            },
        }
    }
}

impl Form {
    /// How many forms there are.
    pub const COUNT: usize = Prefix::ALL.len() + 1;

    /// A number below [`Form::COUNT`], for tables.
    pub fn index(self) -> usize {
        match self {
            Self::Own => 0,
            Self::Shared(prefix) => prefix.index() + 1,
        }
    }

    /// The name of the channel: the reverse of [`Names::topic`].
    pub fn channel_name(self, topic: &Topic) -> String {
        let name = topic.as_str();
        match self {
            // channels have no colon, so what stands before one is the class
            Self::Own => name.split_once(':').map_or(name, |(_, own)| own).to_owned(),
            Self::Shared(Prefix::User) => {
                let user = name.split_once(':').map_or(name, |(_, user)| user);
                format!("{}{user}", Prefix::User.as_str())
            }
            Self::Shared(prefix) => format!("{}{}", prefix.as_str(), name.replacen(':', ".", 1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(own: &str) -> Names {
        Names::new(["festival", "venue", "event", "user", "staff"].map(str::to_owned).to_vec(), own)
    }

    #[test]
    fn channels_of_shared_classes_are_our_topics() {
        let table = [
            ("festival", "festival", Form::Shared(Prefix::Public)),
            ("venue.5", "venue:5", Form::Shared(Prefix::Public)),
            ("cache-event.17", "event:17", Form::Shared(Prefix::Cache)),
            ("private-user.42", "user:42", Form::Shared(Prefix::Private)),
            ("private-staff.gate-3", "staff:gate-3", Form::Shared(Prefix::Private)),
            ("presence-staff.gate.3", "staff:gate.3", Form::Shared(Prefix::Presence)),
            ("#server-to-user-42", "user:42", Form::Shared(Prefix::User)),
            ("venues.5", "venues.5", Form::Own),
            ("venue.", "venue.", Form::Own),
            ("venue", "venue", Form::Own),
            ("private-orders.5", "private-orders.5", Form::Own),
            ("presence-gate.3", "presence-gate.3", Form::Own),
            ("private-encrypted-venue.5", "private-encrypted-venue.5", Form::Own),
        ];
        for (name, topic, form) in table {
            let mapped = names("default").topic(Channel::parse(name, 200).unwrap()).unwrap();
            assert_eq!((mapped.topic.as_str(), mapped.form), (topic, form), "{name}");
            assert_eq!(mapped.form.channel_name(&mapped.topic), name);
        }
    }

    #[test]
    fn an_application_may_have_a_class_of_its_own() {
        let mapped = names("shop").topic(Channel::parse("private-orders.5", 200).unwrap()).unwrap();
        assert_eq!((mapped.topic.as_str(), mapped.form), ("shop:private-orders.5", Form::Own));
        assert_eq!(mapped.form.channel_name(&mapped.topic), "private-orders.5");
        let user = Names::new(Vec::new(), "shop").topic(Channel::parse("#server-to-user-42", 200).unwrap());
        assert_eq!(user.unwrap().topic.as_str(), "shop:#server-to-user-42");
        let festival = Channel::parse("festival", 200).unwrap();
        assert_eq!(Names::new(Vec::new(), "default").topic(festival), None, "it would be everybody's");
        let long = "x".repeat(252);
        assert_eq!(names("shop").topic(Channel::parse(&long, 300).unwrap()), None);
    }

    #[test]
    fn forms_are_numbered() {
        let forms = Prefix::ALL.into_iter().map(Form::Shared);
        let numbers: Vec<_> = std::iter::once(Form::Own).chain(forms).map(Form::index).collect();
        assert_eq!(numbers, (0..Form::COUNT).collect::<Vec<_>>());
    }

    proptest! {
        /// Goal: a channel's name comes back from its topic; two channels of one form are never one topic.
        #[test]
        fn names_come_back(
            prefix in prop::sample::select(Prefix::ALL.to_vec()),
            base in "(venue\\.|user\\.|x\\.|festival)?[a-zA-Z0-9_=@,.;-]{1,20}",
            own in prop::sample::select(vec!["default", "shop"]),
        ) {
            let name = format!("{}{base}", prefix.as_str());
            let mapped = names(own).topic(Channel::parse(&name, 200).unwrap()).unwrap();
            prop_assert_eq!(mapped.form.channel_name(&mapped.topic), name);
        }
    }
}
