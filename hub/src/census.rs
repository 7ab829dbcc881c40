//! How many connections there are, in all and of each user. Asked when a connection begins and ends, never between.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use dashmap::DashMap;

/// The count of this process. Cloning is cheap.
#[derive(Debug, Clone)]
pub(crate) struct Census(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    connections: AtomicU32,
    connections_max: u32,
    users: DashMap<Arc<str>, u32>,
    per_user_max: u32,
}

/// One connection's place among those that are allowed; given back when dropped.
#[derive(Debug)]
pub(crate) struct Admission(Census);

impl Census {
    /// With these limits.
    pub(crate) fn new(connections_max: u32, per_user_max: u32) -> Self {
        let connections = AtomicU32::new(0);
        Self(Arc::new(Inner { connections, connections_max, users: DashMap::new(), per_user_max }))
    }

    /// A place for one more connection; `None` when there is none.
    pub(crate) fn admit(&self) -> Option<Admission> {
        let more = |count| (count < self.0.connections_max).then_some(count + 1);
        self.0.connections.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Admission(self.clone()))
    }

    /// Counts a connection of `user`; false when it would be one too many. Nobody in particular is not counted.
    pub(crate) fn enter(&self, user: &Arc<str>) -> bool {
        if user.is_empty() {
            return true;
        }
        let mut count = self.0.users.entry(Arc::clone(user)).or_insert(0);
        let fits = *count < self.0.per_user_max;
        *count += u32::from(fits);
        fits
    }

    /// Takes a connection of `user` out of the count.
    pub(crate) fn leave(&self, user: &Arc<str>) {
        self.0.users.remove_if_mut(user, |_, count| {
            *count -= 1;
            *count == 0
        });
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.0.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_given_back() {
        let census = Census::new(2, 1);
        let (one, two) = (census.admit(), census.admit());
        assert!(one.is_some() && two.is_some() && census.admit().is_none());
        drop(one);
        assert!(census.admit().is_some());
        let [ali, mona, nobody]: [Arc<str>; 3] = ["ali", "mona", ""].map(Arc::from);
        assert!(census.enter(&ali) && !census.enter(&ali) && census.enter(&mona));
        assert!(census.enter(&nobody) && census.enter(&nobody));
        census.leave(&ali);
        census.leave(&nobody);
        assert!(census.enter(&ali));
    }
}
