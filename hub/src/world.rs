//! What a conversation works with: the memory of its shard and of its node.

use domain::Timestamp;
use streams::Partition;

use crate::authority::Authority;
use crate::census::Census;
use crate::config::Config;
use crate::history::Histories;
use crate::metrics::ShardMetrics;
use crate::paces::Paces;
use crate::presence::Presence;
use crate::topics::{ConnectionIndex, Topics};

/// What a session works with.
pub(crate) struct World<'w> {
    pub(crate) config: &'w Config,
    pub(crate) authority: &'w Authority,
    pub(crate) census: &'w Census,
    pub(crate) paces: &'w Paces,
    pub(crate) histories: &'w Histories,
    pub(crate) presence: &'w Presence,
    pub(crate) topics: &'w mut Topics,
    pub(crate) metrics: &'w ShardMetrics,
    /// The session's connection in its shard.
    pub(crate) connection: ConnectionIndex,
    /// Wall time.
    pub(crate) now: Timestamp,
    /// Since the shard began.
    pub(crate) uptime_ms: u64,
    /// The name of this node.
    pub(crate) node: &'w str,
    /// What to do about positions ahead of this node.
    pub(crate) patience: Patience,
}

/// What to do about a position ahead of this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Hold the command until the node has come that far.
    Wait,
    /// It took too long: a temporary error.
    Over,
    /// The log itself has not come further than `last`: beyond it lies nothing, the position is void.
    Lost { partition: Partition, last: u64 },
}
