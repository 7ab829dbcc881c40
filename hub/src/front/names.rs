//! The secret names by which emulation requests reach connections.
//!
//! A name tells in which shard of its node the connection is, and proves that a node of this installation made it:
//! so a stranger cannot have us write into the change log by naming another node. To whoever does not have it, it is
//! 15 bytes that cannot be guessed.

use std::fmt;
use std::sync::Arc;

use hmac::{Hmac, Mac};
use sha2::Sha256;
use uuid::Uuid;

/// Bytes that are a shard's number and chance; the rest proves the name.
const FREE_BYTES: usize = 8;

/// Makes and checks names.
pub(crate) struct Names {
    node: Arc<str>,
    key: [u8; 32],
}

/// The number of the shard that a name tells of.
pub(crate) fn shard_of(name: Uuid) -> usize {
    usize::from(name.as_bytes()[0])
}

/// A name that is genuine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Name(Uuid);

impl Name {
    /// As it is written.
    pub(super) fn id(self) -> Uuid {
        self.0
    }

    /// The shard in which the connection is.
    pub(super) fn shard(self) -> usize {
        shard_of(self.0)
    }
}

impl Names {
    /// For the connections of `node`; `key` is the same in the whole installation.
    pub(crate) fn new(node: Arc<str>, key: [u8; 32]) -> Self {
        Self { node, key }
    }

    /// The node whose connections are named.
    pub(super) fn node(&self) -> &str {
        &self.node
    }

    /// A name for a connection in the shard with this number; there are at most 256.
    pub(super) fn make(&self, shard: usize) -> Name {
        let mut bytes = [0; 16];
        bytes[..FREE_BYTES].copy_from_slice(&rand::random::<[u8; FREE_BYTES]>());
        bytes[0] = u8::try_from(shard).expect("the configuration allows 256 shards");
        let proof = self.mac(&self.node, &bytes).finalize().into_bytes();
        bytes[FREE_BYTES..].copy_from_slice(&proof[..16 - FREE_BYTES]);
        Name(Uuid::from_bytes(bytes))
    }

    /// Reads the name of a connection at `node`; `None` when none of ours made it.
    pub(super) fn check(&self, name: &str, node: &str) -> Option<Name> {
        let name = Uuid::try_parse(name).ok()?;
        let proof = &name.as_bytes()[FREE_BYTES..];
        self.mac(node, name.as_bytes()).verify_truncated_left(proof).ok()?;
        Some(Name(name))
    }

    fn mac(&self, node: &str, bytes: &[u8; 16]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        mac.update(&bytes[..FREE_BYTES]);
        mac.update(node.as_bytes());
        mac
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").field("node", &self.node).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_good_for_the_node_that_made_them() {
        let (one, other) = (Names::new("one".into(), [7; 32]), Names::new("other".into(), [7; 32]));
        let name = one.make(3);
        let text = name.id().to_string();
        assert_eq!((name.shard(), one.make(255).shard()), (3, 255));
        assert_eq!(one.check(&text, "one"), Some(name));
        assert_eq!(other.check(&text, "one"), Some(name), "every node can tell");
        assert_ne!(one.make(3), name);

        let stranger = Names::new("one".into(), [8; 32]);
        for (names, text, node) in [
            (&one, &*text, "other"),
            (&one, &text[1..], "one"),
            (&one, "", "one"),
            (&one, &*stranger.make(3).id().to_string(), "one"),
            (&one, &*Uuid::from_u128(name.id().as_u128() ^ (1 << 120)).to_string(), "one"),
        ] {
            assert_eq!(names.check(text, node), None, "{text} at {node}");
        }
    }
}
