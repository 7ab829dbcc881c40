//! A shard's topics: who subscribes to what. Names are kept once per shard; connections hold small numbers.

use std::hash::BuildHasher as _;

use domain::{Attributes, Topic};
use hashbrown::{DefaultHashBuilder, HashTable};
use protocol::centrifuge::filter::Filter;
use slab::Slab;
use streams::Partition;

use crate::publication::{Form, Live};
use crate::pusher::ChannelTerms;

/// Number of a connection within its shard.
pub(crate) type ConnectionIndex = u32;
/// Number of a subscription within its shard.
pub(crate) type SubscriptionId = u32;
/// Number of a topic within its shard.
pub(crate) type TopicIndex = u32;

/// A place in no member list: the subscription was voided.
const NOWHERE: u32 = u32::MAX;

/// One subscriber of a topic.
#[derive(Debug)]
pub(crate) struct Member {
    /// Whose.
    pub(crate) connection: ConnectionIndex,
    /// Which subscription.
    pub(crate) subscription: SubscriptionId,
    /// Publications up to and including this turn are known to it already.
    pub(crate) from: u64,
    /// What it asked for besides every publication as it is.
    pub(crate) terms: Option<Box<Terms>>,
}

/// What a subscriber asked for besides every publication as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Terms {
    /// With deltas: offset of the last publication that it has, 0 for none.
    pub(crate) has: Option<u64>,
    /// Only what passes.
    pub(crate) filter: Option<Box<Filter>>,
    /// Joins and leaves, too.
    pub(crate) signals: bool,
    /// As a channel of Pusher's.
    pub(crate) channel: Option<ChannelTerms>,
}

impl Terms {
    /// Boxed, unless it is nothing special.
    pub(crate) fn boxed(self) -> Option<Box<Self>> {
        (self != Self::default()).then(|| Box::new(self))
    }

    /// The form in which the subscriber gets `live`; `None` when it does not.
    pub(crate) fn form_of(&mut self, live: &Live) -> Option<Form> {
        let attributes = live.item.attributes.as_deref();
        if let Some(channel) = self.channel {
            let sender = attributes.and_then(|attributes| attributes.exclude.as_deref());
            let is_sender = sender.is_some_and(|sender| sender.parse() == Ok(channel.socket_id));
            return (!is_sender).then_some(Form::Channel(channel.form));
        }
        if !self.filter.as_ref().is_none_or(|filter| passes(filter, attributes)) {
            return None;
        }
        let Some(has) = &mut self.has else { return Some(Form::Plain) };
        let in_step = *has > 0 && live.base.as_ref().is_some_and(|(base, _)| base == has);
        if live.item.offset == 0 {
            return Some(Form::Whole); // nothing builds on what is not kept
        }
        *has = live.item.offset;
        Some(if in_step { Form::Delta } else { Form::Whole })
    }
}

/// Whether a publication with these attributes passes.
pub(crate) fn passes(filter: &Filter, attributes: Option<&Attributes>) -> bool {
    filter.passes(|name| attributes?.tags.get(name).map(String::as_str))
}

#[derive(Debug)]
struct Slot {
    name: Topic,
    partition: Partition,
    members: Vec<Member>,
    /// Subscriptions that name this topic, voided ones included.
    uses: u32,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    topic: TopicIndex,
    at: u32,
}

/// The topics of one shard.
#[derive(Debug, Default)]
pub(crate) struct Topics {
    /// By the hash of their names, which stand in `slots` only.
    by_name: HashTable<TopicIndex>,
    hasher: DefaultHashBuilder,
    slots: Slab<Slot>,
    places: Slab<Place>,
}

impl Topics {
    /// Subscribes `connection`, from after `from` on.
    pub(crate) fn join(
        &mut self,
        topic: &Topic,
        partition: Partition,
        (connection, from): (ConnectionIndex, u64),
        terms: Option<Box<Terms>>,
    ) -> SubscriptionId {
        let index = self.find(topic).unwrap_or_else(|| {
            let slot = Slot { name: topic.clone(), partition, members: Vec::new(), uses: 0 };
            let index = narrow(self.slots.insert(slot));
            let Self { by_name, hasher, slots, .. } = self;
            let hash = |index: &TopicIndex| hasher.hash_one(&slots[*index as usize].name);
            by_name.insert_unique(hash(&index), index, hash);
            index
        });
        let slot = &mut self.slots[index as usize];
        slot.uses += 1;
        if slot.members.is_empty() {
            slot.members.reserve_exact(1); // many topics are one person's
        }
        let subscription = narrow(self.places.insert(Place { topic: index, at: narrow(slot.members.len()) }));
        slot.members.push(Member { connection, subscription, from, terms });
        subscription
    }

