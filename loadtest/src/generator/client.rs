//! One client of a generator: as small as it can be, because there are many.

use std::os::fd::OwnedFd;

/// How far a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It has no connection, and waits for its turn to have one.
    Waiting,
    /// Its connection is being made.
    Dialing,
    /// It has asked for the upgrade.
    Asking,
    /// It has said who it is and what it wants.
    Entering,
    /// It is subscribed to everything.
    Live,
    /// Its connection is over.
    Over,
}

/// One client.
#[derive(Debug)]
pub(super) struct Client {
    pub socket: Option<OwnedFd>,
    pub stage: Stage,
    /// Answers that it waits for.
    pub due: u16,
    /// The beginning of a frame whose end has not come yet.
    #[expect(clippy::box_collection, reason = "a pointer for what is hardly ever there")]
    pub rest: Option<Box<Vec<u8>>>,
    /// When it dialed, in nanoseconds of the monotonic clock.
    pub dialed_ns: u64,
}

impl Default for Client {
    fn default() -> Self {
        Self { socket: None, stage: Stage::Waiting, due: 0, rest: None, dialed_ns: 0 }
    }
}
