//! How many connections there are, in all and of each user. Asked when a connection begins and ends, never between.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use dashmap::DashMap;
use service::Descriptors;
use service::address::AddressPrefix;
use service::descriptors::Place;

/// The count of this process. Cloning is cheap.
#[derive(Debug, Clone)]
pub(crate) struct Census(Arc<Inner>);

/// Why the inside of a census can still be changed.
const ALONE: &str = "nobody else has it yet";

#[derive(Debug)]
struct Inner {
    connections: AtomicU32,
    connections_max: u32,
    users: DashMap<Arc<str>, u32>,
    per_user_max: u32,
    addresses: DashMap<AddressPrefix, u32>,
    per_address_max: u32,
    /// Where descriptors are given back.
    descriptors: Option<Descriptors>,
}

/// One connection's place among those that are allowed; given back when dropped.
#[derive(Debug)]
pub(crate) struct Admission {
    census: Census,
    address: Option<Packed>,
    /// How many descriptors it has.
    descriptors: u32,
}

/// An address prefix in half of its space: of IPv6 the lower half is zero, of IPv4 the upper.
#[derive(Debug, Clone, Copy)]
enum Packed {
    Upper([u8; 8]),
    Lower([u8; 8]),
}

impl From<AddressPrefix> for Packed {
    fn from(AddressPrefix(bits): AddressPrefix) -> Self {
        match bits.to_be_bytes().as_chunks::<8>().0 {
            [upper, [0, 0, 0, 0, 0, 0, 0, 0]] => Self::Upper(*upper),
            [.., lower] => Self::Lower(*lower),
            [] => Self::Lower([0; 8]),
        }
    }
}

impl From<Packed> for AddressPrefix {
    fn from(packed: Packed) -> Self {
        Self(match packed {
            Packed::Upper(bytes) => u128::from(u64::from_be_bytes(bytes)) << 64,
            Packed::Lower(bytes) => u128::from(u64::from_be_bytes(bytes)),
        })
    }
}

/// Which places are all taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// Those of the node.
    Node,
    /// Those of the address.
    Address,
}

impl Census {
    /// With these limits.
    pub(crate) fn new(connections_max: u32, per_user_max: u32, per_address_max: u32) -> Self {
        Self(Arc::new(Inner {
            connections: AtomicU32::new(0),
            connections_max,
            users: DashMap::new(),
            per_user_max,
            addresses: DashMap::new(),
            per_address_max,
            descriptors: None,
        }))
    }

    /// Has connections take their places among `descriptors`, too.
    #[must_use]
    pub(crate) fn within(mut self, descriptors: &Descriptors) -> Self {
        Arc::get_mut(&mut self.0).expect(ALONE).descriptors = Some(descriptors.clone());
        self
    }

    /// Places for `count` more descriptors.
    ///
    /// # Errors
    /// [`Full::Node`] when there are none.
    pub(crate) fn descriptors(&self, count: u32) -> Result<Option<Place>, Full> {
        let Some(descriptors) = &self.0.descriptors else { return Ok(None) };
        descriptors.take(count).map(Some).ok_or(Full::Node)
    }

    /// A place for one more connection from `address`.
    ///
    /// # Errors
    /// [`Full`] when there is none.
    pub(crate) fn admit(&self, address: AddressPrefix) -> Result<Admission, Full> {
        let more = |count| (count < self.0.connections_max).then_some(count + 1);
        self.0
            .connections
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .map_err(|_| Full::Node)?;
        let mut admission = Admission { census: self.clone(), address: None, descriptors: 0 };
        let mut count = self.0.addresses.entry(address).or_insert(0);
        if *count >= self.0.per_address_max {
            return Err(Full::Address); // the place of the node is given back
        }
        *count += 1;
        admission.address = Some(address.into());
        Ok(admission)
    }

    /// How many users have connections; nobody in particular is none.
    pub(crate) fn users(&self) -> usize {
        self.0.users.len()
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

impl Admission {
    /// Holds `place`, too.
    pub(crate) fn hold(&mut self, place: Place) {
        if self.census.0.descriptors.is_some() {
            self.descriptors += place.keep();
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if let Some(descriptors) = &self.census.0.descriptors {
            descriptors.give_back(self.descriptors);
        }
        self.census.0.connections.fetch_sub(1, Ordering::Relaxed);
        if let Some(address) = self.address.map(AddressPrefix::from) {
            self.census.0.addresses.remove_if_mut(&address, |_, count| {
                *count -= 1;
                *count == 0
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_kept_in_half_of_their_space() {
        for bits in [0, 1, 0xffff_0102_0304, 0x2001_0db8_u128 << 96, u128::from(u64::MAX) << 64] {
            assert_eq!(AddressPrefix::from(Packed::from(AddressPrefix(bits))), AddressPrefix(bits));
        }
    }

    #[test]
    fn places_are_given_back() {
        let census = Census::new(3, 1, 2);
        let (here, there) = (AddressPrefix(1), AddressPrefix(2));
        let (one, two) = (census.admit(here), census.admit(here));
        assert!(one.is_ok() && two.is_ok());
        assert_eq!(census.admit(here).err(), Some(Full::Address));
        let three = census.admit(there);
        assert_eq!((three.is_ok(), census.admit(there).err()), (true, Some(Full::Node)));
        drop(one);
        assert!(census.admit(here).is_ok());
        let [ali, mona, nobody]: [Arc<str>; 3] = ["ali", "mona", ""].map(Arc::from);
        assert!(census.enter(&ali) && !census.enter(&ali) && census.enter(&mona));
        assert!(census.enter(&nobody) && census.enter(&nobody));
        census.leave(&ali);
        census.leave(&nobody);
        assert!(census.enter(&ali));
    }
}
