//! Under which condition, and in which language.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use domain::Language;

use crate::app::App;
use crate::code::Code;
use crate::error::ApiError;
use crate::etag::Tags;

/// The versions that a write has seen: required.
#[derive(Debug, Clone)]
pub(crate) struct IfMatch(pub(crate) Tags);

/// The language of the answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lang(pub(crate) Language);

impl FromRequestParts<App> for IfMatch {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, ApiError> {
        let value =
            parts.headers.get(header::IF_MATCH).ok_or_else(|| ApiError::new(Code::PreconditionRequired))?;
        let tags = value.to_str().ok().and_then(Tags::parse);
        tags.map(Self)
            .ok_or_else(|| ApiError::new(Code::InvalidHeader).detail("If-Match is a list of quoted tags"))
    }
}

impl FromRequestParts<App> for Lang {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Infallible> {
        Ok(Self(parts.extensions.get::<Language>().copied().unwrap_or_default()))
    }
}
