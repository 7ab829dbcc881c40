//! How many subscribers each channel has, on all nodes together.
//!
//! A node counts its own, and tells the others over the change log: changes of the last moment in one entry of the
//! topic [`TOPIC`], or an empty one as a sign of life. Every node applies the entries in the log's order, so all agree on
//! which change was a channel's first subscriber, and the node that wrote it tells the back end. A node that was silent
//! for too long is forgotten, with its subscribers; one that is new asks the others to tell all they have.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard};

use domain::{Timestamp, Topic};
use serde::{Deserialize, Serialize};

/// Channels in one entry.
const ENTRY_CHANNELS_MAX: usize = 500;
/// Where the counts are told.
const TOPIC: &str = "$pusher";

/// A channel of an application: the application's id and the channel's name.
pub(crate) type ChannelKey = (String, String);

/// The counts, as this node knows them.
#[derive(Debug)]
pub(crate) struct Counts {
    node: String,
    own: Mutex<Own>,
    all: Mutex<All>,
}

#[derive(Debug, Default)]
struct Own {
    counts: HashMap<ChannelKey, u64>,
    changed: BTreeSet<ChannelKey>,
    greeted: bool,
}

#[derive(Debug, Default)]
struct All {
    channels: HashMap<ChannelKey, BTreeMap<String, u64>>,
    /// When each node was last heard.
    heard: BTreeMap<String, Timestamp>,
}

/// What an entry says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename = "pusher.counts")]
struct Entry {
    node: String,
    /// Whether the node is new and wants to hear from the others.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    hello: bool,
    /// Subscribers of the channels that have changed.
    channels: Vec<(String, String, u64)>,
}

/// A change of a channel's count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    /// Which channel.
    pub(crate) channel: ChannelKey,
    /// Before.
    pub(crate) before: u64,
    /// Now.
    pub(crate) after: u64,
    /// Whether it is for this node to tell back ends.
    pub(crate) ours: bool,
}

impl Counts {
    /// Of a node without subscribers.
    pub(super) fn new(node: &str) -> Self {
        Self { node: node.to_owned(), own: Mutex::default(), all: Mutex::default() }
    }

    /// The topic that carries the counts.
    pub(crate) fn topic() -> Topic {
        Topic::new(TOPIC).expect("it is a valid name")
    }

    /// One more subscriber here.
    pub(crate) fn enter(&self, app: &str, channel: &str) {
        let mut own = self.own();
        let key = (app.to_owned(), channel.to_owned());
        *own.counts.entry(key.clone()).or_insert(0) += 1;
        own.changed.insert(key);
    }

    /// One subscriber here less.
    pub(crate) fn leave(&self, app: &str, channel: &str) {
        let mut own = self.own();
        let key = (app.to_owned(), channel.to_owned());
        if let Some(count) = own.counts.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                own.counts.remove(&key);
            }
            own.changed.insert(key);
        }
    }

    /// What has changed here since the last call, as payloads of entries. `alive`: also when nothing has.
    pub(crate) fn take_entries(&self, alive: bool) -> Vec<Vec<u8>> {
        let mut own = self.own();
        let hello = !std::mem::replace(&mut own.greeted, true);
        let changed: Vec<ChannelKey> = std::mem::take(&mut own.changed).into_iter().collect();
        let mut chunks: Vec<&[ChannelKey]> = changed.chunks(ENTRY_CHANNELS_MAX).collect();
        if chunks.is_empty() && (alive || hello) {
            chunks.push(&[]);
        }
        let entry = |(index, chunk): (usize, &&[ChannelKey])| {
            let count = |key: &ChannelKey| own.counts.get(key).copied().unwrap_or(0);
            let channels = chunk.iter().map(|key| (key.0.clone(), key.1.clone(), count(key))).collect();
            let entry = Entry { node: self.node.clone(), hello: hello && index == 0, channels };
            serde_json::to_vec(&entry).expect("it consists of text and numbers")
        };
        chunks.iter().enumerate().map(entry).collect()
    }

    /// What could not be told has to be told again.
    pub(crate) fn put_back(&self, payload: &[u8]) {
        let Ok(entry) = serde_json::from_slice::<Entry>(payload) else { return };
        let mut own = self.own();
        own.greeted &= !entry.hello;
        own.changed.extend(entry.channels.into_iter().map(|(app, channel, _)| (app, channel)));
    }

    /// Takes an entry of the log, written at `at`; gives what it changes.
    pub(crate) fn apply(&self, payload: &[u8], at: Timestamp) -> Vec<Change> {
        let Ok(entry) = serde_json::from_slice::<Entry>(payload) else { return Vec::new() };
        let ours = entry.node == self.node;
        if entry.hello && !ours {
            let mut own = self.own();
            let all: Vec<_> = own.counts.keys().cloned().collect();
            own.changed.extend(all);
        }
        let mut all = self.all();
        all.heard.insert(entry.node.clone(), at);
        let changes = entry.channels.into_iter().map(|(app, channel, count)| {
            let channel = (app, channel);
            let (before, after) = all.set(&channel, &entry.node, count);
            Change { channel, before, after, ours }
        });
        changes.filter(|change| change.before != change.after).collect()
    }

    /// Forgets the nodes that were last heard before `since`; gives what that changes. The first of the nodes that are
    /// left tells back ends.
    pub(crate) fn expire(&self, since: Timestamp) -> Vec<Change> {
        let mut all = self.all();
        let silent = |(node, heard): (&String, &Timestamp)| {
            (*heard < since && *node != self.node).then(|| node.clone())
        };
        let gone: HashSet<String> = all.heard.iter().filter_map(silent).collect();
        if gone.is_empty() {
            return Vec::new();
        }
        all.heard.retain(|node, _| !gone.contains(node));
        let ours = all.heard.keys().next().is_none_or(|first| *first == self.node);
        let channels: Vec<ChannelKey> = all.channels.keys().cloned().collect();
        let mut changes = Vec::new();
        for channel in channels {
            let before = all.count(&channel);
            let mut after = before;
            for node in &gone {
                after = all.set(&channel, node, 0).1;
            }
            if after != before {
                changes.push(Change { channel, before, after, ours });
            }
        }
        changes
    }

    /// Subscribers of a channel: ours as they are now, those of the other nodes as they were told last.
    pub(crate) fn count(&self, app: &str, channel: &str) -> u64 {
        let key = (app.to_owned(), channel.to_owned());
        let ours = self.own().counts.get(&key).copied().unwrap_or(0);
        let all = self.all();
        let nodes = all.channels.get(&key).into_iter().flatten();
        ours + nodes.filter(|(node, _)| **node != self.node).map(|(_, count)| count).sum::<u64>()
    }

    /// The channels of an application that have subscribers, in the order of their names.
    pub(crate) fn occupied(&self, app: &str, prefix: &str) -> BTreeSet<String> {
        let found = |(of, name): &ChannelKey| (of == app && name.starts_with(prefix)).then(|| name.clone());
        let mut names: BTreeSet<String> = self.own().counts.keys().filter_map(found).collect();
        let all = self.all();
        let elsewhere = |nodes: &BTreeMap<String, u64>| nodes.keys().any(|node| *node != self.node);
        names.extend(
            all.channels.iter().filter(|(_, nodes)| elsewhere(nodes)).filter_map(|(key, _)| found(key)),
        );
        names
    }

    fn own(&self) -> MutexGuard<'_, Own> {
        self.own.lock().expect("no holder of this lock panics")
    }

    fn all(&self) -> MutexGuard<'_, All> {
        self.all.lock().expect("no holder of this lock panics")
    }
}

