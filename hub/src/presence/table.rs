//! The clients of the other nodes, folded from what these say in the change log.

use std::sync::Arc;

use domain::Topic;
use hashbrown::HashMap;

use super::entry::{Change, Entry, Kind};
use super::local::seen;
use super::{Member, Signal};

/// For so many times the timeout the numbers of a node that has gone are remembered, lest an old entry wake it up.
const GONE_TIMEOUTS: u64 = 10;

type Members = HashMap<Topic, HashMap<String, Arc<Member>>>;

/// The clients of the other nodes.
#[derive(Debug)]
pub(crate) struct Table {
    own: Arc<str>,
    nodes: HashMap<String, Node>,
    /// When an entry of our own was last read, and since when without long breaks: while nothing of our own comes back,
    /// the silence of others says nothing.
    own_heard_ms: u64,
    own_since_ms: u64,
}

#[derive(Debug)]
struct Node {
    /// Number of the last entry; `None` when it is not known any more.
    number: Option<u64>,
    heard_ms: u64,
    /// Whether `members` are known to be all.
    complete: bool,
    /// When it was last asked for all that it has.
    asked_ms: Option<u64>,
    gone: bool,
    members: Members,
    /// All that it has, as far as told.
    arriving: Option<Members>,
}

/// What an entry has changed.
#[derive(Debug, Default)]
pub(crate) struct Folded {
    /// Who comes and goes by it.
    pub(crate) signals: Vec<Signal>,
    /// Whether we are asked for all that we have.
    pub(crate) asked: bool,
    /// Whether something of the node is missing.
    pub(crate) incomplete: bool,
}

impl Table {
    pub(super) fn new(own: &Arc<str>) -> Self {
        Self { own: Arc::clone(own), nodes: HashMap::new(), own_heard_ms: 0, own_since_ms: 0 }
    }

    /// Takes the next entry of a node.
    pub(super) fn fold(&mut self, node: &str, entry: Entry, now_ms: u64) -> Folded {
        if *node == *self.own {
            self.own_heard_ms = now_ms;
            let changes = if entry.kind == Kind::Changes { entry.changes } else { Vec::new() };
            let signal = |change: Change| signal_of(change.topic, change.member, !change.leaves);
            return Folded { signals: changes.into_iter().filter_map(signal).collect(), ..Folded::default() };
        }
        let asked = entry.wants.iter().any(|wanted| **wanted == *self.own);
        let state = self.nodes.entry(node.to_owned()).or_insert_with(|| Node::new(now_ms));
        if state.number.is_some_and(|number| entry.number <= number) {
            return Folded::default(); // it was read before
        }
        if state.gone {
            *state = Node::new(now_ms); // it was only slow
        } else if state.number.is_some_and(|number| entry.number != number + 1) {
            state.doubt();
        }
        // of whom the first word is heard, nothing was missed
        state.complete |= state.number.is_none() && entry.number == 1;
        state.number = Some(entry.number);
        state.heard_ms = now_ms;
        let signals = state.apply(entry);
        Folded { signals, asked, incomplete: !state.complete && !state.gone }
    }

    /// Nodes that are to be asked for all that they have; each again only after `again_ms`.
    pub(super) fn take_wants(&mut self, now_ms: u64, again_ms: u64) -> Vec<String> {
        let due = |state: &Node| {
            !state.gone
                && !state.complete
                && state.asked_ms.is_none_or(|asked_ms| asked_ms + again_ms <= now_ms)
        };
        let mut wants = Vec::new();
        for (node, state) in self.nodes.iter_mut().filter(|(_, state)| due(state)) {
            state.asked_ms = Some(now_ms);
            wants.push(node.clone());
        }
        wants
    }

    /// Lets go of nodes that were silent for `timeout_ms`; gives who goes with them.
    pub(super) fn expire(&mut self, now_ms: u64, timeout_ms: u64) -> Vec<Signal> {
        if now_ms - self.own_heard_ms > timeout_ms / 2 {
            self.own_since_ms = now_ms;
        }
        let mut signals = Vec::new();
        self.nodes.retain(|_, state| {
            let silent_ms = now_ms.saturating_sub(state.heard_ms.max(self.own_since_ms));
            if !state.gone && silent_ms > timeout_ms {
                signals.append(&mut state.end());
            }
            !state.gone || silent_ms <= GONE_TIMEOUTS * timeout_ms
        });
        signals
    }

