//! The frame around every request: its id and language, the one place where answers and errors become bytes, the
//! headers that every response has, the access log and the latency metrics.

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use domain::Language;
use metrics::{counter, histogram};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::time::Instant;
use tracing::{error, info};

use crate::answer::Answer;
use crate::app::App;
use crate::error::ApiError;
use crate::etag::Tags;
use crate::gate::Identity;
use crate::metrics as names;
use crate::schema::PageMeta;

/// Longest id that is taken over from a client.
const REQUEST_ID_LENGTH_MAX: usize = 64;

/// What the frame remembers of a request while it runs.
struct Seen {
    method: Method,
    route: String,
    uri: String,
    language: Language,
    /// The client's own `X-Request-Id` where it is printable and short, else a new one.
    id: String,
    if_none_match: Option<Tags>,
}

/// Runs a request and writes its response.
pub(crate) async fn frame(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let seen = see(&app, &request);
    request.extensions_mut().insert(seen.language);
    let mut response = next.run(request).await;
    let error = response.extensions_mut().remove::<ApiError>();
    if let Some(error) = &error {
        write_error(&mut response, error, &seen);
    } else if let Some(answer) = response.extensions_mut().remove::<Answer>() {
        write_answer(&mut response, &answer, &seen);
    }
    finish_headers(response.headers_mut(), &seen);
    report(&seen, &response, error.as_ref(), started);
    response
}

fn see(app: &App, request: &Request) -> Seen {
    let headers = request.headers();
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let own_id =
        headers.get("x-request-id").and_then(|value| value.to_str().ok()).filter(|id| is_request_id(id));
    Seen {
        method: request.method().clone(),
        route: request
            .extensions()
            .get::<MatchedPath>()
            .map_or_else(|| "unmatched".to_owned(), |path| path.as_str().to_owned()),
        uri: request.uri().path_and_query().map_or_else(String::new, ToString::to_string),
        language: text(header::ACCEPT_LANGUAGE).map_or_else(Language::default, negotiate),
        id: own_id.map_or_else(|| new_id(app), ToOwned::to_owned),
        if_none_match: text(header::IF_NONE_MATCH).and_then(Tags::parse),
    }
}

fn is_request_id(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
    (1..=REQUEST_ID_LENGTH_MAX).contains(&id.len()) && id.bytes().all(plain)
}

fn new_id(app: &App) -> String {
    let millis = u64::try_from(app.clock.now().as_microsecond() / 1_000).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &rand::random()).into_uuid().to_string()
}

/// The language of `Accept-Language` with the greatest weight that we speak, else English.
fn negotiate(header: &str) -> Language {
    let mut best = (0.0, Language::default());
    for item in header.split(',') {
        let mut parts = item.split(';');
        let Some(language) = Language::of_tag(parts.next().unwrap_or_default().trim()) else { continue };
        let weight =
            parts.find_map(|part| part.trim().strip_prefix("q=")?.parse::<f32>().ok()).unwrap_or(1.0);
        if weight > best.0 {
            best = (weight, language);
        }
    }
    best.1
}

#[derive(Serialize)]
struct Written<'a> {
    success: bool,
    data: &'a RawValue,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    meta: Option<&'a PageMeta>,
}

fn write_answer(response: &mut Response, answer: &Answer, seen: &Seen) {
    let headers = response.headers_mut();
    for (name, value) in [(header::ETAG, &answer.etag), (header::LOCATION, &answer.location)] {
        if let Some(value) = value.as_deref().and_then(|value| HeaderValue::from_str(value).ok()) {
            headers.insert(name, value);
        }
    }
    let cache = match (&answer.cache, &answer.etag) {
        (Some(control), _) => control.as_str(),
        (None, Some(_)) => "private, no-cache", // keep it, but ask each time
        (None, None) => "private, no-store",
    };
    if let Ok(cache) = HeaderValue::from_str(cache) {
        headers.insert(header::CACHE_CONTROL, cache);
    }
    if answer.replayed {
        headers.insert("idempotency-replayed", HeaderValue::from_static("true"));
    }
    if let Some(link) = answer.meta.as_ref().and_then(|meta| next_link(&seen.uri, meta)) {
        headers.insert(header::LINK, link);
    }
    let reads = seen.method == Method::GET || seen.method == Method::HEAD;
    let same = |etag: &String| seen.if_none_match.as_ref().is_some_and(|tags| tags.have(etag));
    if reads && answer.etag.as_ref().is_some_and(same) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return;
    }
    let body = Written {
        success: true,
        data: &answer.data,
        message: answer.say.text(seen.language),
        meta: answer.meta.as_ref(),
    };
    write_json(response, &body, "application/json");
}

