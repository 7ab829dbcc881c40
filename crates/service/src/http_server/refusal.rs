//! Connections for which there is no place: they are asked to come back, and let go.

use std::convert::Infallible;

use axum::body::Body;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use metrics::counter;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;

use super::{REFUSED, Server};

/// Seconds after which a client that found no place may try again.
pub(super) const RETRY_SECONDS: &str = "5";

impl Server {
    /// Answers the first request of a connection with 503 and closes it; `turn` is held until then.
    pub(super) fn refuse(&self, stream: TcpStream, turn: OwnedSemaphorePermit) {
        let Some(crowd) = &self.crowd else { return };
        let (http, tls, patience) = (self.http.clone(), self.tls.clone(), crowd.timeout);
        counter!(REFUSED).increment(1);
        self.life.spawn_connection(async move {
            let conversation = async move {
                match tls {
                    None => drop(http.serve_connection(TokioIo::new(stream), service_fn(answer)).await),
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(stream).await {
                            drop(http.serve_connection(TokioIo::new(stream), service_fn(answer)).await);
                        }
                    }
                }
            };
            // one that does not ask, or does not listen, is let go without an answer
            let _ = tokio::time::timeout(patience, conversation).await;
            drop(turn);
        });
    }
}

async fn answer(_request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    Ok(Response::builder()
        .status(StatusCode::SERVICE_UNAVAILABLE)
        .header(CONTENT_TYPE, "text/plain")
        .header(RETRY_AFTER, RETRY_SECONDS)
        .header(CONNECTION, "close")
        .body(Body::from("too many connections"))
        .expect("these headers are valid"))
}
