//! The HTTP API for back ends of applications, and the signatures that we make in their name.

mod auth;
mod channels;
mod events;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{get, post};
use bytes::Bytes;
use domain::Clock;
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use protocol::pusher::signature::{RequestError, SignedRequest, query, unescape};
use protocol::pusher::{Channel, ChannelError};
use serde::Serialize;
use std::collections::BTreeMap;
use streams::{ChangeLog, StreamsError};

use super::{App, Pusher};
use crate::authority::Authority;
use crate::config::Config;
use crate::history::Histories;
use crate::origin::OriginPattern;
use crate::presence::Presence;

/// What requests may use.
pub(crate) struct Desk {
    pub(crate) pusher: Arc<Pusher>,
    pub(crate) log: ChangeLog,
    pub(crate) histories: Histories,
    pub(crate) presence: Presence,
    pub(crate) config: Arc<Config>,
    pub(crate) authority: Arc<Authority>,
    pub(crate) origins: Vec<OriginPattern>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
enum ApiError {
    #[error("no application has this id")]
    UnknownApp,
    #[error("the application is switched off")]
    Disabled,
    #[error(transparent)]
    Unsigned(#[from] RequestError),
    #[error("{0}")]
    Bad(String),
    #[error("{0}")]
    TooLarge(String),
    #[error("there is nothing at this path")]
    UnknownPath,
    #[error("{0}")]
    Forbidden(&'static str),
    #[error("the change log cannot be written to")]
    Log(#[source] StreamsError),
}

/// A request whose signature was checked.
struct Signed {
    app: Arc<App>,
    /// What comes after the application's id in the path, without escapes.
    path: Vec<String>,
    method: Method,
    parameters: BTreeMap<String, String>,
    body: Bytes,
}

/// The routes, when there is an application.
pub(crate) fn router(desk: Desk) -> Router {
    if desk.pusher.apps.is_empty() {
        return Router::new();
    }
    let desk = Arc::new(desk);
    Router::new()
        .route("/apps/{id}/{*path}", get(answer).post(answer))
        .route("/api/v1/broadcasting/auth", post(auth::channel).options(auth::preflight))
        .route("/api/v1/broadcasting/user-auth", post(auth::user).options(auth::preflight))
        .with_state(desk)
}

/// Everything below `/apps/{id}/`: one place checks the signature.
async fn answer(State(desk): State<Arc<Desk>>, request: Request) -> Response {
    match desk.run(request).await {
        Ok(response) => response,
        Err(error) => refuse(&error),
    }
}

impl Desk {
    async fn run(&self, request: Request) -> Result<Response, ApiError> {
        let signed = self.check(request).await?;
        let path: Vec<&str> = signed.path.iter().map(String::as_str).collect();
        match (signed.method.as_str(), path.as_slice()) {
            ("POST", ["events"]) => self.trigger(&signed).await,
            ("POST", ["batch_events"]) => self.trigger_batch(&signed).await,
            ("GET", ["channels"]) => self.channels(&signed),
            ("GET", ["channels", name]) => self.channel(&signed, name),
            ("GET", ["channels", name, "users"]) => self.users(&signed, name),
            ("GET", ["connections"]) => {
                Ok(json(&serde_json::json!({ "connections": signed.app.connections() })))
            }
            ("POST", ["users", user, "terminate_connections"]) => self.terminate(&signed, user).await,
            _ => Err(ApiError::UnknownPath),
        }
    }

    /// Whose request it is, and whether they have signed it.
    async fn check(&self, request: Request) -> Result<Signed, ApiError> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path().to_owned();
        let mut segments =
            path.trim_start_matches('/').split('/').skip(1).map(|segment| unescape(segment).into_owned());
        let id = segments.next().unwrap_or_default();
        let app = self.pusher.apps.by_id(&id).ok_or(ApiError::UnknownApp)?;
        if !app.config.enabled {
            return Err(ApiError::Disabled);
        }
        let body = read_body(body, self.pusher.config.body_bytes_max as usize).await?;
        let parameters = query(parts.uri.query().unwrap_or_default());
        let signed = SignedRequest {
            method: parts.method.as_str(),
            path: &path,
            parameters: &parameters,
            body: &body,
        };
        let age_max = u64::from(self.pusher.config.signature_age_s_max);
        app.signer.check_request(&signed, self.clock.now().as_second(), age_max)?;
        Ok(Signed { app: Arc::clone(app), path: segments.collect(), method: parts.method, parameters, body })
    }

    /// Reads a channel's name.
    fn name<'n>(&self, name: &'n str) -> Result<Channel<'n>, ApiError> {
        Channel::parse(name, usize::from(self.pusher.config.channel_name_max))
            .map_err(|error: ChannelError| ApiError::Bad(format!("\"{name}\": {error}")))
    }
}

async fn read_body(body: Body, bytes_max: usize) -> Result<Bytes, ApiError> {
    match Limited::new(body, bytes_max).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(ApiError::TooLarge(format!("the body has more than {bytes_max} bytes")))
        }
        Err(_) => Err(ApiError::Bad("the body cannot be read".to_owned())),
    }
}

fn json(value: &impl Serialize) -> Response {
    let body = serde_json::to_vec(value).expect("answers consist of text and numbers");
    Response::builder()
        .header(CONTENT_TYPE, "application/json")
        .body(Body::from(body))
        .expect("these headers are valid")
}

fn refuse(error: &ApiError) -> Response {
    let status = match error {
        ApiError::UnknownApp | ApiError::UnknownPath => StatusCode::NOT_FOUND,
        ApiError::Disabled | ApiError::Forbidden(_) => StatusCode::FORBIDDEN,
        ApiError::Unsigned(_) => StatusCode::UNAUTHORIZED,
        ApiError::Bad(_) => StatusCode::BAD_REQUEST,
        ApiError::TooLarge(_) | ApiError::Log(StreamsError::TooLarge { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
        ApiError::Log(cause) => {
            tracing::error!("an event of a back end was not published: {cause:#}");
            StatusCode::SERVICE_UNAVAILABLE
        }
    };
    Response::builder()
        .status(status)
        .header(CONTENT_TYPE, "text/plain; charset=utf-8")
        .body(Body::from(error.to_string()))
        .expect("these headers are valid")
}