    /// Something was missed of each node, or its numbers begin anew.
    pub(super) fn doubt(&mut self) {
        for state in self.nodes.values_mut() {
            state.number = None;
            state.doubt();
        }
    }

    /// Whether there are other nodes.
    pub(super) fn knows_others(&self) -> bool {
        !self.nodes.is_empty()
    }

    /// How many may be seen in each topic of each node.
    pub(super) fn counts(&self) -> impl Iterator<Item = (&Topic, usize)> {
        let members = self.nodes.values().flat_map(|state| &state.members);
        members.map(|(topic, members)| (topic, seen(members)))
    }

    /// Places of clients in all topics together.
    pub(super) fn members(&self) -> usize {
        self.nodes.values().flat_map(|state| state.members.values()).map(HashMap::len).sum()
    }

    /// The clients in a topic.
    pub(super) fn of(&self, topic: &Topic) -> impl Iterator<Item = &Arc<Member>> {
        self.nodes.values().filter_map(|state| state.members.get(topic)).flat_map(HashMap::values)
    }
}

impl Node {
    fn new(now_ms: u64) -> Self {
        Self {
            number: None,
            heard_ms: now_ms,
            complete: false,
            asked_ms: None,
            gone: false,
            members: Members::new(),
            arriving: None,
        }
    }

    fn doubt(&mut self) {
        self.complete = false;
        self.asked_ms = None;
        self.arriving = None;
    }

    fn apply(&mut self, entry: Entry) -> Vec<Signal> {
        match entry.kind {
            Kind::Changes => {
                self.arriving = None; // between the parts of all there is nothing else
                entry.changes.into_iter().filter_map(|change| self.change(change)).collect()
            }
            Kind::AllFirst => {
                self.arriving = Some(Members::new());
                Vec::new()
            }
            Kind::AllNext => {
                if let Some(arriving) = &mut self.arriving {
                    for Change { topic, member, .. } in entry.changes {
                        arriving.entry(topic).or_default().insert(member.info.client.clone(), member);
                    }
                }
                Vec::new()
            }
            Kind::AllLast => self.arriving.take().map_or_else(Vec::new, |all| self.replace(all)),
            Kind::End => self.end(),
        }
    }

    fn change(&mut self, Change { topic, member, leaves }: Change) -> Option<Signal> {
        let client = member.info.client.clone();
        if !leaves {
            let members = self.members.entry(topic.clone()).or_default();
            let known = members.insert(client, Arc::clone(&member)).is_some();
            return if known { None } else { signal_of(topic, member, true) };
        }
        let members = self.members.get_mut(&topic)?;
        let gone = members.remove(&client)?;
        if members.is_empty() {
            self.members.remove(&topic);
        }
        signal_of(topic, gone, false)
    }

    /// Puts `all` in the place of what was known.
    fn replace(&mut self, all: Members) -> Vec<Signal> {
        let before = std::mem::replace(&mut self.members, all);
        self.complete = true;
        let only_in = |one: &Members, other: &Members, joined: bool| {
            let mut signals = Vec::new();
            for (topic, members) in one {
                let others = other.get(topic);
                for (client, member) in members {
                    if !others.is_some_and(|others| others.contains_key(client)) {
                        signals.extend(signal_of(topic.clone(), Arc::clone(member), joined));
                    }
                }
            }
            signals
        };
        let mut signals = only_in(&before, &self.members, false);
        signals.extend(only_in(&self.members, &before, true));
        signals
    }

    /// The node has gone, with everybody who was there.
    fn end(&mut self) -> Vec<Signal> {
        self.gone = true;
        self.replace(Members::new())
    }
}

/// What subscribers are told, if anything.
fn signal_of(topic: Topic, member: Arc<Member>, joined: bool) -> Option<Signal> {
    member.announced.then(|| Signal::new(topic, member, joined))
}
