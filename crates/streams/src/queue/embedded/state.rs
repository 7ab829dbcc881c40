//! The queues in memory. Pure: times are arguments, in microseconds since 1970.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;
use domain::Timestamp;

use super::record::{Event, Record};
use crate::{Claimed, QueueName, QueueStats};

/// Every queue by name.
#[derive(Debug, Default)]
pub(super) struct Queues {
    queues: HashMap<QueueName, Queue>,
    /// Bytes of the bodies and ids of all items.
    pub(super) bytes: u64,
}

/// Sorts by time, then by arrival.
type Place = (i64, u64);

#[derive(Debug, Default)]
pub(super) struct Queue {
    items: HashMap<Box<str>, Item>,
    arrivals: u64,
    ready: BTreeMap<Place, Box<str>>,
    delayed: BTreeMap<Place, Box<str>>,
    leases: BTreeMap<Place, Box<str>>,
    /// Since when each ready or claimed item waits.
    waiting: BTreeSet<Place>,
}

#[derive(Debug)]
struct Item {
    body: Bytes,
    claims: u32,
    arrival: u64,
    since: i64,
    stand: Stand,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand {
    Ready,
    Delayed,
    Claimed { until: i64 },
}

impl Queues {
    pub(super) fn get(&self, queue: &QueueName) -> Option<&Queue> {
        self.queues.get(queue)
    }

    pub(super) fn get_mut(&mut self, queue: &QueueName) -> Option<&mut Queue> {
        self.queues.get_mut(queue)
    }

    /// What happened, happens here.
    pub(super) fn apply(&mut self, record: Record) {
        let Record { queue, id, event } = record;
        let queue = self.queues.entry(queue).or_default();
        match event {
            Event::Push { body, since, claims } => {
                if !queue.items.contains_key(&id) {
                    self.bytes += weight(&id, &body);
                    queue.insert(id, body, since, claims);
                }
            }
            Event::Claim { until } => queue.lease(&id, until),
            Event::Acknowledge => {
                if let Some(item) = queue.remove(&id) {
                    self.bytes -= weight(&id, &item.body);
                }
            }
            Event::Retry { body, since } => {
                if let Some(item) = queue.remove(&id) {
                    self.bytes = self.bytes - weight(&id, &item.body) + weight(&id, &body);
                    queue.insert(id, body, since, item.claims);
                }
            }
        }
    }

    /// Ends every lease: their holders died with the process.
    pub(super) fn end_leases(&mut self) {
        for queue in self.queues.values_mut() {
            queue.expire(i64::MAX);
        }
    }

    /// Everything that is there, as it would come in anew, in its order.
    pub(super) fn snapshot(&self) -> impl Iterator<Item = Record> {
        self.queues.iter().flat_map(|(name, queue)| {
            let mut items: Vec<_> = queue.items.iter().collect();
            items.sort_unstable_by_key(|(_, item)| item.arrival);
            items.into_iter().map(|(id, item)| Record {
                queue: name.clone(),
                id: id.clone(),
                event: Event::Push { body: item.body.clone(), since: item.since, claims: item.claims },
            })
        })
    }
}

/// What an item weighs in the journal, roughly.
fn weight(id: &str, body: &Bytes) -> u64 {
    (id.len() + body.len()) as u64 + 64
}

impl Queue {
    pub(super) fn len(&self) -> u64 {
        self.items.len() as u64
    }

    pub(super) fn contains(&self, id: &str) -> bool {
        self.items.contains_key(id)
    }

    /// What can be claimed at `now`: first what lies under leases that have run out, then the oldest ready items.
    pub(super) fn claimable(&mut self, now: i64, items_max: usize) -> Vec<Box<str>> {
        self.promote(now);
        let expired = self.leases.range(..=(now, u64::MAX)).map(|(_, id)| id);
        expired.chain(self.ready.values()).take(items_max).cloned().collect()
    }

    /// An item as its consumer sees it, after its claim was applied.
    pub(super) fn claimed(&self, id: &str) -> Option<Claimed> {
        let item = self.items.get(id)?;
        Some(Claimed { id: id.into(), body: item.body.clone(), claims: item.claims })
    }

    /// When something can be claimed next that cannot be now.
    pub(super) fn next_due(&self) -> Option<i64> {
        let first = |places: &BTreeMap<Place, Box<str>>| places.keys().next().map(|(at, _)| *at);
        first(&self.delayed).into_iter().chain(first(&self.leases)).min()
    }

    pub(super) fn stats(&mut self, now: i64) -> QueueStats {
        self.promote(now);
        let expired = self.leases.range(..=(now, u64::MAX)).count() as u64;
        QueueStats {
            ready: self.ready.len() as u64 + expired,
            delayed: self.delayed.len() as u64,
            claimed: self.leases.len() as u64 - expired,
            oldest_at: self.waiting.first().and_then(|(since, _)| Timestamp::from_microsecond(*since).ok()),
        }
    }

    fn insert(&mut self, id: Box<str>, body: Bytes, since: i64, claims: u32) {
        self.arrivals += 1;
        let arrival = self.arrivals;
        self.delayed.insert((since, arrival), id.clone());
        self.items.insert(id, Item { body, claims, arrival, since, stand: Stand::Delayed });
    }

    fn remove(&mut self, id: &str) -> Option<Item> {
        let item = self.items.remove(id)?;
        let place = (item.since, item.arrival);
        match item.stand {
            Stand::Ready => self.ready.remove(&place),
            Stand::Delayed => self.delayed.remove(&place),
            Stand::Claimed { until } => self.leases.remove(&(until, item.arrival)),
        };
        self.waiting.remove(&place);
        Some(item)
    }

    fn lease(&mut self, id: &str, until: i64) {
        let Some(item) = self.items.get_mut(id) else { return };
        let place = (item.since, item.arrival);
        match item.stand {
            Stand::Ready => self.ready.remove(&place),
            Stand::Delayed => self.delayed.remove(&place),
            Stand::Claimed { until } => self.leases.remove(&(until, item.arrival)),
        };
        item.claims = item.claims.saturating_add(1);
        item.stand = Stand::Claimed { until };
        self.leases.insert((until, item.arrival), id.into());
        self.waiting.insert(place);
    }

    /// Makes ready what lies under leases that end at `now` or before.
    fn expire(&mut self, now: i64) {
        while let Some(entry) = self.leases.first_entry().filter(|entry| entry.key().0 <= now) {
            let id = entry.remove();
            if let Some(item) = self.items.get_mut(&id) {
                item.stand = Stand::Ready;
                self.ready.insert((item.since, item.arrival), id);
            }
        }
    }

    /// Makes ready the delayed items whose time has come.
    fn promote(&mut self, now: i64) {
        while let Some(entry) = self.delayed.first_entry().filter(|entry| entry.key().0 <= now) {
            let (place, id) = entry.remove_entry();
            if let Some(item) = self.items.get_mut(&id) {
                item.stand = Stand::Ready;
                self.waiting.insert(place);
                self.ready.insert(place, id);
            }
        }
    }
}
