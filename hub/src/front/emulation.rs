//! `/emulation`: commands for connections whose client can only read from them. They may have come to another node
//! than the connection is at; then they go there through the change log.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;

use super::stream::dialect;
use super::{Door, Refused, body, cors, refuse};
use crate::metrics::Upgrade;
use crate::shard::Message;

/// `POST /emulation`: 204 once the commands are on their way. What they answer comes with the connection.
pub(super) async fn emulate(State(door): State<Arc<Door>>, request: Request) -> Response {
    let (method, headers) = (request.method().clone(), request.headers().clone());
    if !door.admits_origin(&headers) {
        return refuse(&Refused::origin());
    }
    if let Some(response) = cors::preflight(&method, &headers) {
        return response;
    }
    let mut response = match pass_on(&door, request).await {
        Ok(()) => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        }
        Err(refused) => refuse(&refused),
    };
    cors::allow(&headers, response.headers_mut());
    response
}

async fn pass_on(door: &Door, request: Request) -> Result<(), Refused> {
    let dialect = dialect(request.headers());
    let patience = Duration::from_millis(door.http.body_timeout_ms);
    let body =
        body::read(request.into_body(), door.message_bytes_max, patience).await.map_err(Refused::body)?;
    let request = dialect.emulation_request(&body).map_err(|_| Refused::request("this is no command"))?;
    if request.data.is_empty() {
        return Err(Refused::request("there is no command"));
    }
    let name = door.names.check(&request.session, &request.node).ok_or_else(Refused::unknown_session)?;
    let frame = Bytes::copy_from_slice(&request.data);
    if request.node != door.names.node() {
        return Ok(door.forwards.send(&request.node, name.id(), &frame).await?);
    }
    let shard = door.shards.get(name.shard()).ok_or_else(Refused::unknown_session)?;
    let message = Message::Commands { door: name.id(), frame };
    match tokio::time::timeout(door.upgrade_timeout, shard.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(Refused::unavailable(Upgrade::Failed)),
    }
}
