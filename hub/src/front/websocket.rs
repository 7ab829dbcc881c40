//! The upgrade of a request to a WebSocket.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use http::header::{
    CONNECTION, HeaderName, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, Method, StatusCode};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::upgrade::downcast;
use protocol::ws;
use service::tls::TlsStream;
use tokio::net::{TcpStream, UnixStream};
use tracing::debug;

use super::refused::{Refused, refuse};
use super::{Door, text};
use crate::census::Admission;
use crate::metrics::{self, Upgrade};
use crate::pusher::Guest;
use crate::session::Pings;
use crate::socket::{Handover, TlsSocket};
use crate::wire::Wire;

/// The sub-protocol that means JSON; no sub-protocol at all means it too.
const JSON_PROTOCOL: &str = "centrifuge-json";
/// The sub-protocol that means Protobuf.
const PROTOBUF_PROTOCOL: &str = "centrifuge-protobuf";
/// A request that may become a socket.
pub(super) struct Accepted {
    pub(super) accept_key: String,
    /// The sub-protocol to echo.
    pub(super) protocol: Option<&'static str>,
    pub(super) wire: Wire,
    pub(super) pings: Pings,
    pub(super) guest: Option<Guest>,
    pub(super) admission: Admission,
}

/// Who speaks on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Both,
    /// The server, after the client's first message.
    Down,
}

/// `GET /connection/websocket`: the upgrade to a socket.
pub(super) async fn connect(State(door): State<Arc<Door>>, request: Request) -> Response {
    upgrade(&door, request, Direction::Both)
}

/// `GET /connection/uni_websocket`: the upgrade to a socket on which the client says one thing only.
pub(super) async fn connect_one_way(State(door): State<Arc<Door>>, request: Request) -> Response {
    upgrade(&door, request, Direction::Down)
}

fn upgrade(door: &Arc<Door>, mut request: Request, direction: Direction) -> Response {
    match door.admit(&request, direction) {
        Err(refused) => {
            metrics::upgrade(refused.outcome);
            refuse(&refused)
        }
        Ok(accepted) => {
            let upgrade = hyper::upgrade::on(&mut request);
            let response = switch(&accepted.accept_key, accepted.protocol);
            let taker = Arc::clone(door);
            door.life.spawn("hub.upgrade", async move {
                taker.receive(upgrade, accepted).await;
                Ok::<(), std::convert::Infallible>(())
            });
            response
        }
    }
}

impl Door {
    /// Checks a request, and takes a place for it.
    fn admit(&self, request: &Request, direction: Direction) -> Result<Accepted, Refused> {
        let accept_key = self.handshake(request)?;
        let query = request.uri().query().unwrap_or_default();
        let asks = |pair: &str| query.split('&').any(|one| one == pair);
        let protocol = choose_protocol(request.headers()).map_err(Refused::request)?;
        let by_query = asks("format=protobuf") || asks("cf_protocol=protobuf");
        let protobuf = by_query || protocol == Some(PROTOBUF_PROTOCOL);
        let (wire, pings) = match direction {
            Direction::Down if protobuf => return Err(Refused::request("this transport is for JSON")),
            Direction::Down => (Wire::OneWaySocket, Pings::OneWay),
            Direction::Both => {
                let wire = if protobuf { Wire::ProtobufSocket } else { Wire::JsonSocket };
                let native = asks("cf_ws_frame_ping_pong=true");
                (wire, if native { Pings::Native } else { Pings::Protocol })
            }
        };
        let mut admission = self.enter(request)?;
        self.take_over(request, &mut admission)?;
        Ok(Accepted { accept_key, protocol, wire, pings, guest: None, admission })
    }