    /// Ends a subscription.
    pub(crate) fn leave(&mut self, subscription: SubscriptionId) {
        let place = self.places.remove(subscription as usize);
        let slot = &mut self.slots[place.topic as usize];
        if place.at != NOWHERE {
            slot.members.swap_remove(place.at as usize);
            if let Some(moved) = slot.members.get(place.at as usize) {
                self.places[moved.subscription as usize].at = place.at;
            }
            if slot.members.len() * 4 < slot.members.capacity() {
                slot.members.shrink_to(slot.members.len() * 2);
            }
        }
        slot.uses -= 1;
        if slot.uses == 0 {
            let slot = self.slots.remove(place.topic as usize);
            let found =
                self.by_name.find_entry(self.hasher.hash_one(&slot.name), |index| *index == place.topic);
            if let Ok(entry) = found {
                entry.remove();
            }
        }
    }

    /// Takes every member of `partition` that joined before `turn` out of its topic: they hear nothing more, and
    /// their subscriptions wait to be ended. Gives them all.
    pub(crate) fn void(&mut self, partition: Partition, turn: u64) -> Vec<Member> {
        let mut voided = Vec::new();
        for (_, slot) in self.slots.iter_mut().filter(|(_, slot)| slot.partition == partition) {
            let (gone, kept): (Vec<_>, _) =
                std::mem::take(&mut slot.members).into_iter().partition(|member| member.from < turn);
            slot.members = kept;
            for (at, member) in slot.members.iter().enumerate() {
                self.places[member.subscription as usize].at = narrow(at);
            }
            for member in &gone {
                self.places[member.subscription as usize].at = NOWHERE;
            }
            voided.extend(gone);
        }
        voided
    }

    /// The topic's number, when somebody here subscribes to it.
    pub(crate) fn find(&self, topic: &Topic) -> Option<TopicIndex> {
        let is_it = |index: &TopicIndex| self.slots[*index as usize].name == *topic;
        self.by_name.find(self.hasher.hash_one(topic), is_it).copied()
    }

    /// The subscribers of a topic.
    pub(crate) fn members(&mut self, topic: TopicIndex) -> &mut [Member] {
        &mut self.slots[topic as usize].members
    }

    /// The topic of a subscription.
    pub(crate) fn topic_of(&self, subscription: SubscriptionId) -> &Topic {
        &self.slots[self.topic_index(subscription) as usize].name
    }

    /// The number of the topic of a subscription.
    pub(crate) fn topic_index(&self, subscription: SubscriptionId) -> TopicIndex {
        self.places[subscription as usize].topic
    }

    /// Whether the subscription was taken out by [`Topics::void`].
    pub(crate) fn is_void(&self, subscription: SubscriptionId) -> bool {
        self.places[subscription as usize].at == NOWHERE
    }

    /// The topics that somebody here subscribes to.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Topic> {
        self.slots.iter().map(|(_, slot)| &slot.name)
    }

    /// Subscriptions of the shard.
    pub(crate) fn subscriptions(&self) -> usize {
        self.places.len()
    }
}

fn narrow(index: usize) -> u32 {
    u32::try_from(index).expect("the limits on connections and topics keep it below 2^32")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn topic(number: u8) -> Topic {
        Topic::new(format!("t{number}")).unwrap()
    }

    proptest! {
        /// Goal: whatever joins, leaves and voids there are, each topic has exactly its live members.
        #[test]
        fn members_are_those_who_joined_and_did_not_leave(
            steps in proptest::collection::vec((0..4_u8, 0..5_u8, any::<u16>()), 0..200),
        ) {
            let mut topics = Topics::default();
            let mut model: Vec<(u8, SubscriptionId, bool, u64)> = Vec::new();
            for (turn, (kind, name, pick)) in steps.into_iter().enumerate() {
                let turn = turn as u64;
                match kind {
                    0 | 1 => {
                        let id = topics.join(&topic(name), u16::from(name % 2), (u32::from(pick), turn), None);
                        model.push((name, id, false, turn));
                    }
                    2 if !model.is_empty() => {
                        let (_, id, ..) = model.swap_remove(usize::from(pick) % model.len());
                        topics.leave(id);
                    }
                    3 => {
                        topics.void(u16::from(name % 2), turn.saturating_sub(3));
                        for one in model.iter_mut().filter(|one| one.0 % 2 == name % 2) {
                            one.2 |= one.3 < turn.saturating_sub(3);
                        }
                    }
                    _ => {}
                }
                prop_assert_eq!(topics.subscriptions(), model.len());
                for name in 0..5 {
                    let mut expected: Vec<_> =
                        model.iter().filter(|one| one.0 == name && !one.2).map(|one| one.1).collect();
                    let index = topics.find(&topic(name));
                    let mut found: Vec<_> = index
                        .map(|index| topics.members(index).iter().map(|member| member.subscription).collect())
                        .unwrap_or_default();
                    expected.sort_unstable();
                    found.sort_unstable();
                    prop_assert_eq!(found, expected);
                }
                for (name, id, void, _) in &model {
                    prop_assert_eq!(topics.topic_of(*id), &topic(*name));
                    prop_assert_eq!(topics.is_void(*id), *void);
                }
            }
        }
    }
}
