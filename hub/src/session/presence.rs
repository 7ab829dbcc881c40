//! `presence` and `presence_stats`: who is there, and how many.

use std::borrow::Cow;
use std::collections::BTreeMap;

use domain::Topic;
use protocol::centrifuge::Payload;
use protocol::centrifuge::reply::{Answer, ClientInfo, PresenceStats};
use protocol::codes::ErrorCode;
use serde::Deserialize;
use serde_json::json;

use super::{Fault, Out, Session, World};
use crate::classes::Rights;
use crate::presence::{Headcount, Member, Seat};
use crate::publication::client_info;

/// Arguments of the rpc `presence`.
#[derive(Deserialize)]
struct Asked<'a> {
    #[serde(borrow)]
    topics: Vec<Cow<'a, str>>,
}

impl Session {
    pub(super) fn presence(
        &self,
        id: u32,
        name: &str,
        world: &World<'_>,
        out: &mut Out,
    ) -> Result<(), Fault> {
        let topic = self.may_see(name, world)?;
        let list = world.presence.list(&topic).ok_or(ErrorCode::LimitExceeded)?;
        let clients: BTreeMap<Cow<'_, str>, ClientInfo<'_>> =
            list.iter().map(|member| ((&*member.info.client).into(), client_info(&member.info))).collect();
        out.answer(id, Answer::Presence(clients));
        Ok(())
    }

    pub(super) fn presence_stats(
        &self,
        id: u32,
        name: &str,
        world: &World<'_>,
        out: &mut Out,
    ) -> Result<(), Fault> {
        let topic = self.may_see(name, world)?;
        let Headcount { clients, users } = world.presence.count(&topic);
        let narrow = |count| u32::try_from(count).unwrap_or(u32::MAX);
        out.answer(
            id,
            Answer::PresenceStats(PresenceStats { num_clients: narrow(clients), num_users: narrow(users) }),
        );
        Ok(())
    }

    /// The rpc `presence`: how many follow each of some topics.
    pub(super) fn presence_counts(
        &self,
        id: u32,
        data: Option<&Payload<'_>>,
        world: &World<'_>,
        out: &mut Out,
    ) -> Result<(), Fault> {
        let data = data.ok_or(ErrorCode::BadRequest)?;
        let asked: Asked<'_> = serde_json::from_slice(data.as_bytes()).map_err(|_| ErrorCode::BadRequest)?;
        if asked.topics.len() > usize::from(world.config.limits.topics_per_connection_max) {
            return Err(ErrorCode::LimitExceeded.into());
        }
        let mut topics = BTreeMap::new();
        for name in asked.topics {
            let topic = self.may_see(&name, world)?;
            let Headcount { clients, users } = world.presence.count(&topic);
            topics.insert(name, json!({ "clients": clients, "users": users }));
        }
        let answer = json!({ "topics": topics }).to_string();
        out.answer(id, Answer::Rpc(Some(Payload::trusted(answer.as_bytes()))));
        Ok(())
    }

    /// Reads a topic's name and checks that it is known who is there, and that this client may know it.
    pub(super) fn may_see(&self, name: &str, world: &World<'_>) -> Result<Topic, Fault> {
        let (topic, class) = self.known(name, world)?;
        if !class.presence {
            return Err(ErrorCode::NotAvailable.into());
        }
        self.check_may(class.read_presence, (&topic, class), world)?;
        Ok(topic)
    }

    /// Gives the newest subscription its place among those who are there, where that is known.
    pub(super) fn take_seat(&mut self, topic: &Topic, rights: Rights, world: &World<'_>) {
        if !rights.presence && !rights.announces {
            return;
        }
        let info = self.publisher(topic, world.topics);
        let member = Member { info, seen: rights.presence, announced: rights.announces };
        let seat: Seat = world.presence.enter(topic, member);
        if let Some(subscription) = self.subscriptions.last_mut() {
            subscription.extra.get_or_insert_default().seat = Some(seat);
        }
    }
}
