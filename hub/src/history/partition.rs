//! The history of one partition: a ring of publications per topic, bounded by count, age and bytes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use domain::{Attributes, DeliveryId, Timestamp, Topic};
use hashbrown::HashMap;
use slab::Slab;
use streams::{Entry, Epoch, PartitionState};
use tokio::sync::Notify;

use crate::config::{self, Classes};
use crate::publication::Item;

/// Bytes that an entry costs besides its payload: ring, queue, reference counts.
const ENTRY_BYTES: usize = 128;

/// A partition's share of the memory for histories.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_field_names, reason = "each is a limit")]
pub(crate) struct Budget {
    /// Publications of one topic.
    pub(crate) publications_max: usize,
    /// Age of a publication.
    pub(crate) age_max: Duration,
    /// Bytes of the partition.
    pub(crate) bytes_max: usize,
    /// Topics whose last position is remembered.
    pub(crate) topics_max: usize,
}

impl Budget {
    /// The equal share of each of `partitions`.
    pub(crate) fn share(config: &config::History, partitions: u16) -> Self {
        let share =
            |whole: u64| usize::try_from(whole / u64::from(partitions.max(1))).unwrap_or(usize::MAX).max(1);
        Self {
            publications_max: config.publications_max as usize,
            age_max: Duration::from_millis(config.age_ms_max),
            bytes_max: share(config.bytes_max),
            topics_max: share(u64::from(config.topics_max)),
        }
    }
}

/// A publication that is kept.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    /// Number of the topic's previous entry.
    pub(crate) prev: u64,
    /// Whether the log knew of no previous entry.
    pub(crate) first: bool,
    /// When its change was made.
    pub(crate) at: Timestamp,
    /// What it says, and what travels with it.
    pub(crate) item: Item,
}

/// What became of an entry.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Applied {
    /// It was taken before.
    Before,
    /// It has this turn, and followed this publication of its topic.
    Now { turn: u64, base: Option<(u64, Bytes)> },
    /// It is for no subscriber: it has cleared its topic, or is older than what the topic has had.
    Silent,
}

/// What is known of one topic.
#[derive(Debug)]
pub(crate) struct TopicHistory {
    pub(crate) name: Topic,
    /// Oldest first.
    pub(crate) ring: VecDeque<Kept>,
    /// Number of its newest entry.
    pub(crate) last: u64,
    /// Every entry of the topic after this number is in the ring.
    pub(crate) floor: u64,
    /// The latest numbered state: in which epoch, and its number.
    version: Option<Box<(String, u64)>>,
    /// How many are kept, and how old.
    keep: Keep,
    /// Whether the partition's list of idle topics has it.
    idle: bool,
    /// Up to this number a client has shown that it received the topic.
    received: AtomicU64,
}

/// What is kept of one topic.
#[derive(Debug, Clone, Copy)]
struct Keep {
    publications_max: usize,
    age_max: Duration,
}

/// An entry that does not follow the one before: something was missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("after entry {applied} of the log came entry {found}")]
pub(crate) struct Hole {
    /// The last entry before.
    pub(crate) applied: u64,
    /// What came.
    pub(crate) found: u64,
}

/// The history of one partition.
#[derive(Debug)]
pub(crate) struct PartitionHistory {
    pub(crate) epoch: Epoch,
    /// Everything up to and including this number was applied.
    pub(crate) applied: u64,
    /// Counts what happened to the partition here, in every epoch.
    pub(crate) turn: u64,
    /// Every entry after this number of a topic that is not in `topics` was seen and there was none.
    pub(crate) floor: u64,
    names: HashMap<Topic, usize>,
    topics: Slab<TopicHistory>,
    /// Every kept entry as (topic, offset), oldest first; those that their ring has dropped already are skipped.
    order: VecDeque<(usize, u64)>,
    /// Topics in the order in which their rings became empty; those that are no longer empty are skipped.
    idle: VecDeque<usize>,
    bytes: usize,
    budget: Budget,
    /// Told when entries were applied.
    pub(crate) moved: Arc<Notify>,
    classes: Arc<Classes>,
}

