//! The front door: checks requests, and hands what becomes a connection to a shard. Alone in knowing axum.
//!
//! Here are the routes and what all transports need; [`websocket`] has the upgrades, [`stream`] connections over plain
//! HTTP, [`emulation`] the commands for them.

mod body;
mod cors;
mod emulation;
mod names;
mod pusher;
mod refused;
mod stream;
mod websocket;

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
use http::HeaderMap;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_TYPE, HOST, HeaderName, ORIGIN,
    VARY,
};
use service::Lifecycle;
use service::address::{AddressPrefix, AddressRange};
use service::descriptors::Carried;
use tokio::sync::{Semaphore, mpsc};

use crate::census::{Admission, Census};
use crate::config::Http;
use crate::forward::Forwards;
use crate::metrics::Upgrade;
use crate::origin::{self, OriginPattern};
use crate::paces::{Paces, TooFast};
use crate::pusher::{Guest, Pusher};
use crate::session::Pings;
use crate::shard::{Arrival, Message};
use crate::socket::Handover;
use crate::wire::Wire;
pub(crate) use names::{Names, shard_of};
use refused::{Refused, refuse};

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

/// The routes of the hub.
pub(crate) fn router(door: Door) -> Router {
    let http = &door.http;
    let mut router = Router::new()
        .route("/connection/websocket", get(websocket::connect))
        .route("/connection/init", get(init));
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
            .route("/connection/uni_websocket", get(websocket::connect_one_way))
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
        self.census.admit(address).map_err(Refused::from)
    }

    /// Gives what the connection of `request` becomes the descriptor that it has.
    fn take_over(&self, request: &Request, admission: &mut Admission) -> Result<(), Refused> {
        let carried = request.extensions().get::<Carried>().and_then(Carried::take_over);
        let place = match carried {
            Some(place) => Some(place),
            None => self.census.descriptors(1)?,
        };
        if let Some(place) = place {
            admission.hold(place);
        }
        Ok(())
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
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}
