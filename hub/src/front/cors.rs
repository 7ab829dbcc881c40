//! What browsers ask of pages from other hosts: which origins may use the HTTP transports, and that they may.

use axum::body::Body;
use axum::response::Response;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, HeaderMap,
    HeaderValue, ORIGIN, VARY,
};
use http::{Method, StatusCode};

/// Seconds for which a browser may remember what it was allowed.
const MAX_AGE_SECONDS: HeaderValue = HeaderValue::from_static("300");
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, OPTIONS");
const TRUE: HeaderValue = HeaderValue::from_static("true");

/// Tells the browser that the page of this request may read the response. Its origin has been admitted.
pub(super) fn allow(request: &HeaderMap, response: &mut HeaderMap) {
    response.append(VARY, HeaderValue::from_name(ORIGIN));
    if let Some(origin) = request.get(ORIGIN) {
        response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        response.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
    }
}

/// The answer to the question that browsers ask before the request itself; `None` for the request itself.
pub(super) fn preflight(method: &Method, request: &HeaderMap) -> Option<Response> {
    if method != Method::OPTIONS {
        return None;
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    allow(request, headers);
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE_SECONDS);
    if let Some(asked) = request.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    Some(response)
}