impl TopicHistory {
    /// What is older than this is as if it were not there.
    pub(crate) fn oldest_at(&self, now: Timestamp) -> Timestamp {
        now - self.keep.age_max
    }
}

impl PartitionHistory {
    /// An empty history that begins after `start`.
    pub(crate) fn new(epoch: Epoch, start: u64, budget: Budget) -> Self {
        Self {
            epoch,
            applied: start,
            turn: 0,
            floor: start,
            names: HashMap::new(),
            topics: Slab::new(),
            order: VecDeque::new(),
            idle: VecDeque::new(),
            bytes: 0,
            budget,
            classes: Arc::default(),
            moved: Arc::default(),
        }
    }

    /// With other classes of topics than the built-in ones.
    pub(crate) fn of_classes(self, classes: Arc<Classes>) -> Self {
        Self { classes, ..self }
    }

    /// Takes the next entry of the log. An item without an offset is kept for nobody.
    ///
    /// # Errors
    /// [`Hole`] when entries are missing before it; nothing is taken then.
    pub(crate) fn apply(&mut self, entry: &Entry, item: Item, now: Timestamp) -> Result<Applied, Hole> {
        if entry.offset <= self.applied {
            return Ok(Applied::Before);
        }
        if entry.offset != self.applied + 1 {
            return Err(Hole { applied: self.applied, found: entry.offset });
        }
        self.applied = entry.offset;
        self.turn += 1;
        let index = if item.offset == 0 { None } else { self.topic_index(&entry.publication.topic) };
        let Some(index) = index else {
            return Ok(Applied::Now { turn: self.turn, base: None });
        };
        if item
            .attributes
            .as_deref()
            .is_some_and(|attributes| self.is_silent(index, attributes, entry.offset))
        {
            return Ok(Applied::Silent);
        }
        self.bytes += item.data.len() + ENTRY_BYTES;
        let topic = &mut self.topics[index];
        let base = topic.ring.back().map(|kept| (kept.item.offset, kept.item.data.clone()));
        // the log also links to what was kept for nobody
        let prev = entry.prev.min(topic.last);
        topic.last = entry.offset;
        topic.ring.push_back(Kept { prev, first: entry.first, at: entry.publication.at, item });
        self.order.push_back((index, entry.offset));
        let keep = topic.keep;
        let too_many = |ring: &VecDeque<Kept>| ring.len() > keep.publications_max;
        let too_old = |ring: &VecDeque<Kept>| ring.front().is_some_and(|kept| kept.at < now - keep.age_max);
        while too_many(&self.topics[index].ring) || too_old(&self.topics[index].ring) {
            self.drop_oldest_of(index);
        }
        self.trim(now);
        Ok(Applied::Now { turn: self.turn, base })
    }

    /// Drops everything and begins after `state.trimmed` in its epoch; gives the turn of the loss.
    pub(crate) fn restart(&mut self, state: &PartitionState) -> u64 {
        let turn = self.turn + 1;
        let (classes, moved) = (Arc::clone(&self.classes), Arc::clone(&self.moved));
        *self = Self { turn, moved, classes, ..Self::new(state.epoch.clone(), state.trimmed, self.budget) };
        turn
    }

    /// What is known of a topic.
    pub(crate) fn topic(&self, name: &Topic) -> Option<&TopicHistory> {
        self.names.get(name).map(|index| &self.topics[*index])
    }

    /// The deliveries in `topic` that a client at this position has received, and of which no earlier call has told.
    pub(crate) fn received(&self, name: &Topic, (epoch, offset): (&str, u64)) -> Vec<DeliveryId> {
        let topic = self.topic(name).filter(|_| *epoch == *self.epoch.0 && offset <= self.applied);
        let Some(topic) = topic else { return Vec::new() };
        let before = topic.received.fetch_max(offset, Ordering::Relaxed);
        let items = topic.ring.iter().map(|kept| &kept.item);
        let items = items.filter(|item| item.offset > before && item.offset <= offset);
        items.filter_map(|item| item.attributes.as_ref()?.delivery).collect()
    }

