//! The HTTP API for back ends, `POST /api/<method>`, in the shape of Centrifugo's: existing libraries publish into Munadi.
//!
//! What concerns connections goes through the change log to every node; what is read comes from this node's memory,
//! which holds what all nodes know.
//! Source: `centrifugal.dev/docs/server/server_api`.

mod command;
mod fault;
mod publish;
mod read;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{RawQuery, Request, State};
use axum::response::Response;
use axum::routing::post;
use domain::{Clock, Topic};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use protocol::codes::ErrorCode;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use service::Faults;
use streams::{ChangeLog, Position};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::census::Census;
use crate::config::{Class, Config};
use crate::history::Histories;
use crate::metrics;
use crate::presence::Presence;
use crate::shard::{Message, Shared};
use crate::start::Deps;
use fault::Fault;

/// Which procedures there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Publish,
    Broadcast,
    Subscribe,
    Unsubscribe,
    Disconnect,
    Refresh,
    Presence,
    PresenceStats,
    History,
    HistoryRemove,
    Channels,
    Info,
    Rpc,
}

impl Method {
    const ALL: [(Self, &'static str); 13] = [
        (Self::Publish, "publish"),
        (Self::Broadcast, "broadcast"),
        (Self::Subscribe, "subscribe"),
        (Self::Unsubscribe, "unsubscribe"),
        (Self::Disconnect, "disconnect"),
        (Self::Refresh, "refresh"),
        (Self::Presence, "presence"),
        (Self::PresenceStats, "presence_stats"),
        (Self::History, "history"),
        (Self::HistoryRemove, "history_remove"),
        (Self::Channels, "channels"),
        (Self::Info, "info"),
        (Self::Rpc, "rpc"),
    ];
}

/// What the API works with.
#[derive(Debug)]
struct ServerApi {
    key: SecretString,
    config: Arc<Config>,
    log: ChangeLog,
    clock: Arc<dyn Clock>,
    histories: Histories,
    presence: Presence,
    census: Census,
    shards: Vec<mpsc::Sender<Message>>,
    /// The name of this node.
    node: Arc<str>,
    started: Instant,
}

/// A result, as JSON.
type Answer = Result<Box<RawValue>, Fault>;

/// The routes of the API, where it is configured.
///
/// # Errors
/// What is wrong with the key.
pub(crate) fn open(deps: &Deps, shared: &Shared, shards: &[mpsc::Sender<Message>]) -> Result<Router, String> {
    let mut faults = Faults::default();
    let key = shared.config.server_api.read_key(&mut faults);
    if let Some(fault) = faults.list().first() {
        return Err(fault.to_string());
    }
    let Some(key) = key else { return Ok(Router::new()) };
    Ok(router(ServerApi {
        key,
        config: Arc::clone(&shared.config),
        log: deps.log.clone(),
        clock: Arc::clone(&deps.clock),
        histories: shared.histories.clone(),
        presence: shared.presence.clone(),
        census: shared.census.clone(),
        shards: shards.to_vec(),
        node: Arc::clone(&shared.node),
        started: Instant::now(),
    }))
}

fn router(api: ServerApi) -> Router {
    let mut router = Router::new().route("/api/batch", post(batch));
    for (method, name) in Method::ALL {
        let call = move |State(api): State<Arc<ServerApi>>, RawQuery(query): RawQuery, request: Request| async move {
            answer(&api, query.as_deref(), request, method).await
        };
        router = router.route(&format!("/api/{name}"), post(call));
    }
    router.with_state(Arc::new(api))
}

async fn answer(api: &ServerApi, query: Option<&str>, request: Request, method: Method) -> Response {
    let by_status = api.tells_by_status(request.headers());
    let body = match api.open(query, request).await {
        Ok(body) => body,
        Err(status) => return plain(status),
    };
    let answer = api.run(method, &body).await;
    metrics::api_request(answer.is_ok());
    match answer {
        Ok(result) => json(StatusCode::OK, &serde_json::json!({ "result": result })),
        Err(Fault::Undecodable) => plain(StatusCode::BAD_REQUEST),
        Err(Fault::Refused(code)) if by_status => json(fault::status(code), &fault::body(code)),
        Err(Fault::Refused(code)) => json(StatusCode::OK, &serde_json::json!({ "error": fault::body(code) })),
    }
}

/// Several commands in one request, one after the other.
#[derive(Deserialize)]
struct Batch<'a> {
    #[serde(borrow)]
    commands: Vec<std::collections::BTreeMap<&'a str, &'a RawValue>>,
}

