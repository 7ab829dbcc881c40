//! The log in memory: where every retained entry lies, the newest entries themselves, topics and ids.
//!
//! Pure: files are opened, written and read elsewhere.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use domain::{PublicationId, Timestamp, Topic};

use super::record::{Head, Placed};
use crate::{Entry, Epoch, Partition, PartitionState};

/// What is retained, and for how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Retention {
    pub(super) entries: u64,
    pub(super) age: Duration,
    pub(super) bytes: u64,
    pub(super) memory_entries: usize,
}

/// The whole log.
#[derive(Debug)]
pub(super) struct State {
    pub(super) partitions: Vec<PartitionLog>,
    /// Oldest first; the last one is written to. Never empty.
    pub(super) segments: VecDeque<Segment>,
}

/// One file.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) path: PathBuf,
    pub(super) file: Arc<File>,
    pub(super) bytes: u64,
    /// When it was last written to; `None` while it has only its head.
    pub(super) newest_at: Option<Timestamp>,
    /// Highest offset of each partition in this file or before it.
    pub(super) last: Vec<u64>,
}

/// One partition.
#[derive(Debug)]
pub(super) struct PartitionLog {
    pub(super) epoch: Epoch,
    pub(super) trimmed: u64,
    /// Entry `trimmed + 1 + i` at index `i`.
    slots: VecDeque<Slot>,
    /// How many of the newest slots hold their entry.
    in_memory: usize,
    topics: HashMap<Topic, u64>,
    ids: HashMap<PublicationId, u64>,
}

/// Where an entry lies, and the entry itself while it is young.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub(super) file: Arc<File>,
    pub(super) at: u64,
    pub(super) length: u32,
    /// Boxed: most slots are old, and have none.
    pub(super) entry: Option<Box<Entry>>,
}

impl State {
    /// How the partitions stand, for the head of a new file.
    pub(super) fn head(&self) -> Head {
        Head { partitions: self.partitions.iter().map(|log| (log.epoch.clone(), log.last())).collect() }
    }

    /// Takes over a batch that is on the disk in the newest segment, its payload beginning at `payload_at`.
    pub(super) fn apply(&mut self, at: Timestamp, entries: Vec<Placed>, payload_at: u64, keep: Retention) {
        let segment = self.segments.back_mut().expect("there is always a segment to write to");
        segment.newest_at = segment.newest_at.max(Some(at));
        for placed in entries {
            let partition = usize::from(placed.entry.partition);
            segment.last[partition] = placed.entry.offset;
            let slot = Slot {
                file: Arc::clone(&segment.file),
                at: payload_at + u64::from(placed.at),
                length: placed.length,
                entry: None,
            };
            self.partitions[partition].push(slot, placed.entry, keep.memory_entries);
        }
    }

    /// Lets go of the oldest segments that retention does not need, and gives them.
    pub(super) fn trim(&mut self, now: Timestamp, keep: Retention) -> Vec<Segment> {
        let mut dropped = Vec::new();
        let mut bytes: u64 = self.segments.iter().map(|segment| segment.bytes).sum();
        while self.segments.len() > 1 {
            let oldest = &self.segments[0];
            let is_old = oldest.newest_at.is_none_or(|at| at + keep.age < now);
            let is_beyond = self
                .partitions
                .iter()
                .zip(&oldest.last)
                .all(|(log, last)| *last <= log.trimmed || log.last() - last >= keep.entries);
            if !(is_old || is_beyond || bytes > keep.bytes) {
                break;
            }
            let oldest = self.segments.pop_front().expect("it was just looked at");
            bytes -= oldest.bytes;
            for (log, last) in self.partitions.iter_mut().zip(&oldest.last) {
                log.trim_to(*last);
            }
            dropped.push(oldest);
        }
        dropped
    }
}

impl PartitionLog {
    /// A partition of which everything up to and including `trimmed` is gone.
    pub(super) fn new(epoch: Epoch, trimmed: u64) -> Self {
        Self {
            epoch,
            trimmed,
            slots: VecDeque::new(),
            in_memory: 0,
            topics: HashMap::new(),
            ids: HashMap::new(),
        }
    }

    pub(super) fn last(&self) -> u64 {
        self.trimmed + self.slots.len() as u64
    }

    pub(super) fn state(&self) -> PartitionState {
        PartitionState { epoch: self.epoch.clone(), last: self.last(), trimmed: self.trimmed }
    }

    pub(super) fn topic_last(&self, topic: &Topic) -> Option<u64> {
        self.topics.get(topic).copied()
    }

    pub(super) fn offset_of(&self, id: PublicationId) -> Option<u64> {
        self.ids.get(&id).copied()
    }

    /// What lies after `after`, which is neither trimmed nor beyond the end.
    pub(super) fn after(&self, after: u64, entries_max: usize) -> Vec<Slot> {
        let start = usize::try_from(after - self.trimmed).expect("what is retained fits into memory");
        self.slots.iter().skip(start).take(entries_max).cloned().collect()
    }

    fn push(&mut self, mut slot: Slot, entry: Entry, memory_entries: usize) {
        self.topics.insert(entry.publication.topic.clone(), entry.offset);
        self.ids.insert(entry.publication.id, entry.offset);
        slot.entry = Some(Box::new(entry));
        self.slots.push_back(slot);
        self.in_memory += 1;
        if self.in_memory > memory_entries {
            let oldest_in_memory = self.slots.len() - self.in_memory;
            self.slots[oldest_in_memory].entry = None;
            self.in_memory -= 1;
        }
    }

    fn trim_to(&mut self, trimmed: u64) {
        if trimmed <= self.trimmed {
            return;
        }
        let count = usize::try_from(trimmed - self.trimmed).expect("what is retained fits into memory");
        self.slots.drain(..count.min(self.slots.len()));
        self.in_memory = self.in_memory.min(self.slots.len());
        self.trimmed = trimmed;
        self.topics.retain(|_, last| *last > trimmed);
        self.ids.retain(|_, offset| *offset > trimmed);
    }
}

/// The index of a partition in vectors.
pub(super) fn index(partition: Partition) -> usize {
    usize::from(partition)
}
