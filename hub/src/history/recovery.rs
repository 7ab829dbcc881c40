//! Whether a client at a position can be brought up to date, and with what.
//!
//! Offsets of one topic have gaps, because topics share the partition's count. What proves that nothing is missing
//! (`docs/ARCHITECTURE.md`, "Recovery"): *retention* – all that came after the position is still here; *chain* – the
//! first entry after it links to an entry at or before it; *quiet* – the topic's last entry is at or before it;
//! *genesis* – the position is the very beginning, and the topic's first entry ever is still here.

use std::collections::VecDeque;

use domain::{Timestamp, Topic};

use super::partition::{Kept, PartitionHistory, TopicHistory};
use crate::publication::Item;

/// What was published, as clients receive it.
pub(crate) type Page = Vec<Item>;

/// The answer to a client that comes back.
#[derive(Debug, Clone)]
pub(crate) enum Recovery {
    /// Everything after the position is here, oldest first.
    Recovered(Page),
    /// Something may be missing: the client has to load its state anew.
    Unrecovered,
    /// The position lies ahead of this node, which has not read so far yet.
    Ahead,
}

/// Which part of a topic's history a client wants.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish {
    /// After this offset, or before it when reversed.
    pub(crate) since: Option<u64>,
    /// At most so many.
    pub(crate) limit: usize,
    /// Newest first.
    pub(crate) reverse: bool,
}

impl PartitionHistory {
    /// What `topic` had after `offset`, at most `publications_max`. An empty `epoch` is any.
    pub(crate) fn recover(
        &self,
        topic: &Topic,
        (epoch, offset): (&str, u64),
        publications_max: usize,
        now: Timestamp,
    ) -> Recovery {
        if !epoch.is_empty() && *epoch != *self.epoch.0 {
            return Recovery::Unrecovered;
        }
        if offset > self.applied {
            return Recovery::Ahead;
        }
        let Some(topic) = self.topic(topic) else {
            return if offset >= self.floor {
                Recovery::Recovered(Vec::new())
            } else {
                Recovery::Unrecovered
            };
        };
        let start = after(&topic.ring, offset);
        let found = topic.ring.range(start..);
        let oldest_at = topic.oldest_at(now);
        if found.len() > publications_max || found.clone().any(|kept| kept.at < oldest_at) {
            return Recovery::Unrecovered;
        }
        if topic.proves_complete(offset, start) {
            Recovery::Recovered(found.map(|kept| kept.item.clone()).collect())
        } else {
            Recovery::Unrecovered
        }
    }

    /// The latest that `topic` had, unless the client has it: for topics that carry a state.
    pub(crate) fn recover_latest(&self, name: &Topic, position: (&str, u64), now: Timestamp) -> Recovery {
        let latest = self.topic(name).and_then(|topic| {
            topic.ring.back().filter(|kept| kept.at >= topic.oldest_at(now)).map(|kept| &kept.item)
        });
        match latest {
            Some(latest) => {
                let (epoch, offset) = position;
                let has = *epoch == *self.epoch.0 && offset == latest.offset;
                Recovery::Recovered(if has { Page::new() } else { vec![latest.clone()] })
            }
            None => self.recover(name, position, 0, now),
        }
    }

    /// The part of `topic`'s history that `wish` describes, as far as it is known.
    pub(crate) fn page(&self, topic: &Topic, wish: Wish, now: Timestamp) -> Page {
        let Some(topic) = self.topic(topic) else { return Page::new() };
        let oldest_at = topic.oldest_at(now);
        let fresh = |kept: &&Kept| kept.at >= oldest_at;
        let item = |kept: &Kept| kept.item.clone();
        match (wish.reverse, wish.since) {
            (false, since) => {
                let start = after(&topic.ring, since.unwrap_or(0));
                topic.ring.range(start..).filter(fresh).take(wish.limit).map(item).collect()
            }
            (true, since) => {
                let end =
                    since.map_or(topic.ring.len(), |offset| after(&topic.ring, offset.saturating_sub(1)));
                topic.ring.range(..end).rev().filter(fresh).take(wish.limit).map(item).collect()
            }
        }
    }
}

impl TopicHistory {
    /// Whether what is in the ring from `start` on is all that came after `offset`.
    fn proves_complete(&self, offset: u64, start: usize) -> bool {
        let retention = offset >= self.floor;
        let chain = self.ring.get(start).is_some_and(|kept| kept.prev <= offset);
        let quiet = self.last <= offset;
        let genesis = offset == 0 && self.ring.front().is_some_and(|kept| kept.first);
        retention || chain || quiet || genesis
    }
}

/// Index of the first entry after `offset`.
fn after(ring: &VecDeque<Kept>, offset: u64) -> usize {
    ring.partition_point(|kept| kept.item.offset <= offset)
}
