//! How the routes and what stands around them fit together.

use std::any::Any;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::app::App;
use crate::code::Code;
use crate::config::Cors;
use crate::error::ApiError;
use crate::{frame, gate, http, openapi};

/// Headers of ours that pages may read.
const EXPOSED: [HeaderName; 9] = [
    header::ETAG,
    header::LINK,
    header::LOCATION,
    header::RETRY_AFTER,
    header::CONTENT_LANGUAGE,
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("ratelimit"),
    HeaderName::from_static("ratelimit-policy"),
    HeaderName::from_static("idempotency-replayed"),
];

/// Headers that pages may send.
const ACCEPTED: [HeaderName; 8] = [
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    header::ACCEPT_LANGUAGE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("x-mutation-id"),
    HeaderName::from_static("x-request-id"),
];

/// Every route in its frame. From outside to inside: CORS, the frame (which writes errors), panics, the gate, the
/// limit of bodies, the handler.
pub(crate) fn router(app: App) -> Router {
    let (routes, document) = http::routes(&app.config).split_for_parts();
    let body_bytes_max = app.config.limits.body_bytes_max;
    routes
        .merge(openapi::pages(&openapi::complete(document)))
        .fallback(|| async { ApiError::new(Code::RouteNotFound) })
        .layer(middleware::from_fn(refuse_methods))
        .layer(DefaultBodyLimit::max(body_bytes_max))
        .layer(middleware::from_fn_with_state(app.clone(), gate::gate))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(app.clone(), frame::frame))
        .layer(cors(&app.config.cors))
        .with_state(app)
}

/// Gives the router's own 405 the shape of every error, and keeps its `Allow`.
async fn refuse_methods(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    if response.status() != axum::http::StatusCode::METHOD_NOT_ALLOWED {
        return response;
    }
    let allow = response.headers().get(header::ALLOW).cloned();
    ApiError::new(Code::MethodNotAllowed).allow(allow).into_response()
}

/// A panic that a handler did not survive.
#[derive(Debug, thiserror::Error)]
#[error("a handler panicked: {0}")]
struct Panicked(String);

#[expect(clippy::needless_pass_by_value, reason = "the layer hands it over")]
fn panicked(payload: Box<dyn Any + Send>) -> Response {
    let text = payload
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "without a message".to_owned());
    ApiError::internal(Panicked(text)).into_response()
}

fn cors(config: &Cors) -> CorsLayer {
    let origins = if config.is_open() {
        AllowOrigin::any()
    } else {
        let origins = config.origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
        AllowOrigin::list(origins.collect::<Vec<_>>())
    };
    CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers(ACCEPTED)
        .expose_headers(EXPOSED)
        .max_age(Duration::from_secs(config.max_age_secs))
}
