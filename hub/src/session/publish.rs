//! `publish`: what a client says to all who follow a topic.

use bytes::Bytes;
use domain::{Attributes, Lane, PublicationId, Publisher, Topic};
use protocol::centrifuge::command::PublishRequest;
use protocol::centrifuge::minify;
use protocol::codes::ErrorCode;
use serde_json::value::RawValue;
use streams::NewPublication;
use uuid::Uuid;

use super::{Fault, Out, Session, World};
use crate::publish::Submission;
use crate::topics::Topics;

impl Session {
    /// The answer comes when the change log has the publication.
    pub(super) fn publish(
        &mut self,
        id: u32,
        request: &PublishRequest<'_>,
        world: &mut World<'_>,
        out: &mut Out,
    ) -> Result<(), Fault> {
        if request.kind != 0 {
            return Err(ErrorCode::NotAvailable.into());
        }
        let (topic, class) = self.may(&request.channel, |class| class.publish, world)?;
        let data = request.data.as_ref().ok_or(ErrorCode::BadRequest)?;
        // subscribers of every dialect have to understand it
        let data = minify(data.as_bytes()).map_err(|_| ErrorCode::BadRequest)?;
        let attributes = Attributes {
            info: Some(self.publisher(&topic, world.topics)),
            ephemeral: !class.has_history(),
            ..Attributes::default()
        };
        let publication = NewPublication {
            id: PublicationId(Uuid::new_v4()),
            topic,
            data: Bytes::copy_from_slice(&data),
            lane: Lane::Standard,
            change: None,
            attributes: attributes.encode().map(Bytes::from),
            at: world.now,
        };
        out.submissions.push(Submission { command: id, publication });
        Ok(())
    }

    /// What others may know of this client in a topic.
    pub(super) fn publisher(&self, topic: &Topic, topics: &Topics) -> Publisher {
        let raw = |info: Option<&Bytes>| {
            let text = std::str::from_utf8(info?).ok()?;
            RawValue::from_string(text.to_owned()).ok()
        };
        let at = self.subscription_to(topic, topics);
        let extra = at.and_then(|at| self.subscriptions[at].extra.as_deref());
        Publisher {
            user: self.user().to_owned(),
            client: self.client.to_string(),
            conn_info: raw(self.identity.as_ref().and_then(|identity| identity.info.as_ref())),
            chan_info: raw(extra.and_then(|extra| extra.info.as_ref())),
        }
    }
}
