//! Why a request is refused, and how that is told.

use http::StatusCode;
use protocol::codes::ErrorCode;
use serde_json::{Value, json};

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is not JSON of the form that the procedure takes.
    Undecodable,
    /// For a reason of the table.
    Refused(ErrorCode),
}

impl Fault {
    /// The reason of the table.
    pub(super) fn code(self) -> ErrorCode {
        match self {
            Self::Undecodable => ErrorCode::BadRequest,
            Self::Refused(code) => code,
        }
    }
}

impl From<ErrorCode> for Fault {
    fn from(code: ErrorCode) -> Self {
        Self::Refused(code)
    }
}

/// The error as it stands in a body.
pub(super) fn body(code: ErrorCode) -> Value {
    json!({ "code": code.code(), "message": code.text() })
}

/// The status of those who want it to tell the error.
pub(super) fn status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::UnknownChannel | ErrorCode::MethodNotFound => StatusCode::NOT_FOUND,
        ErrorCode::BadRequest | ErrorCode::NotAvailable | ErrorCode::LimitExceeded => StatusCode::BAD_REQUEST,
        ErrorCode::UnrecoverablePosition => StatusCode::RANGE_NOT_SATISFIABLE,
        ErrorCode::ConcurrentPagination => StatusCode::CONFLICT,
        ErrorCode::Unauthorized => StatusCode::UNAUTHORIZED,
        ErrorCode::PermissionDenied => StatusCode::FORBIDDEN,
        ErrorCode::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::Internal | ErrorCode::AlreadySubscribed | ErrorCode::TokenExpired | ErrorCode::Expired => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}
