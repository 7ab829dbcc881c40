//! Who is in which presence channel, by user: folded from who comes and goes on all nodes, in the log's order.
//!
//! A subscriber's list and what it is told afterwards come from here, so that nobody is told twice of the same member.
//! A member that comes is known to others a moment later, when every node hears of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard};

use domain::{Publisher, Topic};

use super::AppNumber;

/// The members of every topic that tells who comes and goes.
#[derive(Debug, Default)]
pub(crate) struct Roster(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    topics: HashMap<Topic, BTreeMap<String, Present>>,
    /// Of the clients of this node: whose back end is told, and under which name.
    own: HashMap<(Topic, String), Whose>,
}

#[derive(Debug, Default)]
struct Present {
    info: Option<String>,
    clients: BTreeSet<String>,
}

/// In whose channel a client of this node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Whose {
    /// The application.
    pub(crate) app: AppNumber,
    /// The channel's name.
    pub(crate) channel: String,
}

/// A member of a presence channel: id, and what others see.
pub(crate) type Listed = (String, Option<String>);

/// A user has come with their first connection, or gone with their last.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    /// Who, and what others see.
    pub(crate) member: Listed,
    /// Whose back end this node tells.
    pub(crate) told: Option<Whose>,
}

impl Roster {
    /// A client of this node is about to come.
    pub(crate) fn expect(&self, topic: &Topic, client: &str, whose: Whose) {
        self.lock().own.insert((topic.clone(), client.to_owned()), whose);
    }

    /// A client has come, as every node hears; whether its user was not there before.
    pub(crate) fn come(&self, topic: &Topic, who: &Publisher) -> Option<Turn> {
        if who.user.is_empty() {
            return None;
        }
        let info = who.chan_info.as_ref().or(who.conn_info.as_ref()).map(|info| info.get().to_owned());
        let mut inner = self.lock();
        let members = inner.topics.entry(topic.clone()).or_default();
        let present = members.entry(who.user.clone()).or_default();
        let first = present.clients.is_empty();
        present.clients.insert(who.client.clone());
        if !first {
            return None;
        }
        present.info.clone_from(&info);
        let told = inner.own.get(&(topic.clone(), who.client.clone())).cloned();
        Some(Turn { member: (who.user.clone(), info), told })
    }

    /// A client has gone, as every node hears; whether its user is not there any more.
    pub(crate) fn go(&self, topic: &Topic, who: &Publisher) -> Option<Turn> {
        let mut inner = self.lock();
        let told = inner.own.remove(&(topic.clone(), who.client.clone()));
        let members = inner.topics.get_mut(topic)?;
        let present = members.get_mut(&who.user)?;
        if !present.clients.remove(&who.client) || !present.clients.is_empty() {
            return None;
        }
        let info = members.remove(&who.user).and_then(|present| present.info);
        if members.is_empty() {
            inner.topics.remove(topic);
        }
        Some(Turn { member: (who.user.clone(), info), told })
    }

    /// Everybody in a topic, in the order of their ids.
    pub(crate) fn members(&self, topic: &Topic) -> BTreeMap<String, Option<String>> {
        let inner = self.lock();
        let members = inner.topics.get(topic).into_iter().flatten();
        members.map(|(user, present)| (user.clone(), present.info.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("no holder of this lock panics")
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Pusher;
    use crate::pusher::Apps;

    use super::*;

    fn who(user: &str, client: &str) -> Publisher {
        Publisher { user: user.to_owned(), client: client.to_owned(), ..Publisher::default() }
    }

    #[test]
    fn users_come_with_their_first_client_and_go_with_their_last() {
        let (roster, topic) = (Roster::default(), Topic::festival());
        let json = r#"{"apps":{"a":{"key":"k","secret":"0123456789abcdef"}}}"#;
        let apps = Apps::new(&serde_json::from_str::<Pusher>(json).unwrap());
        let whose = Whose { app: apps.by_id("a").unwrap().number, channel: "presence-festival".into() };
        roster.expect(&topic, "1.2", whose.clone());
        let member = ("1".to_owned(), None);
        let first = Turn { member: member.clone(), told: None };
        assert_eq!(roster.come(&topic, &who("1", "1.1")), Some(first), "another node tells of it");
        assert_eq!(roster.come(&topic, &who("1", "1.2")), None);
        assert_eq!(roster.come(&topic, &who("1", "1.2")), None, "twice is once");
        assert_eq!(roster.come(&topic, &who("", "9.9")), None, "nobody in particular is no member");
        assert_eq!(roster.members(&topic).len(), 1);
        assert_eq!(roster.go(&topic, &who("1", "1.1")), None);
        let last = Turn { member, told: Some(whose) };
        assert_eq!(roster.go(&topic, &who("1", "1.2")), Some(last));
        assert_eq!(roster.go(&topic, &who("1", "1.2")), None);
        assert!(roster.members(&topic).is_empty());
    }
}
