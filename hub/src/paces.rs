//! How fast things may come: of the whole node, of one address, of one user. Kept by governor, in this process.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::Arc;

use governor::state::keyed::DefaultKeyedStateStore;
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};
use service::address::AddressPrefix;

use crate::config::{DoorLimits, Limits};

/// The paces of a node. Cloning is cheap.
#[derive(Debug, Clone)]
pub(crate) struct Paces(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    connects: DefaultDirectRateLimiter,
    connects_of: Keyed<AddressPrefix>,
    commands_of: Keyed<Arc<str>>,
}

/// A pace for each of a bounded number of keys, and one for all the others together.
struct Keyed<K: Hash + Eq + Clone> {
    limiter: RateLimiter<K, DefaultKeyedStateStore<K>, governor::clock::DefaultClock>,
    rest: K,
    keys_max: usize,
}

/// Whose pace a connection has gone beyond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TooFast {
    /// The node's.
    Node,
    /// The address's.
    Address,
}

impl Paces {
    /// Nothing has come yet.
    pub(crate) fn new(door: &DoorLimits, limits: &Limits) -> Self {
        let of_address = (door.connects_per_second_per_address, door.connects_burst_per_address);
        let of_user = (limits.commands_per_second_per_user, limits.commands_burst_per_user);
        Self(Arc::new(Inner {
            connects: RateLimiter::direct(quota((door.connects_per_second, door.connects_burst))),
            connects_of: Keyed::new(of_address, AddressPrefix(u128::MAX), door.addresses_max),
            commands_of: Keyed::new(of_user, "".into(), limits.connections_max),
        }))
    }

    /// A connection begins.
    ///
    /// # Errors
    /// [`TooFast`].
    pub(crate) fn connect(&self, address: AddressPrefix) -> Result<(), TooFast> {
        if !self.0.connects_of.allows(&address) {
            return Err(TooFast::Address);
        }
        self.0.connects.check().map_err(|_| TooFast::Node)
    }

    /// A connection of `user` gives a command; whether it is in time.
    pub(crate) fn command(&self, user: &Arc<str>) -> bool {
        self.0.commands_of.allows(user)
    }

    /// Forgets those who may go at full speed again.
    pub(crate) fn sweep(&self) {
        self.0.connects_of.sweep();
        self.0.commands_of.sweep();
    }
}

impl<K: Hash + Eq + Clone> Keyed<K> {
    fn new(pace: (u32, u32), rest: K, keys_max: u32) -> Self {
        let limiter: DefaultKeyedRateLimiter<K> = RateLimiter::keyed(quota(pace));
        Self { limiter, rest, keys_max: keys_max as usize }
    }

    fn allows(&self, key: &K) -> bool {
        let full = self.limiter.len() >= self.keys_max;
        self.limiter.check_key(if full { &self.rest } else { key }).is_ok()
    }

    fn sweep(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
    }
}

impl<K: Hash + Eq + Clone> std::fmt::Debug for Keyed<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyed").field("keys_max", &self.keys_max).finish_non_exhaustive()
    }
}

fn quota((per_second, burst): (u32, u32)) -> Quota {
    let at_least_one = |count| NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
    Quota::per_second(at_least_one(per_second)).allow_burst(at_least_one(burst))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paces(node: u32, address: u32, addresses_max: u32) -> Paces {
        let door = DoorLimits {
            connects_per_second: 1,
            connects_burst: node,
            connects_per_second_per_address: 1,
            connects_burst_per_address: address,
            addresses_max,
            ..DoorLimits::default()
        };
        let limits =
            Limits { commands_per_second_per_user: 1, commands_burst_per_user: 2, ..Limits::default() };
        Paces::new(&door, &limits)
    }

    #[test]
    fn each_address_has_its_pace_within_that_of_the_node() {
        let paces = paces(3, 2, 100);
        let connect = |address| paces.connect(AddressPrefix(address));
        assert_eq!([connect(1), connect(1), connect(1)], [Ok(()), Ok(()), Err(TooFast::Address)]);
        assert_eq!([connect(2), connect(3)], [Ok(()), Err(TooFast::Node)]);
        assert!(paces.command(&"4".into()) && paces.command(&"4".into()) && !paces.command(&"4".into()));
        assert!(paces.command(&"5".into()));
        paces.sweep();
    }

    #[test]
    fn newcomers_share_one_pace_when_the_memory_is_full() {
        let paces = paces(100, 1, 2);
        let connect = |address| paces.connect(AddressPrefix(address));
        assert_eq!([connect(1), connect(2), connect(3)], [Ok(()); 3]);
        assert_eq!([connect(4), connect(5)], [Err(TooFast::Address); 2]);
    }
}
