//! The front door: checks a request, upgrades it, and hands the raw socket to a shard. Alone in knowing axum.
//!
//! Here are the sockets and what all transports need; [`stream`] has connections over plain HTTP, [`emulation`] the
//! commands for them.

mod body;
mod cors;
mod emulation;
mod names;
mod pusher;
mod stream;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::handler::Handler;
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter, get, on};
use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN, CONNECTION, CONTENT_TYPE, HOST,
    HeaderName, ORIGIN, RETRY_AFTER, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE, VARY,
};
use http::{HeaderMap, Method, StatusCode};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::upgrade::downcast;
use protocol::ws;
use service::Lifecycle;
use service::address::{AddressPrefix, AddressRange};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tracing::debug;

use crate::census::{Admission, Census, Full};
use crate::config::Http;
use crate::forward::{ForwardError, Forwards};
use crate::metrics::{self, Upgrade};
use crate::origin::{self, OriginPattern};
use crate::paces::{Paces, TooFast};
use crate::pusher::{Guest, Pusher};
use crate::session::Pings;
use crate::shard::{Arrival, Message};
use crate::socket::Handover;
use crate::wire::Wire;
pub(crate) use names::{Names, shard_of};

/// The sub-protocol that means JSON; no sub-protocol at all means it too.
const JSON_PROTOCOL: &str = "centrifuge-json";
/// The sub-protocol that means Protobuf.
const PROTOBUF_PROTOCOL: &str = "centrifuge-protobuf";
/// Seconds after which a client that found no place may try again.
const RETRY_SECONDS: &str = "5";

/// What the front door works with.
pub(crate) struct Door {
    pub(crate) origins: Vec<OriginPattern>,
    pub(crate) census: Census,
    /// How fast connections may begin.
    pub(crate) paces: Paces,
    /// Whose `X-Forwarded-For` is believed.
    pub(crate) trusted_proxies: Vec<AddressRange>,
    pub(crate) shards: Vec<mpsc::Sender<Message>>,
    /// Takes turns among the shards.
    pub(crate) turn: AtomicUsize,
    /// Whether the histories hold what they should.
    pub(crate) warm: Arc<AtomicBool>,
    pub(crate) life: Lifecycle,
    pub(crate) upgrade_timeout: Duration,
    pub(crate) message_bytes_max: usize,
    pub(crate) http: Http,
    /// Places for responses that go on.
    pub(crate) http_streams: Arc<Semaphore>,
    pub(crate) names: Names,
    pub(crate) forwards: Forwards,
    /// Pusher's protocol.
    pub(crate) pusher: Arc<Pusher>,
}

/// A request that may become a socket.
struct Accepted {
    accept_key: String,
    /// The sub-protocol to echo.
    protocol: Option<&'static str>,
    wire: Wire,
    pings: Pings,
    guest: Option<Guest>,
    admission: Admission,
}

/// Who speaks on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Both,
    /// The server, after the client's first message.
    Down,
}

/// A request that may not.
struct Refused {
    status: StatusCode,
    text: &'static str,
    outcome: Upgrade,
}

/// The routes of the hub.
pub(crate) fn router(door: Door) -> Router {
    let http = &door.http;
    let mut router =
        Router::new().route("/connection/websocket", get(connect)).route("/connection/init", get(init));
    if http.http_stream {
        router = router.route("/connection/http_stream", posted(stream::http_stream));
    }
    if http.sse {
        router = router.route("/connection/sse", posted(stream::sse).get(stream::sse));
    }
    if http.http_stream || http.sse {
        router = router.route("/emulation", posted(emulation::emulate));
    }
    if http.one_way {
        router = router
            .route("/connection/uni_websocket", get(connect_one_way))
            .route("/connection/uni_http_stream", posted(stream::uni_http_stream))
            .route("/connection/uni_sse", posted(stream::uni_sse).get(stream::uni_sse));
    }
    let door = Arc::new(door);
    let pusher = pusher::router(&door);
    router.with_state(door).merge(pusher)
}

/// `POST`, and the question that browsers ask before it.
fn posted<H, T>(handler: H) -> MethodRouter<Arc<Door>>
where
    H: Handler<T, Arc<Door>>,
    T: 'static,
{
    on(MethodFilter::POST.or(MethodFilter::OPTIONS), handler)
}

/// `GET /connection/websocket`: the upgrade to a socket.
async fn connect(State(door): State<Arc<Door>>, request: Request) -> Response {
    upgrade(&door, request, Direction::Both)
}

