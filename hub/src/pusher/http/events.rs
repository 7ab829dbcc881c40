//! `POST /apps/{id}/events`, `batch_events` and `users/{id}/terminate_connections`.

use axum::response::Response;
use bytes::Bytes;
use domain::{Attributes, Lane, PublicationId};
use protocol::pusher::http::{Batch, BatchInfo, ChannelInfo, Channels, Trigger};
use protocol::pusher::topics::Mapped;
use protocol::pusher::{SocketId, event, is_event_name};
use streams::NewPublication;
use uuid::Uuid;

use super::{ApiError, Desk, Signed, json};
use crate::pusher::counts::Counts;
use crate::pusher::{App, tasks};

impl Desk {
    pub(super) async fn trigger(&self, signed: &Signed) -> Result<Response, ApiError> {
        let trigger = Trigger::read(&signed.body).map_err(|error| ApiError::Bad(error.to_string()))?;
        let publications = self.publications(&signed.app, &trigger)?;
        self.log.append(&publications).await.map_err(ApiError::Log)?;
        let asked = trigger.info.as_deref().unwrap_or_default();
        if asked.is_empty() {
            return Ok(json(&serde_json::json!({})));
        }
        let about = |name: &str| (name.to_owned(), self.info(&signed.app, name, asked));
        Ok(json(&Channels { channels: trigger.all_channels().map(about).collect() }))
    }

    pub(super) async fn trigger_batch(&self, signed: &Signed) -> Result<Response, ApiError> {
        let batch = Batch::read(&signed.body).map_err(|error| ApiError::Bad(error.to_string()))?.batch;
        let batch_max = usize::from(self.pusher.config.batch_events_max);
        if batch.len() > batch_max {
            return Err(ApiError::Bad(format!("a batch has at most {batch_max} events")));
        }
        let mut publications = Vec::with_capacity(batch.len());
        for trigger in &batch {
            if trigger.all_channels().count() != 1 {
                return Err(ApiError::Bad("each event of a batch has one channel".to_owned()));
            }
            publications.extend(self.publications(&signed.app, trigger)?);
        }
        self.log.append(&publications).await.map_err(ApiError::Log)?;
        if batch.iter().all(|trigger| trigger.info.as_deref().unwrap_or_default().is_empty()) {
            return Ok(json(&serde_json::json!({})));
        }
        let about = |trigger: &Trigger| -> ChannelInfo {
            let asked = trigger.info.as_deref().unwrap_or_default();
            let name = trigger.all_channels().next().unwrap_or_default();
            self.info(&signed.app, name, asked)
        };
        Ok(json(&BatchInfo { batch: batch.iter().map(about).collect() }))
    }

    /// One publication for each topic that the event names.
    fn publications(&self, app: &App, trigger: &Trigger) -> Result<Vec<NewPublication>, ApiError> {
        let config = &self.pusher.config;
        let (channels_max, bytes_max) =
            (usize::from(config.event_channels_max), config.event_bytes_max as usize);
        if !is_event_name(&trigger.name) {
            return Err(ApiError::Bad(format!("\"{}\" is no name for an event", trigger.name)));
        }
        if trigger.data.len() > bytes_max {
            return Err(ApiError::TooLarge(format!("the data of an event has at most {bytes_max} bytes")));
        }
        if !(1..=channels_max).contains(&trigger.all_channels().count()) {
            return Err(ApiError::Bad(format!("an event has 1 to {channels_max} channels")));
        }
        let exclude = trigger.socket_id.as_deref().filter(|id| !id.is_empty()).map(str::parse::<SocketId>);
        let exclude = exclude.transpose().map_err(|error| ApiError::Bad(error.to_string()))?;
        let attributes = Attributes {
            event: Some(trigger.name.clone()),
            exclude: exclude.map(|id| id.to_string()),
            ..Attributes::default()
        };
        let attributes = attributes.encode().map(Bytes::from);
        let data = Bytes::from(event::payload(&trigger.name, &trigger.data));
        let mut publications: Vec<NewPublication> = Vec::new();
        for name in trigger.all_channels() {
            let Mapped { topic, .. } = app
                .topic(self.name(name)?)
                .ok_or_else(|| ApiError::Bad(format!("there is no channel \"{name}\"")))?;
            if publications.iter().any(|one| one.topic == topic) {
                continue; // two names of one topic
            }
            publications.push(NewPublication {
                id: PublicationId(Uuid::new_v4()),
                topic,
                data: data.clone(),
                lane: Lane::Standard,
                change: None,
                attributes: attributes.clone(),
                at: self.clock.now(),
            });
        }
        Ok(publications)
    }

    /// Closes the connections of a signed-in user, on every node.
    pub(super) async fn terminate(&self, signed: &Signed, user: &str) -> Result<Response, ApiError> {
        let publication = NewPublication {
            id: PublicationId(Uuid::new_v4()),
            topic: Counts::topic(),
            data: Bytes::from(tasks::termination(&signed.app.id, user)),
            lane: Lane::Standard,
            change: None,
            attributes: None,
            at: self.clock.now(),
        };
        self.log.append(&[publication]).await.map_err(ApiError::Log)?;
        Ok(json(&serde_json::json!({})))
    }
}
