//! What subscribers are told who wish to know who comes and goes.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use domain::{Publisher, Topic};
use protocol::centrifuge::reply::{Event, Push};

use super::Member;
use crate::publication::client_info;
use crate::wire::Wire;

/// Somebody has come or gone.
#[derive(Debug)]
pub(crate) struct Signal {
    /// Where.
    pub(crate) topic: Topic,
    member: Arc<Member>,
    joined: bool,
    frames: [OnceLock<Bytes>; Wire::ALL.len()],
}

impl Signal {
    pub(super) fn new(topic: Topic, member: Arc<Member>, joined: bool) -> Self {
        Self { topic, member, joined, frames: Default::default() }
    }

    /// What a connection of this wire is sent. The first shard with such a subscriber makes it for all.
    pub(crate) fn frame(&self, wire: Wire) -> &Bytes {
        self.frames[wire as usize].get_or_init(|| {
            let info = client_info(&self.member.info);
            let event = if self.joined { Event::Join(info) } else { Event::Leave(info) };
            let mut message = Vec::new();
            wire.write_push(&mut message, Push::to(self.topic.as_str(), event));
            wire.pack(&message)
        })
    }

    /// Who, and whether they have come.
    pub(crate) fn who(&self) -> (&Publisher, bool) {
        (&self.member.info, self.joined)
    }

    /// Where, who, and whether they have come.
    #[cfg(test)]
    pub(super) fn told(&self) -> (&str, &str, bool) {
        (self.topic.as_str(), &self.member.info.client, self.joined)
    }
}
