//! Connections over plain HTTP: the body of the response carries what the server says, until one side ends it.
//!
//! `http_stream` and `sse` are one half of a conversation, whose other half comes to `/emulation`; the ones whose
//! name begins with `uni_` go one way.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, EXPIRES, PRAGMA, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use protocol::centrifuge::Dialect;
use protocol::codes::DisconnectCode;
use serde::Deserialize;
use tokio::net::UnixStream;

use super::body::{self, Downstream};
use super::{Door, Refused, cors, refuse};
use crate::config::Refusals;
use crate::metrics::{self, Upgrade};
use crate::session::Pings;
use crate::socket::Handover;
use crate::wire::Wire;

const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
const NO_CACHE: &str = "private, no-cache, no-store, must-revalidate, max-age=0";

/// `POST /connection/http_stream`.
pub(super) async fn http_stream(State(door): State<Arc<Door>>, request: Request) -> Response {
    let wire = match dialect(request.headers()) {
        Dialect::Json => Wire::JsonLines,
        Dialect::Protobuf => Wire::ProtobufLines,
    };
    answer(&door, wire, request).await
}

/// `GET` and `POST /connection/sse`.
pub(super) async fn sse(State(door): State<Arc<Door>>, request: Request) -> Response {
    answer(&door, Wire::Events, request).await
}

/// `POST /connection/uni_http_stream`.
pub(super) async fn uni_http_stream(State(door): State<Arc<Door>>, request: Request) -> Response {
    answer(&door, Wire::OneWayLines, request).await
}

/// `GET` and `POST /connection/uni_sse`.
pub(super) async fn uni_sse(State(door): State<Arc<Door>>, request: Request) -> Response {
    answer(&door, Wire::OneWayEvents, request).await
}

/// The dialect of a request: Protobuf for bytes, JSON for anything else.
pub(super) fn dialect(headers: &HeaderMap) -> Dialect {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/octet-stream") { Dialect::Protobuf } else { Dialect::Json }
}

async fn answer(door: &Arc<Door>, wire: Wire, request: Request) -> Response {
    let (method, headers) = (request.method().clone(), request.headers().clone());
    if !door.admits_origin(&headers) {
        metrics::upgrade(Upgrade::Origin);
        return refuse(&Refused::origin());
    }
    if let Some(response) = cors::preflight(&method, &headers) {
        return response;
    }
    let mut response = match open(door, wire, request).await {
        Ok(response) => response,
        Err(refused) => {
            metrics::upgrade(refused.outcome);
            refuse(&refused)
        }
    };
    cors::allow(&headers, response.headers_mut());
    response
}

/// Begins a connection.
async fn open(door: &Arc<Door>, wire: Wire, request: Request) -> Result<Response, Refused> {
    let mut admission = door.enter(&request)?;
    if let Some(pair) = door.census.descriptors(2)? {
        admission.hold(pair);
    }
    let place = Arc::clone(&door.http_streams).try_acquire_owned().map_err(|_| Refused::full())?;
    let first_bytes = first_frame(door, request).await?;
    let pings = if wire.is_one_way() { Pings::OneWay } else { Pings::Protocol };

    let failed = |_| Refused::unavailable(Upgrade::Failed);
    let (ours, theirs) = UnixStream::pair().map_err(failed)?;
    let socket = Handover::Bridged(theirs.into_std().map_err(failed)?);
    door.hand_over((socket, wire), first_bytes, (pings, None, admission)).await.map_err(failed)?;

    let before = if matches!(wire, Wire::Events | Wire::OneWayEvents) { "\r\n" } else { "" };
    let mut downstream = Downstream::new(ours, Bytes::from_static(before.as_bytes()), place);
    if wire.is_one_way() && door.http.one_way_refusals == Refusals::Status {
        let first = tokio::time::timeout(door.upgrade_timeout, downstream.peek()).await;
        if let Some(refused) = first.ok().and_then(Result::ok).and_then(disconnected) {
            return Err(refused);
        }
    }
    metrics::upgrade(Upgrade::Accepted);
    Ok(response(wire, downstream))
}

/// What the client says first: the body, or a parameter where browsers cannot send a body.
async fn first_frame(door: &Door, request: Request) -> Result<Bytes, Refused> {
    if request.method() == Method::GET {
        let query = request.uri().query().unwrap_or_default();
        let mut parameters = url::form_urlencoded::parse(query.as_bytes());
        let frame = parameters.find_map(|(name, value)| (name == "cf_connect").then_some(value));
        let frame: Cow<'_, str> =
            frame.ok_or_else(|| Refused::request("the parameter cf_connect is missing"))?;
        return Ok(Bytes::from(frame.into_owned()));
    }
    let patience = Duration::from_millis(door.http.body_timeout_ms);
    body::read(request.into_body(), door.message_bytes_max, patience).await.map_err(Refused::body)
}

fn response(wire: Wire, downstream: Downstream) -> Response {
    let content_type = match wire {
        Wire::Events | Wire::OneWayEvents => "text/event-stream; charset=utf-8",
        _ if wire.dialect() == Dialect::Protobuf => "application/octet-stream",
        _ => "application/x-ndjson",
    };
    let mut response = Response::new(Body::new(downstream));
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, content_type),
        (CACHE_CONTROL, NO_CACHE),
        (PRAGMA, "no-cache"),
        (EXPIRES, "0"),
        (X_ACCEL_BUFFERING, "no"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The first message of a connection in one direction that failed.
#[derive(Deserialize)]
struct First {
    disconnect: Option<Disconnect>,
}

#[derive(Deserialize)]
struct Disconnect {
    code: u16,
}

/// The status for a connection that ended before it began.
fn disconnected(first: &[u8]) -> Option<Refused> {
    let line = first.strip_prefix(b"data: ").unwrap_or(first);
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let message: First = serde_json::from_slice(line).ok()?;
    let code = DisconnectCode::from_code(message.disconnect?.code)?;
    let status = match code {
        DisconnectCode::Expired | DisconnectCode::InvalidToken => StatusCode::UNAUTHORIZED,
        DisconnectCode::PermissionDenied
        | DisconnectCode::ForceNoReconnect
        | DisconnectCode::ChannelLimit
        | DisconnectCode::ConnectionLimit => StatusCode::FORBIDDEN,
        DisconnectCode::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
        _ if code.reconnects() => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    };
    Some(Refused { status, text: code.text(), outcome: Upgrade::Request })
}
