//! Which class a topic belongs to, who may do what there, and what a subscriber gets.

use domain::{Permission, Topic, TopicKind};
use protocol::centrifuge::command::SubscribeRequest;

use crate::authority::{Identity, Overrides};
use crate::config::{Class, Classes, DEFAULT_CLASS, Offer, Who};

/// Somebody who wants to do something in a topic.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller<'a> {
    /// Who; `None` for nobody in particular.
    pub(crate) identity: Option<&'a Identity>,
    /// Whether they subscribe to the topic now.
    pub(crate) subscribed: bool,
    /// Where.
    pub(crate) topic: &'a Topic,
}

/// What a subscriber gets of what they wished and the class offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is granted or not, apart from the others")]
pub(crate) struct Rights {
    /// Whether positions can be recovered from.
    pub(crate) recoverable: bool,
    /// Whether positions are told.
    pub(crate) positioned: bool,
    /// Whether they are told who comes and goes.
    pub(crate) join_leave: bool,
    /// Whether others see that they are there.
    pub(crate) presence: bool,
    /// Whether who comes and goes is told at all in this topic.
    pub(crate) announces: bool,
    /// Whether they get differences.
    pub(crate) delta: bool,
}

impl Classes {
    /// The class of a topic; `None` when there can be no such topic.
    pub(crate) fn of(&self, topic: &Topic) -> Option<&Class> {
        if topic.as_str().starts_with('$') {
            return None; // what nodes tell each other
        }
        let name = match topic.as_str().split_once(':') {
            None if topic.kind() == TopicKind::Festival => "festival",
            None => DEFAULT_CLASS,
            Some((DEFAULT_CLASS, _) | ("user", "")) => return None,
            // these have names of our own making only
            Some(("festival" | "venue" | "event" | "staff", _)) if topic.kind() == TopicKind::Other => {
                return None;
            }
            Some((name, _)) => name,
        };
        self.0.get(name)
    }
}

impl Class {
    /// Whether `who`, which is a permission of this class, includes `caller`.
    pub(crate) fn allows(&self, who: Who, caller: Caller<'_>) -> bool {
        let user = caller.identity.map_or("", |identity| &*identity.user);
        match who {
            Who::Nobody | Who::Token => false,
            Who::Subscriber => caller.subscribed,
            Who::Follower => caller.subscribed || self.allows(self.subscribe, caller),
            Who::Owner => {
                let owner = caller.topic.as_str().split_once(':').map_or("", |(_, owner)| owner);
                !user.is_empty() && owner == user
            }
            Who::Staff => caller
                .identity
                .and_then(|identity| identity.principal.as_ref())
                .is_some_and(|principal| principal.may(Permission::WatchStaffTopics)),
            // by Pusher's convention, whose applications have such topics too
            Who::User | Who::Anyone if caller.topic.is_guarded() => false,
            Who::User => !user.is_empty(),
            Who::Anyone => true,
        }
    }

    /// Whether publications are kept.
    pub(crate) fn has_history(&self) -> bool {
        self.history_size > 0
    }

    /// What a subscriber gets who wishes this, or for whom a token makes exceptions.
    pub(crate) fn rights(&self, wish: Option<&SubscribeRequest<'_>>, overrides: Overrides) -> Rights {
        let offer = |offer: Offer, exception: Option<bool>| match exception {
            Some(true) => Offer::Forced,
            Some(false) if offer == Offer::Forced => Offer::Asked,
            _ => offer,
        };
        let wished = |read: fn(&SubscribeRequest<'_>) -> bool| wish.is_some_and(read);
        let recovery = offer(self.recovery, overrides.force_recovery);
        let recoverable =
            self.has_history() && recovery.grants(wished(|wish| wish.recoverable || wish.recover));
        let positions = offer(self.positioned, overrides.force_positioning);
        let positioned = recoverable || positions.grants(wished(|wish| wish.positioned));
        let allowed = match overrides.join_leave {
            Some(true) if self.join_leave == Offer::Off => Offer::Asked,
            Some(false) => Offer::Off,
            _ => self.join_leave,
        };
        let join_leave =
            if allowed == Offer::Off { allowed } else { offer(allowed, overrides.force_push_join_leave) };
        Rights {
            recoverable,
            positioned,
            join_leave: join_leave.grants(wished(|wish| wish.join_leave)),
            presence: overrides.presence.unwrap_or(self.presence),
            announces: join_leave != Offer::Off,
            delta: self.delta && positioned && wished(|wish| &*wish.delta == "fossil"),
        }
    }
}
