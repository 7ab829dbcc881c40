//! `GET /app/{key}`: the upgrade to a socket that speaks Pusher's protocol. Its clients understand close codes, not
//! statuses, so whoever is refused is upgraded too, told why, and let go.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::get;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use protocol::pusher::signature::{query, unescape};
use protocol::pusher::{Code, PROTOCOL, ServerMessage};
use protocol::ws;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::Door;
use super::refused::{Refused, refuse};
use super::websocket::{Accepted, switch};
use crate::census::Admission;
use crate::metrics::{self, Upgrade};
use crate::pusher::Guest;
use crate::session::Pings;
use crate::wire::Wire;

/// The oldest version that differs from ours in nothing that a server does; Pusher's Java client speaks it.
const PROTOCOL_MIN: u32 = 5;
/// Bytes of a refused client that are read before it is let go.
const LAST_WORDS_MAX: u64 = 65_536;

/// The route, when there is an application.
pub(super) fn router(door: &Arc<Door>) -> Router {
    if door.pusher.apps.is_empty() {
        return Router::new();
    }
    Router::new().route("/app/{key}", get(connect)).with_state(Arc::clone(door))
}

async fn connect(State(door): State<Arc<Door>>, mut request: Request) -> Response {
    let accept_key = match door.handshake(&request) {
        Ok(accept_key) => accept_key,
        Err(refused) => {
            metrics::upgrade(refused.outcome);
            return refuse(&refused);
        }
    };
    let guest = door.guest(&request);
    let upgrade = hyper::upgrade::on(&mut request);
    let response = switch(&accept_key, None);
    let life = door.life.clone();
    life.spawn("hub.upgrade", async move {
        match guest {
            Ok((guest, admission)) => {
                let (protocol, guest) = (None, Some(guest));
                let (wire, pings) = (Wire::Pusher, Pings::Protocol);
                let accepted = Accepted { accept_key, protocol, wire, pings, guest, admission };
                door.receive(upgrade, accepted).await;
            }
            Err((code, outcome)) => {
                metrics::upgrade(outcome);
                // a client that does not listen is let go all the same
                let _ = tokio::time::timeout(door.upgrade_timeout, turn_away(upgrade, code)).await;
            }
        }
        Ok::<(), std::convert::Infallible>(())
    });
    response
}

impl Door {
    /// In which application's name a request comes, and its place.
    fn guest(&self, request: &Request) -> Result<(Guest, Admission), (Code, Upgrade)> {
        let refused = |code| (code, Upgrade::Request);
        let key = request.uri().path().rsplit('/').next().map(unescape).unwrap_or_default();
        let app = self.pusher.apps.by_key(&key).ok_or(refused(Code::UnknownApp))?;
        if !app.config.enabled {
            return Err(refused(Code::AppDisabled));
        }
        let parameters = query(request.uri().query().unwrap_or_default());
        let version = parameters.get("protocol").ok_or(refused(Code::NoProtocol))?;
        let version: u32 = version.parse().map_err(|_| refused(Code::BadVersion))?;
        if !(PROTOCOL_MIN..=PROTOCOL).contains(&version) {
            return Err(refused(Code::UnsupportedProtocol));
        }
        if self.is_open().is_err() {
            return Err((Code::OverCapacity, Upgrade::Draining));
        }
        let place = app.admit().ok_or((Code::OverQuota, Upgrade::Limit))?;
        let full = |refused: Refused| (Code::OverCapacity, refused.outcome);
        let mut admission = self.enter(request).map_err(full)?;
        self.take_over(request, &mut admission).map_err(full)?;
        Ok((Guest { pusher: Arc::clone(&self.pusher), place }, admission))
    }
}

/// Tells a client why it is refused, and waits until it has heard.
async fn turn_away(upgrade: OnUpgrade, code: Code) {
    let Ok(upgraded) = upgrade.await else { return };
    let mut stream = TokioIo::new(upgraded);
    let mut message = Vec::new();
    ServerMessage::Error { code: Some(code), message: code.text() }.write(&mut message);
    let mut frames = ws::frame(ws::Opcode::Text, &message);
    frames.extend_from_slice(&ws::close_frame(code.code(), code.text()));
    if stream.write_all(&frames).await.is_ok() && stream.flush().await.is_ok() {
        // a socket that is closed with unread input loses what was written
        let _ = tokio::io::copy(&mut stream.take(LAST_WORDS_MAX), &mut tokio::io::sink()).await;
    }
}
