//! Paths and query strings.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::body::fault_of;
use crate::app::App;
use crate::code::Code;
use crate::error::ApiError;

/// The variable parts of the path.
#[derive(Debug, Clone)]
pub(crate) struct Path<T>(pub(crate) T);

/// The query string; types derive `deny_unknown_fields`.
#[derive(Debug, Clone)]
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for Path<T> {
    type Rejection = ApiError;

    #[expect(clippy::disallowed_types, reason = "this is what stands in its place")]
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        match axum::extract::Path::<T>::from_request_parts(parts, app).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(rejection) => Err(ApiError::new(Code::InvalidPath).detail(rejection.body_text())),
        }
    }
}

impl<T: DeserializeOwned + Send> FromRequestParts<App> for Query<T> {
    type Rejection = ApiError;

    #[expect(clippy::disallowed_types, reason = "this is what stands in its place")]
    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, ApiError> {
        let query = parts.uri.query().unwrap_or_default();
        if query.contains("%00") {
            return Err(ApiError::new(Code::InvalidQuery).detail("the query holds a zero byte"));
        }
        match axum::extract::Query::<T>::try_from_uri(&parts.uri) {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(rejection) => {
                let text = rejection.body_text();
                let message = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
                // the decoder writes `field: what is wrong`
                let (field, message) = match message.split_once(": ") {
                    Some((field, rest)) if !field.contains(' ') => (format!("/{field}"), rest),
                    _ => (String::new(), message),
                };
                Err(ApiError::new(Code::InvalidQuery).faults(vec![fault_of(field, message)]))
            }
        }
    }
}