/// `Link: <…>; rel="next"` (RFC 8288): the same request with the next cursor.
fn next_link(uri: &str, meta: &PageMeta) -> Option<HeaderValue> {
    let cursor = meta.next_cursor.as_ref()?;
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let rest: Vec<&str> =
        query.split('&').filter(|part| !part.is_empty() && !part.starts_with("cursor=")).collect();
    let query = [rest.as_slice(), &[&format!("cursor={cursor}")]].concat().join("&");
    HeaderValue::from_str(&format!("<{path}?{query}>; rel=\"next\"")).ok()
}

fn write_error(response: &mut Response, error: &ApiError, seen: &Seen) {
    for (name, value) in error.headers() {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    write_json(response, &error.problem(seen.language, &seen.id), "application/problem+json");
}

fn write_json(response: &mut Response, body: &impl Serialize, content_type: &'static str) {
    let bytes = serde_json::to_vec(body).expect("an envelope of JSON values is JSON");
    response.headers_mut().remove(header::CONTENT_LENGTH);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    *response.body_mut() = Body::from(bytes);
}

fn finish_headers(headers: &mut HeaderMap, seen: &Seen) {
    if let Ok(id) = HeaderValue::from_str(&seen.id) {
        headers.insert("x-request-id", id);
    }
    headers.append(header::VARY, HeaderValue::from_static("accept-language"));
    headers.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(seen.language.as_str()));
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
    ];
    for (name, value) in fixed {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    // the pages under /docs bring their own policy
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
}

fn report(seen: &Seen, response: &Response, error: Option<&ApiError>, started: Instant) {
    let (method, status) = (method_label(&seen.method), response.status().as_u16());
    let elapsed = started.elapsed();
    histogram!(names::REQUEST_SECONDS, "method" => method, "route" => seen.route.clone())
        .record(elapsed.as_secs_f64());
    counter!(names::REQUESTS, "method" => method, "route" => seen.route.clone(), "status" => status.to_string())
        .increment(1);
    let code = error.map_or("", |error| error.code().as_str());
    let user_id = response
        .extensions()
        .get::<Identity>()
        .and_then(|identity| identity.principal.as_ref().ok()?.as_ref().map(|principal| principal.user_id.0));
    let duration_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    let (route, id) = (&seen.route, &seen.id);
    if let Some(cause) = error.and_then(ApiError::chain) {
        error!(http.route = %route, http.status = status, request.id = %id, "{method} {route} failed: {cause}");
    }
    info!(
        http.method = method, http.route = %route, http.status = status, request.id = %id, user.id = user_id,
        error.code = code, duration_ms, "{method} {route} {status} in {duration_ms} ms"
    );
}

/// Methods as labels: a closed set, whatever a client sends.
fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heaviest_language_wins() {
        for (header, language) in [
            ("ar-EG,ar;q=0.9,en;q=0.8", Language::Ar),
            ("fr, en;q=0.5, ar;q=0.7", Language::Ar),
            ("en-GB", Language::En),
            ("fr", Language::En),
            ("ar;q=0, en", Language::En),
            (";;,,q=", Language::En),
        ] {
            assert_eq!(negotiate(header), language, "{header}");
        }
    }

    #[test]
    fn a_link_keeps_the_filter_and_replaces_the_cursor() {
        let meta = PageMeta { next_cursor: Some("new".to_owned()), has_more: true };
        let link = |uri| next_link(uri, &meta).unwrap().to_str().unwrap().to_owned();
        assert_eq!(
            link("/e?status=live&cursor=old&limit=2"),
            "</e?status=live&limit=2&cursor=new>; rel=\"next\""
        );
        assert_eq!(link("/e"), "</e?cursor=new>; rel=\"next\"");
    }

    #[test]
    fn only_plain_request_ids_are_taken_over() {
        assert!(is_request_id("a-1_B.c:2"));
        for bad in ["", "a b", "é", "a\"b", &"x".repeat(65)] {
            assert!(!is_request_id(bad), "{bad}");
        }
    }
}
