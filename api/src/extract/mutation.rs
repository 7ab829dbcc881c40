//! What a client calls its own mutation, so that an optimistic page recognises the change that comes back to it.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::app::App;
use crate::code::Code;
use crate::error::ApiError;

/// Characters of the longest name.
const LENGTH_MAX: usize = 64;

/// The `X-Mutation-Id` header.
#[derive(Debug, Clone)]
pub(crate) struct Mutation(pub(crate) Option<String>);

impl FromRequestParts<App> for Mutation {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, ApiError> {
        let Some(value) = parts.headers.get("x-mutation-id") else { return Ok(Self(None)) };
        let name = value.to_str().ok().map(str::trim);
        match name.filter(|name| (1..=LENGTH_MAX).contains(&name.len())) {
            Some(name) => Ok(Self(Some(name.to_owned()))),
            None => {
                Err(ApiError::new(Code::InvalidHeader)
                    .detail("X-Mutation-Id is 1 to 64 printable characters"))
            }
        }
    }
}
