//! The clients of this node, and what the other nodes have not been told of them yet.

use std::sync::Arc;

use domain::Topic;
use hashbrown::HashMap;

use super::Member;
use super::entry::{Change, Entry, Kind, pieces};

/// The clients of this node.
#[derive(Debug)]
pub(crate) struct Local {
    topics: HashMap<Topic, HashMap<String, Arc<Member>>>,
    /// What has changed since the last entries, in order.
    changes: Vec<Change>,
    changes_max: usize,
    /// Whether the others are to be told of everybody.
    all: bool,
    /// Whether the changes are too many to be told one by one.
    overflown: bool,
    /// Number of the last entry; 0 before the first.
    number: u64,
}

impl Local {
    pub(super) fn new(changes_max: usize) -> Self {
        Self {
            topics: HashMap::new(),
            changes: Vec::new(),
            changes_max,
            all: false,
            overflown: false,
            number: 0,
        }
    }

    /// A client comes.
    pub(super) fn enter(&mut self, topic: &Topic, member: &Arc<Member>) {
        let members = self.topics.entry(topic.clone()).or_default();
        members.insert(member.info.client.clone(), Arc::clone(member));
        self.note(topic, member, false);
    }

    /// A client goes, unless it has come again since.
    pub(super) fn leave(&mut self, topic: &Topic, member: &Arc<Member>) {
        let client = &member.info.client;
        let Some(members) = self.topics.get_mut(topic) else { return };
        if !members.get(client).is_some_and(|found| Arc::ptr_eq(found, member)) {
            return;
        }
        members.remove(client);
        if members.is_empty() {
            self.topics.remove(topic);
        }
        self.note(topic, member, true);
    }

    fn note(&mut self, topic: &Topic, member: &Arc<Member>, leaves: bool) {
        if self.changes.len() >= self.changes_max {
            (self.overflown, self.all) = (true, true);
            self.changes = Vec::new();
        }
        if !self.overflown {
            self.changes.push(Change { topic: topic.clone(), member: Arc::clone(member), leaves });
        }
    }

    /// The others are to be told of everybody. What waits is told before, so that nobody's coming is left out.
    pub(super) fn tell_all(&mut self) {
        self.all = true;
    }

    /// The clients in a topic.
    pub(super) fn of(&self, topic: &Topic) -> impl Iterator<Item = &Arc<Member>> {
        self.topics.get(topic).into_iter().flat_map(HashMap::values)
    }

    /// How many may be seen in each topic.
    pub(super) fn counts(&self) -> impl Iterator<Item = (&Topic, usize)> {
        self.topics.iter().map(|(topic, members)| (topic, seen(members)))
    }

    /// Places of clients in all topics together.
    pub(super) fn members(&self) -> usize {
        self.topics.values().map(HashMap::len).sum()
    }

    /// What is to be told now. `alive`: at least a sign of life.
    pub(super) fn take_entries(&mut self, wants: Vec<String>, alive: bool, bytes_max: usize) -> Vec<Entry> {
        let mut kinds: Vec<(Kind, Vec<Change>)> = pieces(std::mem::take(&mut self.changes), bytes_max)
            .into_iter()
            .map(|piece| (Kind::Changes, piece))
            .collect();
        self.overflown = false;
        if std::mem::take(&mut self.all) {
            kinds.push((Kind::AllFirst, Vec::new()));
            kinds.extend(pieces(self.everybody(), bytes_max).into_iter().map(|piece| (Kind::AllNext, piece)));
            kinds.push((Kind::AllLast, Vec::new()));
        }
        if kinds.is_empty() && (alive || !wants.is_empty()) {
            kinds.push((Kind::Changes, Vec::new()));
        }
        let mut entries: Vec<Entry> =
            kinds.into_iter().map(|(kind, changes)| self.entry(kind, changes)).collect();
        if let Some(first) = entries.first_mut() {
            first.wants = wants;
        }
        entries
    }

    /// Whether the others have been told anything.
    pub(super) fn is_known(&self) -> bool {
        self.number > 0
    }

    /// The last entry; `None` when there never was one.
    pub(super) fn end(&mut self) -> Option<Entry> {
        self.is_known().then(|| self.entry(Kind::End, Vec::new()))
    }

    fn entry(&mut self, kind: Kind, changes: Vec<Change>) -> Entry {
        self.number += 1;
        Entry { kind, number: self.number, changes, wants: Vec::new() }
    }

    fn everybody(&self) -> Vec<Change> {
        let of_topic = |(topic, members): (&Topic, &HashMap<String, Arc<Member>>)| {
            let change = |member: &Arc<Member>| Change {
                topic: topic.clone(),
                member: Arc::clone(member),
                leaves: false,
            };
            members.values().map(change).collect::<Vec<_>>()
        };
        self.topics.iter().flat_map(of_topic).collect()
    }
}

/// How many of them may be seen.
pub(super) fn seen(members: &HashMap<String, Arc<Member>>) -> usize {
    members.values().filter(|member| member.seen).count()
}
