//! Which entry a reader last read: at its next read, that entry must still be there under its number.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use domain::PublicationId;

use crate::{Cursor, Epoch, Partition};

/// Readers of one process that are remembered per partition; beyond it, one that returns is trusted once.
const READERS_MAX: usize = 64;

/// The ids of the entries at readers' cursors.
#[derive(Debug, Default)]
pub(super) struct Seen(Mutex<HashMap<Partition, VecDeque<At>>>);

#[derive(Debug)]
struct At {
    epoch: Epoch,
    offset: u64,
    id: PublicationId,
}

impl Seen {
    /// The id of the entry that was read at this cursor.
    pub(super) fn at(&self, cursor: &Cursor) -> Option<PublicationId> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let places = seen.get_mut(&cursor.partition)?;
        let index = places.iter().position(|at| at.offset == cursor.after && at.epoch == cursor.epoch)?;
        let at = places.remove(index)?;
        let id = at.id;
        places.push_back(at); // the readers that do not come back leave first
        Some(id)
    }

    pub(super) fn note(&self, partition: Partition, epoch: Epoch, offset: u64, id: PublicationId) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let places = seen.entry(partition).or_default();
        places.retain(|at| at.offset != offset || at.epoch != epoch);
        places.push_back(At { epoch, offset, id });
        if places.len() > READERS_MAX {
            places.pop_front();
        }
    }
}
