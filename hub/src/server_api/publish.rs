//! `publish`, `broadcast`, `history_remove`: what enters topics.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use domain::{Attributes, Lane, PublicationId, Topic};
use protocol::centrifuge::minify;
use protocol::codes::ErrorCode;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use streams::{NewPublication, Position, StreamsError};
use tracing::warn;
use uuid::Uuid;

use super::fault::{Fault, body};
use super::{Answer, ServerApi, raw, read_body};

/// `publish` (to `channel`) and `broadcast` (to `channels`).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Publish<'a> {
    channel: String,
    channels: Vec<String>,
    /// One JSON document.
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    /// The same in base 64.
    b64data: String,
    /// Whether it is heard by those who are there and kept for nobody.
    skip_history: bool,
    tags: BTreeMap<String, String>,
    /// Repeating a request with the same key changes nothing, as long as the log has the publication.
    idempotency_key: String,
    /// Numbers the states of what the topic is about: what is older than what was published is dropped.
    version: u64,
    /// In which `version` counts.
    version_epoch: String,
}

/// `history_remove`.
#[derive(Debug, Deserialize)]
pub(super) struct HistoryRemove {
    channel: String,
}

/// Where a publication is in the log; nothing of one that is kept for nobody.
#[derive(Debug, Default, Serialize)]
pub(super) struct Published {
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<Box<str>>,
}

/// One answer of a broadcast.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Part {
    Result(Published),
    Error(serde_json::Value),
}

/// The answers of a broadcast, in the order of its topics.
#[derive(Debug, Serialize)]
pub(super) struct Broadcast {
    responses: Vec<Part>,
}

impl ServerApi {
    pub(super) async fn publish(&self, request: &Publish<'_>) -> Result<Published, Fault> {
        let data = read_data(request)?;
        let publication = self.publication(&request.channel, request, &data)?;
        let mut published = self.append(vec![publication]).await?;
        published.pop().ok_or_else(|| ErrorCode::Internal.into())
    }

    /// `publish`, several times, in one step: what can be read is appended in its order, and each has its own answer.
    pub(super) async fn publish_run(&self, bodies: &[&[u8]]) -> Vec<Answer> {
        let read = |body: &&[u8]| {
            let request: Publish<'_> = read_body(body)?;
            let data = read_data(&request)?;
            self.publication(&request.channel, &request, &data)
        };
        let parts: Vec<Result<NewPublication, Fault>> = bodies.iter().map(read).collect();
        let publications: Vec<_> = parts.iter().filter_map(|part| part.as_ref().ok().cloned()).collect();
        let appended = if publications.is_empty() { Ok(Vec::new()) } else { self.append(publications).await };
        let mut published = appended.unwrap_or_default().into_iter();
        let answer = |part: Result<NewPublication, Fault>| {
            part?;
            raw(&published.next().ok_or(ErrorCode::Internal)?)
        };
        parts.into_iter().map(answer).collect()
    }

    /// To all topics that there are, in one step.
    pub(super) async fn broadcast(&self, request: &Publish<'_>) -> Result<Broadcast, Fault> {
        if request.channels.is_empty() {
            return Err(ErrorCode::BadRequest.into());
        }
        if request.channels.len() > self.config.server_api.parts_max as usize {
            return Err(ErrorCode::LimitExceeded.into());
        }
        let data = read_data(request)?;
        let parts: Vec<_> =
            request.channels.iter().map(|channel| self.publication(channel, request, &data)).collect();
        let publications = parts.iter().filter_map(|part| part.as_ref().ok().cloned()).collect();
        let mut published = self.append(publications).await?.into_iter();
        let responses = parts.iter().map(|part| match part {
            Ok(_) => Part::Result(published.next().unwrap_or_default()),
            Err(fault) => Part::Error(body(fault.code())),
        });
        Ok(Broadcast { responses: responses.collect() })
    }

