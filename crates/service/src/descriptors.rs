//! File descriptors: how many this process may have, and which of them sockets of the public port may take.
//!
//! What the sockets do not get is a *reserve*: the admin port, the database, Redis, files and the connections to
//! providers live on it, so that a crowd at the door never takes the means to serve those who are inside.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use rlimit::Resource;
use tracing::{info, warn};

/// The places for sockets of this process. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Descriptors(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limit: u32,
    capacity: u32,
    used: AtomicU32,
}

/// Descriptors that somebody has; given back when dropped.
#[derive(Debug)]
#[must_use = "dropped, it is given back"]
pub struct Place {
    descriptors: Descriptors,
    count: u32,
}

/// The place of an HTTP connection, in the extensions of its requests: what the connection becomes may take it over.
#[derive(Debug, Clone)]
pub struct Carried(Arc<Mutex<Option<Place>>>);

/// Why there are no places at all.
#[derive(Debug, thiserror::Error)]
pub enum DescriptorError {
    /// The system does not say how many there are.
    #[error("the limit of open files cannot be read")]
    Unknown(#[source] io::Error),
    /// The reserve takes everything.
    #[error(
        "this process may open {limit} files and reserves {reserve} of them, which leaves no place for sockets: \
         raise the hard limit (ulimit -Hn, LimitNOFILE=) or lower http.descriptors_reserve"
    )]
    TooFew {
        /// Files that the process may open.
        limit: u32,
        /// Those that are kept from sockets.
        reserve: u32,
    },
}

impl Descriptors {
    /// Raises this process's soft limit to the hard one, and keeps `reserve` of it from sockets.
    ///
    /// # Errors
    /// [`DescriptorError`].
    pub fn raise(reserve: u32) -> Result<Self, DescriptorError> {
        let (soft, hard) = Resource::NOFILE.get().map_err(DescriptorError::Unknown)?;
        let limit = match Resource::NOFILE.set(hard, hard) {
            Ok(()) => hard,
            Err(cause) => {
                warn!("the limit of open files stays at {soft} of {hard}: {cause}");
                soft
            }
        };
        let descriptors = Self::new(limit, reserve)?;
        let capacity = descriptors.capacity();
        info!(
            descriptors.limit = limit,
            descriptors.reserve = reserve,
            sockets.max = capacity,
            "there is place for {capacity} sockets"
        );
        Ok(descriptors)
    }

    /// Of `limit` descriptors, `reserve` are kept from sockets.
    ///
    /// # Errors
    /// [`DescriptorError::TooFew`].
    pub fn new(limit: u64, reserve: u32) -> Result<Self, DescriptorError> {
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        match limit.checked_sub(reserve) {
            None | Some(0) => Err(DescriptorError::TooFew { limit, reserve }),
            Some(capacity) => Ok(Self(Arc::new(Inner { limit, capacity, used: AtomicU32::new(0) }))),
        }
    }

    /// Takes `count` descriptors; `None` when so many are not free.
    pub fn take(&self, count: u32) -> Option<Place> {
        let more = |used: u32| used.checked_add(count).filter(|used| *used <= self.0.capacity);
        self.0.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Place { descriptors: self.clone(), count })
    }

    /// Takes back what [`Place::keep`] gave away.
    pub fn give_back(&self, count: u32) {
        self.0.used.fetch_sub(count, Ordering::Relaxed);
    }

    /// How many the process may have.
    pub fn limit(&self) -> u32 {
        self.0.limit
    }

    /// How many of them sockets may take.
    pub fn capacity(&self) -> u32 {
        self.0.capacity
    }

    /// How many they have taken.
    pub fn used(&self) -> u32 {
        self.0.used.load(Ordering::Relaxed)
    }
}

impl Place {
    /// Gives the number away, for whoever wants to remember nothing else of it for a connection:
    /// [`Descriptors::give_back`] is to be called with it.
    pub fn keep(mut self) -> u32 {
        std::mem::take(&mut self.count)
    }

    /// Adds another's descriptors to this.
    pub fn join(&mut self, other: Self) {
        self.count += other.keep();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.descriptors.give_back(self.count);
    }
}

impl Carried {
    /// Carries the place of a connection.
    pub fn new(place: Place) -> Self {
        Self(Arc::new(Mutex::new(Some(place))))
    }

    /// The place, for what the connection becomes; `None` when somebody has it already.
    pub fn take_over(&self) -> Option<Place> {
        self.0.lock().expect("no holder of this lock panics").take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_taken_handed_on_and_given_back() {
        let descriptors = Descriptors::new(10, 7).unwrap();
        let carried = Carried::new(descriptors.take(1).unwrap());
        assert!(descriptors.take(3).is_none() && descriptors.take(u32::MAX).is_none());
        let mut place = carried.take_over().unwrap();
        assert!(carried.take_over().is_none());
        drop(carried);
        place.join(descriptors.take(2).unwrap());
        assert_eq!((descriptors.used(), descriptors.take(1).is_some()), (3, false));
        let kept = place.keep();
        assert_eq!((descriptors.used(), kept), (3, 3));
        descriptors.give_back(kept);
        assert_eq!(descriptors.used(), 0);
        drop(descriptors.take(1));
        assert_eq!(descriptors.used(), 0);
    }

    #[test]
    fn a_reserve_that_takes_everything_is_an_error() {
        for (limit, reserve) in [(100, 100), (100, 101), (0, 0)] {
            let error = Descriptors::new(limit, reserve).unwrap_err().to_string();
            assert!(error.contains("http.descriptors_reserve"), "{error}");
        }
        assert_eq!(Descriptors::new(u64::MAX, 1).unwrap().capacity(), u32::MAX - 1, "no limit at all");
    }
}
