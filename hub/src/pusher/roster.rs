//! Who is in which presence channel.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard};

use domain::Topic;

/// The members of every presence channel of this node, by topic.
#[derive(Debug, Default)]
pub(crate) struct Roster(Mutex<HashMap<Topic, BTreeMap<String, Present>>>);

#[derive(Debug)]
struct Present {
    info: Option<String>,
    connections: u32,
}

/// A member of a presence channel: id, and what others see.
pub(crate) type Listed = (String, Option<String>);

/// What became of a member that wanted to join.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Joined {
    /// It is there for the first time.
    First,
    /// It was there with another connection.
    Again,
    /// There are too many.
    Full,
}

impl Roster {
    /// One more connection of a member.
    pub(crate) fn join(&self, topic: &Topic, user: &str, info: Option<&str>, members_max: usize) -> Joined {
        let mut topics = self.lock();
        let members = topics.entry(topic.clone()).or_default();
        if let Some(present) = members.get_mut(user) {
            present.connections += 1;
            return Joined::Again;
        }
        if members.len() >= members_max {
            return Joined::Full;
        }
        members.insert(user.to_owned(), Present { info: info.map(str::to_owned), connections: 1 });
        Joined::First
    }

    /// One connection of a member less; whether it was the last.
    pub(crate) fn leave(&self, topic: &Topic, user: &str) -> bool {
        let mut topics = self.lock();
        let Some(members) = topics.get_mut(topic) else { return false };
        let Some(present) = members.get_mut(user) else { return false };
        present.connections -= 1;
        if present.connections > 0 {
            return false;
        }
        members.remove(user);
        if members.is_empty() {
            topics.remove(topic);
        }
        true
    }

    /// Everybody in a topic, in the order of their ids.
    pub(crate) fn members(&self, topic: &Topic) -> Vec<Listed> {
        let topics = self.lock();
        let members = topics.get(topic).into_iter().flatten();
        members.map(|(user, present)| (user.clone(), present.info.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Topic, BTreeMap<String, Present>>> {
        self.0.lock().expect("no holder of this lock panics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_counted_by_user() {
        let (roster, topic) = (Roster::default(), Topic::festival());
        assert_eq!(roster.join(&topic, "1", Some("{}"), 2), Joined::First);
        assert_eq!(roster.join(&topic, "1", None, 2), Joined::Again);
        assert_eq!(roster.join(&topic, "2", None, 2), Joined::First);
        assert_eq!(roster.join(&topic, "3", None, 2), Joined::Full);
        assert_eq!(roster.members(&topic), [("1".into(), Some("{}".into())), ("2".into(), None)]);
        assert!(!roster.leave(&topic, "1") && roster.leave(&topic, "1") && !roster.leave(&topic, "1"));
        assert!(roster.leave(&topic, "2") && roster.members(&topic).is_empty());
    }
}
