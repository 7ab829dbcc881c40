//! What a process does.

use clap::ValueEnum;

/// The part that a process takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Everything, in one process.
    All,
    /// Answers HTTP.
    Api,
    /// Holds the sockets.
    Hub,
    /// Relays changes and delivers notifications.
    Workers,
}

impl Role {
    /// Whether this process answers HTTP.
    pub(crate) fn has_api(self) -> bool {
        matches!(self, Self::All | Self::Api)
    }

    /// Whether this process holds sockets.
    pub(crate) fn has_hub(self) -> bool {
        matches!(self, Self::All | Self::Hub)
    }

    /// Whether this process delivers.
    pub(crate) fn has_workers(self) -> bool {
        matches!(self, Self::All | Self::Workers)
    }

    /// Whether this process needs the database.
    pub(crate) fn has_store(self) -> bool {
        self.has_api() || self.has_workers()
    }

    /// Whether this process listens on the public port.
    pub(crate) fn is_public(self) -> bool {
        self.has_api() || self.has_hub()
    }

    /// Whether other processes do the rest.
    pub(crate) fn is_split(self) -> bool {
        self != Self::All
    }
}