    /// Bytes that the kept entries cost.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Topics that are remembered.
    pub(crate) fn topics(&self) -> usize {
        self.topics.len()
    }

    /// The place of a topic, made when missing; `None` for topics of which nothing is kept.
    fn topic_index(&mut self, name: &Topic) -> Option<usize> {
        if let Some(index) = self.names.get(name) {
            return Some(*index);
        }
        let keep = self.keep_of(name);
        if keep.publications_max == 0 {
            return None;
        }
        let index = self.topics.insert(TopicHistory {
            name: name.clone(),
            ring: VecDeque::new(),
            last: self.floor,
            floor: self.floor,
            version: None,
            keep,
            idle: false,
            received: AtomicU64::new(0),
        });
        self.names.insert(name.clone(), index);
        Some(index)
    }

    /// What the topic's class allows, within the limits of all.
    fn keep_of(&self, name: &Topic) -> Keep {
        let Budget { publications_max, age_max, .. } = self.budget;
        match self.classes.of(name) {
            None => Keep { publications_max, age_max },
            Some(class) => Keep {
                publications_max: publications_max.min(class.history_size as usize),
                age_max: age_max.min(Duration::from_millis(class.history_ttl_ms)),
            },
        }
    }

    /// Whether an entry with these attributes is for no subscriber; does what it says instead.
    fn is_silent(&mut self, index: usize, attributes: &Attributes, offset: u64) -> bool {
        if attributes.clear {
            while !self.topics[index].ring.is_empty() {
                self.drop_oldest_of(index);
            }
            let topic = &mut self.topics[index];
            (topic.last, topic.floor, topic.version) = (offset, offset, None);
            if !std::mem::replace(&mut topic.idle, true) {
                self.idle.push_back(index);
            }
            return true;
        }
        if attributes.version == 0 {
            return false;
        }
        let version = &mut self.topics[index].version;
        let had = version.as_ref().filter(|had| had.0 == attributes.version_epoch);
        if had.is_some_and(|had| had.1 >= attributes.version) {
            return true;
        }
        *version = Some(Box::new((attributes.version_epoch.clone(), attributes.version)));
        false
    }

    fn drop_oldest_of(&mut self, index: usize) {
        let topic = &mut self.topics[index];
        let Some(dropped) = topic.ring.pop_front() else { return };
        topic.floor = dropped.item.offset;
        self.bytes -= dropped.item.data.len() + ENTRY_BYTES;
        if topic.ring.is_empty() {
            topic.ring = VecDeque::new();
            if !std::mem::replace(&mut topic.idle, true) {
                self.idle.push_back(index);
            }
        }
    }

    /// Holds the budget.
    fn trim(&mut self, now: Timestamp) {
        let oldest_at = now - self.budget.age_max;
        while let Some((index, offset)) = self.order.front().copied() {
            let kept = self.topics.get(index).and_then(|topic| topic.ring.front());
            let keep = kept.is_some_and(|kept| kept.item.offset <= offset && kept.at >= oldest_at);
            if keep && self.bytes <= self.budget.bytes_max {
                break;
            }
            self.drop_oldest();
        }
        while self.topics.len() > self.budget.topics_max {
            match self.idle.pop_front() {
                Some(index) => self.forget_if_idle(index),
                None => self.drop_oldest(),
            }
        }
    }

    /// Drops the oldest entry of all, unless its ring has done so already.
    fn drop_oldest(&mut self) {
        let Some((index, offset)) = self.order.pop_front() else { return };
        let kept = self.topics.get(index).and_then(|topic| topic.ring.front());
        if kept.is_some_and(|kept| kept.item.offset <= offset) {
            self.drop_oldest_of(index);
        }
    }

    fn forget_if_idle(&mut self, index: usize) {
        let topic = &mut self.topics[index];
        topic.idle = false;
        if topic.ring.is_empty() {
            let topic = self.topics.remove(index);
            self.names.remove(&topic.name);
            self.floor = self.floor.max(topic.last);
        }
    }
}