impl All {
    fn count(&self, channel: &ChannelKey) -> u64 {
        self.channels.get(channel).map_or(0, |nodes| nodes.values().sum())
    }

    /// Sets a node's part of a count; gives the whole before and after.
    fn set(&mut self, channel: &ChannelKey, node: &str, count: u64) -> (u64, u64) {
        let before = self.count(channel);
        let nodes = self.channels.entry(channel.clone()).or_default();
        if count == 0 {
            nodes.remove(node);
        } else {
            nodes.insert(node.to_owned(), count);
        }
        if nodes.is_empty() {
            self.channels.remove(channel);
        }
        (before, self.count(channel))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_microsecond(seconds * 1_000_000).unwrap()
    }

    /// Has every node hear what every node has to say, in one order.
    fn talk(nodes: &[&Counts], now: i64) -> Vec<Vec<Change>> {
        let entries: Vec<_> = nodes.iter().flat_map(|node| node.take_entries(true)).collect();
        let hear = |node: &&Counts| entries.iter().flat_map(|entry| node.apply(entry, at(now))).collect();
        nodes.iter().map(hear).collect()
    }

    fn shown(changes: &[Change]) -> Vec<String> {
        let show = |one: &Change| format!("{} {}>{} {}", one.channel.1, one.before, one.after, one.ours);
        changes.iter().map(show).collect()
    }

    #[test]
    fn all_nodes_agree_and_one_tells() {
        let (one, two) = (Counts::new("1"), Counts::new("2"));
        one.enter("a", "x");
        two.enter("a", "x");
        let changes = talk(&[&one, &two], 1);
        assert_eq!(shown(&changes[0]), ["x 0>1 true", "x 1>2 false"]);
        assert_eq!(shown(&changes[1]), ["x 0>1 false", "x 1>2 true"]);
        one.leave("a", "x");
        two.leave("a", "x");
        talk(&[&one, &two], 2);
        assert_eq!((one.count("a", "x"), two.occupied("a", "").len()), (0, 0));
        one.leave("a", "x"); // who never was there changes nothing
        assert!(one.take_entries(false).is_empty());
    }

    #[test]
    fn who_is_new_hears_everything() {
        let (one, two) = (Counts::new("1"), Counts::new("2"));
        one.enter("a", "x");
        talk(&[&one], 1);
        talk(&[&one, &two], 2); // the other says hello
        talk(&[&one, &two], 3);
        assert_eq!((two.occupied("a", "x").len(), two.count("a", "x")), (1, 1));
        assert!(two.occupied("b", "").is_empty() && two.occupied("a", "y").is_empty());
    }

    #[test]
    fn who_is_silent_is_forgotten() {
        let (one, two) = (Counts::new("1"), Counts::new("2"));
        two.enter("a", "x");
        talk(&[&one, &two], 1);
        talk(&[&one], 10);
        assert_eq!(shown(&one.expire(at(1))), [""; 0]);
        assert_eq!(shown(&one.expire(at(2))), ["x 1>0 true"]);
        assert_eq!(shown(&one.expire(at(2))), [""; 0]);
    }

    #[test]
    fn what_could_not_be_told_is_told_again() {
        let counts = Counts::new("1");
        counts.enter("a", "x");
        let entries = counts.take_entries(false);
        counts.put_back(&entries[0]);
        assert_eq!(counts.take_entries(false), entries);
        assert!(counts.take_entries(false).is_empty() && counts.take_entries(true).len() == 1);
        counts.put_back(b"nonsense");
        assert!(counts.apply(b"nonsense", at(1)).is_empty());
    }
}