    /// Has every node forget what was published in a topic. That goes through the topic itself, so that all agree on what
    /// came before.
    pub(super) async fn history_remove(&self, request: &HistoryRemove) -> Answer {
        let (topic, class) = self.topic(&request.channel)?;
        if !class.has_history() {
            return Err(ErrorCode::NotAvailable.into());
        }
        let attributes = Attributes { clear: true, ..Attributes::default() };
        self.append(vec![self.entry(topic, Bytes::from_static(b"null"), &attributes, Uuid::new_v4())])
            .await?;
        raw(&serde_json::json!({}))
    }

    fn publication(
        &self,
        channel: &str,
        request: &Publish<'_>,
        data: &Bytes,
    ) -> Result<NewPublication, Fault> {
        let (topic, class) = self.topic(channel)?;
        let attributes = Attributes {
            tags: request.tags.clone(),
            ephemeral: request.skip_history || !class.has_history(),
            version: request.version,
            version_epoch: request.version_epoch.clone(),
            ..Attributes::default()
        };
        let id = match &*request.idempotency_key {
            "" => Uuid::new_v4(),
            // the log knows it again on every node
            key => Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("munadi:server-api:{topic}\0{key}").as_bytes()),
        };
        let publication = self.entry(topic, data.clone(), &attributes, id);
        match self.log.check(&publication) {
            Ok(()) => Ok(publication),
            Err(_) => Err(ErrorCode::LimitExceeded.into()),
        }
    }

    fn entry(&self, topic: Topic, data: Bytes, attributes: &Attributes, id: Uuid) -> NewPublication {
        NewPublication {
            id: PublicationId(id),
            topic,
            data,
            lane: Lane::Standard,
            change: None,
            attributes: attributes.encode().map(Bytes::from),
            at: self.clock.now(),
        }
    }

    /// As [`Self::append_all`]; waits until this node has read it, too, so that whoever subscribes here when the sender has
    /// its answer finds the publication behind and not before them.
    async fn append(&self, publications: Vec<NewPublication>) -> Result<Vec<Published>, Fault> {
        let positions = self.append_all(&publications).await?;
        let partition = |publication: &NewPublication| self.log.partition_of(&publication.topic);
        let places: Vec<_> = publications.iter().map(partition).zip(positions.iter().cloned()).collect();
        self.histories.reached_all(&places, Duration::from_millis(self.config.hold_ms)).await;
        let kept = publications.iter().map(|one| {
            let attributes = one.attributes.as_deref().and_then(Attributes::decode);
            !attributes.is_some_and(|attributes| attributes.ephemeral)
        });
        let published = positions.into_iter().zip(kept).map(|(Position { epoch, offset }, kept)| Published {
            offset: kept.then_some(offset),
            epoch: kept.then_some(epoch.0),
        });
        Ok(published.collect())
    }

    /// Appends to the log: a client hears of it no later than its sender knows that it is there.
    pub(super) async fn append_all(&self, publications: &[NewPublication]) -> Result<Vec<Position>, Fault> {
        self.log.append(publications).await.map_err(|error| match error {
            StreamsError::TooLarge { .. } => ErrorCode::LimitExceeded.into(),
            error => {
                warn!("a back end's publications could not be appended: {error:#}");
                ErrorCode::Internal.into()
            }
        })
    }
}

/// The payload, as one line of JSON: subscribers of every dialect have to understand it.
fn read_data(request: &Publish<'_>) -> Result<Bytes, Fault> {
    let line = |bytes: &[u8]| {
        minify(bytes).map(|line| Bytes::copy_from_slice(&line)).map_err(|_| ErrorCode::BadRequest.into())
    };
    match (request.data, &*request.b64data) {
        (Some(data), _) => line(data.get().as_bytes()),
        (None, "") => Err(ErrorCode::BadRequest.into()),
        (None, text) => line(&STANDARD.decode(text).map_err(|_| ErrorCode::BadRequest)?),
    }
}
