//! Requests that do not become a connection, and what they are told.

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use http::header::{CONTENT_TYPE, RETRY_AFTER, SEC_WEBSOCKET_VERSION, UPGRADE};

use crate::census::Full;
use crate::forward::ForwardError;
use crate::metrics::Upgrade;

/// Seconds after which a client that found no place may try again.
const RETRY_SECONDS: &str = "5";

/// A request that may not.
pub(super) struct Refused {
    pub(super) status: StatusCode,
    pub(super) text: &'static str,
    pub(super) outcome: Upgrade,
}

impl Refused {
    pub(super) fn origin() -> Self {
        Self { status: StatusCode::FORBIDDEN, text: "this origin may not connect", outcome: Upgrade::Origin }
    }

    pub(super) fn request(text: &'static str) -> Self {
        Self { status: StatusCode::BAD_REQUEST, text, outcome: Upgrade::Request }
    }

    pub(super) fn full() -> Self {
        Self::busy("too many connections", Upgrade::Limit)
    }

    pub(super) fn unavailable(outcome: Upgrade) -> Self {
        Self::busy("not now", outcome)
    }

    pub(super) fn busy(text: &'static str, outcome: Upgrade) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, text, outcome }
    }

    pub(super) fn unknown_session() -> Self {
        Self { status: StatusCode::NOT_FOUND, text: "there is no such session", outcome: Upgrade::Request }
    }

    /// A body that could not be read.
    pub(super) fn body(status: StatusCode) -> Self {
        let text = match status {
            StatusCode::PAYLOAD_TOO_LARGE => "the body is too large",
            StatusCode::REQUEST_TIMEOUT => "the body did not arrive in time",
            _ => "the body cannot be read",
        };
        Self { status, text, outcome: Upgrade::Request }
    }
}

impl From<Full> for Refused {
    fn from(full: Full) -> Self {
        match full {
            Full::Node => Self::full(),
            Full::Address => Self::busy("too many connections of your network", Upgrade::Address),
        }
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

/// The answer.
pub(super) fn refuse(refused: &Refused) -> Response {
    let mut response = Response::builder().status(refused.status).header(CONTENT_TYPE, "text/plain");
    if refused.status == StatusCode::SERVICE_UNAVAILABLE {
        response = response.header(RETRY_AFTER, RETRY_SECONDS);
    }
    if refused.status == StatusCode::UPGRADE_REQUIRED {
        response = response.header(UPGRADE, "websocket").header(SEC_WEBSOCKET_VERSION, "13");
    }
    response.body(Body::from(refused.text)).expect("these headers are valid")
}