    /// Checks that a request asks for a WebSocket, from an origin that may; gives the key to accept with.
    pub(super) fn handshake(&self, request: &Request) -> Result<String, Refused> {
        let headers = request.headers();
        let refused = |status, text, outcome| Refused { status, text, outcome };
        let bad = Refused::request;
        if request.method() != Method::GET || !has_token(headers, &UPGRADE, "websocket") {
            return Err(refused(StatusCode::UPGRADE_REQUIRED, "this is a WebSocket", Upgrade::Request));
        }
        if !has_token(headers, &CONNECTION, "upgrade") {
            return Err(bad("the Connection header does not ask for an upgrade"));
        }
        if text(headers, &SEC_WEBSOCKET_VERSION) != Some("13") {
            return Err(refused(
                StatusCode::UPGRADE_REQUIRED,
                "WebSocket version 13 is needed",
                Upgrade::Request,
            ));
        }
        let key = text(headers, &SEC_WEBSOCKET_KEY).and_then(ws::accept_key);
        let accept_key = key.ok_or_else(|| bad("the WebSocket key is missing or malformed"))?;
        if !self.admits_origin(headers) {
            return Err(Refused::origin());
        }
        Ok(accept_key)
    }

    /// Waits for the upgraded stream and hands it over.
    pub(super) async fn receive(&self, upgrade: OnUpgrade, accepted: Accepted) {
        let outcome = match tokio::time::timeout(self.upgrade_timeout, upgrade).await {
            Ok(Ok(upgraded)) => match self.take(upgraded, accepted).await {
                Ok(()) => Upgrade::Accepted,
                Err(error) => {
                    debug!("an upgraded socket was lost: {error}");
                    Upgrade::Failed
                }
            },
            Ok(Err(error)) => {
                debug!("an upgrade failed: {error}");
                Upgrade::Failed
            }
            Err(_) => Upgrade::Failed,
        };
        metrics::upgrade(outcome);
    }

    async fn take(&self, upgraded: Upgraded, accepted: Accepted) -> std::io::Result<()> {
        let Accepted { wire, pings, guest, admission, .. } = accepted;
        let (socket, first_bytes) = match downcast::<TokioIo<TcpStream>>(upgraded) {
            Ok(parts) => {
                let stream = parts.io.into_inner();
                stream.set_nodelay(true)?;
                (Handover::Tcp(stream.into_std()?), parts.read_buf)
            }
            Err(other) => match downcast::<TokioIo<TlsStream>>(other) {
                Ok(parts) => {
                    let (stream, session, said) = parts.io.into_inner().into_parts();
                    let socket = Handover::Tls(Box::new(TlsSocket::new(stream.into_std()?, session)));
                    (socket, [&*parts.read_buf, &said].concat().into())
                }
                Err(other) => (self.bridge(other)?, Bytes::new()),
            },
        };
        self.hand_over((socket, wire), first_bytes, (pings, guest, admission)).await
    }

    /// A stream that is no TCP socket (a test's) is copied to and from a pair whose other end the shard has.
    fn bridge(&self, upgraded: Upgraded) -> std::io::Result<Handover> {
        let (ours, theirs) = UnixStream::pair()?;
        self.life.spawn("hub.bridge", async move {
            let (mut stream, mut ours) = (TokioIo::new(upgraded), ours);
            // how it ended is known to the shard, which sees its own end close
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut ours).await;
            Ok::<(), std::convert::Infallible>(())
        });
        Ok(Handover::Bridged(theirs.into_std()?))
    }
}

/// The sub-protocol to answer with; `None` when the client offered none.
fn choose_protocol(headers: &HeaderMap) -> Result<Option<&'static str>, &'static str> {
    let mut offers = headers
        .get_all(SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .peekable();
    if offers.peek().is_none() {
        return Ok(None);
    }
    let spoken = [JSON_PROTOCOL, PROTOBUF_PROTOCOL];
    offers
        .find_map(|offer| spoken.into_iter().find(|one| *one == offer))
        .map(Some)
        .ok_or("of the offered sub-protocols none is spoken here")
}

/// Whether a comma-separated header has `token`, in any case.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case(token))
}

/// The answer that makes a socket of the connection.
pub(super) fn switch(accept_key: &str, protocol: Option<&'static str>) -> Response {
    let mut response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(CONNECTION, "upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_ACCEPT, accept_key);
    if let Some(protocol) = protocol {
        response = response.header(SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    response.body(Body::empty()).expect("these headers are valid")
}