/// `GET /connection/uni_websocket`: the upgrade to a socket on which the client says one thing only.
async fn connect_one_way(State(door): State<Arc<Door>>, request: Request) -> Response {
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

/// `GET /connection/init`: nothing; lets pages find out about cookies and origins.
async fn init(State(door): State<Arc<Door>>, request: Request) -> Response {
    let headers = request.headers();
    let mut response = Response::builder().header(CONTENT_TYPE, "application/json").header(VARY, "Origin");
    if let Some(origin) = headers.get(ORIGIN) {
        if !door.admits_origin(headers) {
            return refuse(&Refused::origin());
        }
        response = response
            .header(ACCESS_CONTROL_ALLOW_ORIGIN, origin)
            .header(ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
    }
    response.body(Body::from("{}")).expect("these headers are valid")
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
        let admission = self.enter(request)?;
        Ok(Accepted { accept_key, protocol, wire, pings, guest: None, admission })
    }

    /// Checks that a request asks for a WebSocket, from an origin that may; gives the key to accept with.
    fn handshake(&self, request: &Request) -> Result<String, Refused> {
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

    /// Takes a place for a connection that begins with this request.
    fn enter(&self, request: &Request) -> Result<Admission, Refused> {
        self.is_open()?;
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| *peer);
        let address = AddressPrefix::of(peer, request.headers(), &self.trusted_proxies);
        self.paces.connect(address).map_err(|too_fast| match too_fast {
            TooFast::Node => Refused::busy("too many connections begin", Upgrade::Pace),
            TooFast::Address => {
                Refused::busy("too many connections of your network begin", Upgrade::AddressPace)
            }
        })?;
        self.census.admit(address).map_err(|full| match full {
            Full::Node => Refused::full(),
            Full::Address => Refused::busy("too many connections of your network", Upgrade::Address),
        })
    }

    /// Whether new connections are taken at all.
    fn is_open(&self) -> Result<(), Refused> {
        if self.life.drain().is_cancelled() || !self.warm.load(Ordering::Relaxed) {
            return Err(Refused::unavailable(Upgrade::Draining));
        }
        Ok(())
    }

    fn admits_origin(&self, headers: &HeaderMap) -> bool {
        let origin = headers.get(ORIGIN).map(|origin| origin.to_str().unwrap_or("null"));
        origin::admits(&self.origins, origin, text(headers, &HOST))
    }

    /// Waits for the upgraded stream and hands it over.
    async fn receive(&self, upgrade: OnUpgrade, accepted: Accepted) {
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
            Err(other) => (self.bridge(other)?, Bytes::new()),
        };
        self.hand_over((socket, wire), first_bytes, (pings, guest, admission)).await
    }

    /// Gives a connection to the shard whose turn it is.
    async fn hand_over(
        &self,
        (socket, wire): (Handover, Wire),
        first_bytes: Bytes,
        (pings, guest, admission): (Pings, Option<Guest>, Admission),
    ) -> std::io::Result<()> {
        let number = self.turn.fetch_add(1, Ordering::Relaxed) % self.shards.len();
        let door = (!wire.is_socket()).then(|| self.names.make(number).id());
        let arrival = Box::new(Arrival { socket, wire, first_bytes, door, pings, guest, admission });
        let shard = &self.shards[number];
        match tokio::time::timeout(self.upgrade_timeout, shard.send(Message::Accept(arrival))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(std::io::Error::other("its shard has ended")),
            Err(_) => Err(std::io::Error::other("its shard is late")),
        }
    }

    /// A stream that is no plain TCP socket (TLS, a test's) is copied to and from a pair whose other end the shard has.
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

impl Refused {
    fn origin() -> Self {
        Self { status: StatusCode::FORBIDDEN, text: "this origin may not connect", outcome: Upgrade::Origin }
    }

    fn request(text: &'static str) -> Self {
        Self { status: StatusCode::BAD_REQUEST, text, outcome: Upgrade::Request }
    }

    fn full() -> Self {
        Self::busy("too many connections", Upgrade::Limit)
    }

    fn unavailable(outcome: Upgrade) -> Self {
        Self::busy("not now", outcome)
    }

    fn busy(text: &'static str, outcome: Upgrade) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, text, outcome }
    }

    fn unknown_session() -> Self {
        Self { status: StatusCode::NOT_FOUND, text: "there is no such session", outcome: Upgrade::Request }
    }

    /// A body that could not be read.
    fn body(status: StatusCode) -> Self {
        let text = match status {
            StatusCode::PAYLOAD_TOO_LARGE => "the body is too large",
            StatusCode::REQUEST_TIMEOUT => "the body did not arrive in time",
            _ => "the body cannot be read",
        };
        Self { status, text, outcome: Upgrade::Request }
    }
}

impl From<ForwardError> for Refused {
    fn from(error: ForwardError) -> Self {
        match error {
            ForwardError::NoNode => Self::unknown_session(),
            ForwardError::TooLong => Self::body(StatusCode::PAYLOAD_TOO_LARGE),
            ForwardError::Late => Self::unavailable(Upgrade::Failed),
        }
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

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// Whether a comma-separated header has `token`, in any case.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case(token))
}

fn switch(accept_key: &str, protocol: Option<&'static str>) -> Response {
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

fn refuse(refused: &Refused) -> Response {
    let mut response = Response::builder().status(refused.status).header(CONTENT_TYPE, "text/plain");
    if refused.status == StatusCode::SERVICE_UNAVAILABLE {
        response = response.header(RETRY_AFTER, RETRY_SECONDS);
    }
    if refused.status == StatusCode::UPGRADE_REQUIRED {
        response = response.header(UPGRADE, "websocket").header(SEC_WEBSOCKET_VERSION, "13");
    }
    response.body(Body::from(refused.text)).expect("these headers are valid")
}