/// `POST /api/batch`: each reply stands where its command stood. Publications that follow each other enter the log in one
/// step, in their order.
async fn batch(State(api): State<Arc<ServerApi>>, RawQuery(query): RawQuery, request: Request) -> Response {
    let body = match api.open(query.as_deref(), request).await {
        Ok(body) => body,
        Err(status) => return plain(status),
    };
    let Ok(batch) = serde_json::from_slice::<Batch<'_>>(&body) else { return plain(StatusCode::BAD_REQUEST) };
    if batch.commands.len() > api.config.server_api.parts_max as usize {
        return json(StatusCode::OK, &serde_json::json!({ "error": fault::body(ErrorCode::LimitExceeded) }));
    }
    let named = |command: &std::collections::BTreeMap<&str, &'_ RawValue>| {
        let find = |(method, name)| Some((method, name, command.get(name)?.get().as_bytes().to_vec()));
        Method::ALL.into_iter().find_map(find)
    };
    let commands: Vec<Option<(Method, &str, Vec<u8>)>> = batch.commands.iter().map(named).collect();
    let publishes =
        |command: &Option<(Method, _, _)>| command.as_ref().is_some_and(|one| one.0 == Method::Publish);
    let mut replies = Vec::with_capacity(commands.len());
    for run in commands.chunk_by(|one, next| publishes(one) && publishes(next)) {
        let (name, answers) = match run {
            [Some((Method::Publish, name, _)), ..] => {
                let bodies: Vec<&[u8]> = run.iter().flatten().map(|(.., body)| &**body).collect();
                (*name, api.publish_run(&bodies).await)
            }
            [Some((method, name, body)), ..] => (*name, vec![api.run(*method, body).await]),
            _ => ("", vec![Err(ErrorCode::MethodNotFound.into())]),
        };
        for answer in answers {
            metrics::api_request(answer.is_ok());
            replies.push(match answer {
                Ok(result) => serde_json::json!({ name: result }),
                Err(fault) => serde_json::json!({ "error": fault::body(fault.code()) }),
            });
        }
    }
    json(StatusCode::OK, &serde_json::json!({ "replies": replies }))
}

impl ServerApi {
    /// The body of a request whose sender has the key.
    async fn open(&self, query: Option<&str>, request: Request) -> Result<bytes::Bytes, StatusCode> {
        if !self.knows(request.headers(), query) {
            return Err(StatusCode::UNAUTHORIZED);
        }
        let bytes_max = self.config.server_api.body_bytes_max as usize;
        to_bytes(request.into_body(), bytes_max).await.map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)
    }

    /// Whether the request shows the key: in a header of its own, as `Authorization: apikey …`, or in the query.
    fn knows(&self, headers: &HeaderMap, query: Option<&str>) -> bool {
        let header = headers.get("x-api-key").map(|key| key.as_bytes().to_vec());
        let authorization = || {
            let text = headers.get(AUTHORIZATION)?.to_str().ok()?;
            let (scheme, key) = text.split_once(' ')?;
            scheme.eq_ignore_ascii_case("apikey").then(|| key.trim().as_bytes().to_vec())
        };
        let asked = || {
            let query = query?;
            query.split('&').find_map(|pair| pair.strip_prefix("api_key=")).map(|key| key.as_bytes().to_vec())
        };
        let shown = header.or_else(authorization).or_else(asked);
        shown.is_some_and(|shown| same(&shown, self.key.expose_secret().as_bytes()))
    }

    fn tells_by_status(&self, headers: &HeaderMap) -> bool {
        let asked = headers.get("x-centrifugo-error-mode").is_some_and(|mode| mode == "transport");
        asked || self.config.server_api.errors_by_status
    }

    async fn run(&self, method: Method, body: &[u8]) -> Answer {
        match method {
            Method::Publish => raw(&self.publish(&read_body(body)?).await?),
            Method::Broadcast => raw(&self.broadcast(&read_body(body)?).await?),
            Method::Subscribe => self.subscribe(read_body(body)?).await,
            Method::Unsubscribe => self.unsubscribe(read_body(body)?).await,
            Method::Disconnect => self.disconnect(read_body(body)?).await,
            Method::Refresh => self.refresh(read_body(body)?).await,
            Method::Presence => self.presence(&read_body(body)?),
            Method::PresenceStats => self.presence_stats(&read_body(body)?),
            Method::History => self.history(&read_body(body)?).await,
            Method::HistoryRemove => self.history_remove(&read_body(body)?).await,
            Method::Channels => self.channels(&read_body(body)?),
            Method::Info => self.info().await,
            // there are no procedures of applications here
            Method::Rpc => Err(ErrorCode::MethodNotFound.into()),
        }
    }

    /// A topic and its class.
    fn topic(&self, name: &str) -> Result<(Topic, &Class), Fault> {
        if name.is_empty() {
            return Err(ErrorCode::BadRequest.into());
        }
        let topic = Topic::new(name).map_err(|_| ErrorCode::BadRequest)?;
        let class = self.config.classes.of(&topic).ok_or(ErrorCode::UnknownChannel)?;
        Ok((topic, class))
    }

    /// Waits until this node has read what the log has of a topic's partition now, so that who has published finds it.
    async fn catch_up(&self, topic: &Topic) -> Result<(), Fault> {
        let partition = self.histories.partition_of(topic);
        let state = self.log.state(partition).await.map_err(|_| ErrorCode::Internal)?;
        let deadline = Instant::now() + Duration::from_millis(self.config.hold_ms);
        let position = Position { epoch: state.epoch, offset: state.last };
        self.histories.reached(partition, &position, deadline).await;
        Ok(())
    }
}

fn read_body<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Fault> {
    serde_json::from_slice(body).map_err(|_| Fault::Undecodable)
}

fn raw(value: &impl Serialize) -> Answer {
    serde_json::value::to_raw_value(value).map_err(|_| ErrorCode::Internal.into())
}

/// Whether two texts are the same, in a time that tells nothing of where they differ.
fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |all, (one, other)| all | (one ^ other)) == 0
}

fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let body = serde_json::to_vec(body).expect("an answer is an object with text as keys");
    let response = Response::builder().status(status).header(CONTENT_TYPE, "application/json");
    response.body(Body::from(body)).expect("the header is valid")
}

fn plain(status: StatusCode) -> Response {
    let body = status.canonical_reason().unwrap_or_default();
    Response::builder().status(status).body(Body::from(body)).expect("it has no header")
}
