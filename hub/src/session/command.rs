//! What the server does to a connection on its own account, at the word of an application's back end.

use std::sync::Arc;

use bytes::Bytes;
use domain::{Timestamp, Topic};
use protocol::centrifuge::Payload;
use protocol::centrifuge::command::SubscribeRequest;
use protocol::centrifuge::reply::{Event, Push, SubRefreshResult, Subscribed};
use protocol::codes::{DisconnectCode, ErrorCode, UnsubscribeCode};

use super::access::ttl;
use super::subscribe::{Plan, plan};
use super::{Extra, Fault, Out, Session, Stop, Subscription, World};
use crate::control::{Begin, Renewal, Whose};

impl Session {
    /// Whose connection it is; `None` for nobody in particular.
    pub(crate) fn owner(&self) -> Option<Arc<str>> {
        self.identity.as_ref().map(|identity| Arc::clone(&identity.user))
    }

    /// Whether it is one of those that `whose` means, once it is known to be the user's.
    pub(crate) fn is_of(&self, whose: &Whose) -> bool {
        let named = |wanted: &str, own: Option<String>| wanted.is_empty() || own.as_deref() == Some(wanted);
        *self.user() == *whose.user
            && self.is_connected()
            && named(&whose.client, Some(self.client()))
            && named(&whose.session, self.door().map(|door| door.to_string()))
    }

    /// The name of the connection.
    pub(crate) fn client(&self) -> String {
        self.client.to_string()
    }

    /// Ends the subscription to `topic`; nothing happens without one.
    pub(crate) fn end_subscription(&mut self, topic: &Topic, world: &mut World<'_>, out: &mut Out) {
        if let Some(at) = self.subscription_to(topic, world.topics) {
            self.say_unsubscribed(at, UnsubscribeCode::Server, world.topics, out);
            self.note_expiry();
        }
    }

    /// Begins a subscription to a topic that is of a class; nothing happens when there is one.
    ///
    /// # Errors
    /// [`DisconnectCode::ChannelLimit`] when it would be one too many.
    pub(crate) fn begin_subscription(
        &mut self,
        begin: &Begin,
        world: &mut World<'_>,
        out: &mut Out,
    ) -> Result<(), DisconnectCode> {
        let topic = &begin.topic;
        let Some(class) = world.config.classes.of(topic) else { return Ok(()) };
        if self.subscription_to(topic, world.topics).is_some() {
            return Ok(());
        }
        if self.subscriptions.len() >= usize::from(world.config.limits.topics_per_connection_max) {
            return Err(DisconnectCode::ChannelLimit);
        }
        let wish = begin.recover_since.as_ref().map(|since| SubscribeRequest {
            recover: true,
            offset: since.offset,
            epoch: (&*since.epoch).into(),
            ..SubscribeRequest::default()
        });
        let planned = match plan(topic, (class, begin.overrides), wish.as_ref(), world) {
            // the position is ahead of this node: what comes next is in its order, too
            Err(Fault::Stop(Stop::Hold { .. })) => plan(topic, (class, begin.overrides), None, world),
            planned => planned,
        };
        let mut plan = match planned {
            Ok(plan) => plan,
            Err(Fault::Refused(ErrorCode::Internal) | Fault::Stop(_)) => {
                return Err(DisconnectCode::InsufficientState);
            }
            Err(Fault::Refused(_)) => return Ok(()),
        };
        plan.agree(None, out.wire.dialect());
        let place = (world.connection, plan.from);
        let id = world.topics.join(topic, plan.partition, place, plan.terms().boxed());
        let info = begin.info.as_ref().map(|info| Bytes::from(info.to_string()));
        let extra = Extra { expires_at: begin.expires_at(), info, seat: None }.boxed();
        self.add(Subscription { id, server_side: true, by_token: true, extra });
        self.take_seat(topic, plan.rights, world);
        self.note_expiry();
        say_begun(begin, &plan, world.now, out);
        Ok(())
    }

    /// Renews the credentials, or ends them.
    ///
    /// # Errors
    /// [`DisconnectCode::Expired`] when they end now.
    pub(crate) fn renew(
        &mut self,
        renewal: &Renewal,
        now: Timestamp,
        out: &mut Out,
    ) -> Result<(), DisconnectCode> {
        let expires_at = renewal.expires_at();
        if renewal.expired || expires_at.is_some_and(|expires_at| expires_at <= now) {
            return Err(DisconnectCode::Expired);
        }
        let Some(identity) = &mut self.identity else { return Ok(()) };
        identity.expires_at = expires_at;
        if let Some(info) = &renewal.info {
            identity.info = Some(Bytes::from(info.to_string()));
        }
        self.note_expiry();
        let result = SubRefreshResult { expires: expires_at.is_some(), ttl: ttl(expires_at, now) };
        out.push(Push::to_connection(Event::Refresh(result)));
        Ok(())
    }
}

/// Tells that a subscription has begun, and what was missed.
fn say_begun(begin: &Begin, plan: &Plan, now: Timestamp, out: &mut Out) {
    let result = plan.result(now);
    let name = begin.topic.as_str();
    let data = begin.data.as_ref().map(ToString::to_string);
    out.push(Push::to(
        name,
        Event::Subscribe(Subscribed {
            recoverable: result.recoverable,
            epoch: result.epoch,
            offset: result.offset,
            positioned: result.positioned,
            data: data.as_ref().map(|data| Payload::trusted(data.as_bytes())),
        }),
    ));
    for publication in result.publications {
        out.push(Push::to(name, Event::Publication(publication)));
    }
}
