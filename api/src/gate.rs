//! What stands before every handler: room for one more, who it is, their quota, and the time limit.

use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use domain::{Claims, Permission, Principal};
use metrics::{counter, gauge};
use service::address::AddressPrefix;
use service::token::TokenError;
use tracing::error;

use crate::app::App;
use crate::code::Code;
use crate::error::ApiError;
use crate::limits::{Class, Key, Standing as Quota};
use crate::metrics as names;
use crate::standing::Standing;

/// When to come back after an overload.
const OVERLOAD_RETRY: Duration = Duration::from_secs(1);

/// Who sent a request, for the extractors: nobody in particular, somebody, or somebody with a bad token.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// The principal of a good token; `None` without a token; the error of a bad one.
    pub(crate) principal: Result<Option<Principal>, Code>,
    /// The address, as far as it matters.
    pub(crate) address: Key,
}

/// Lets a request in, or answers 503 or 429.
pub(crate) async fn gate(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let Ok(_permit) = app.in_flight.try_acquire() else {
        counter!(names::SHED, "reason" => "overload").increment(1);
        return ApiError::new(Code::Overloaded).retry_after(OVERLOAD_RETRY).into_response();
    };
    gauge!(names::IN_FLIGHT).increment(1);
    let _leaving = Leaving;
    let identity = stand(&app, identify(&app, &request)).await;
    let standing = take_quota(&app, &identity, &request);
    if let Some(wait) = standing.and_then(|standing| standing.wait) {
        counter!(names::SHED, "reason" => "quota").increment(1);
        let refusal = ApiError::new(Code::QuotaExceeded).retry_after(wait + Duration::from_secs(1));
        return with_standing(refusal.into_response(), standing);
    }
    request.extensions_mut().insert(identity.clone());
    let limit = Duration::from_millis(app.config.limits.request_timeout_ms);
    let answered = tokio::time::timeout(limit, next.run(request)).await;
    let mut response = answered.unwrap_or_else(|_elapsed| {
        counter!(names::SHED, "reason" => "timeout").increment(1);
        ApiError::new(Code::TimedOut).retry_after(OVERLOAD_RETRY).into_response()
    });
    response.extensions_mut().insert(identity); // for the log
    with_standing(response, standing)
}

/// Counts a request out, however it ends.
struct Leaving;

impl Drop for Leaving {
    fn drop(&mut self) {
        gauge!(names::IN_FLIGHT).decrement(1);
    }
}

fn identify(app: &App, request: &Request) -> Identity {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| *peer);
    let address = Key::Address(AddressPrefix::of(peer, request.headers(), &app.trusted_proxies));
    let principal = match bearer(request.headers()) {
        Ok(None) => Ok(None),
        Ok(Some(token)) => verify(app, token).map(Some),
        Err(code) => Err(code),
    };
    Identity { principal, address }
}

/// Refuses the bearer of a good token whose session has ended, or who is something else by now.
async fn stand(app: &App, mut identity: Identity) -> Identity {
    let Ok(Some(principal)) = &identity.principal else { return identity };
    let refused = match app.sessions.standing(&app.store, principal).await {
        Ok(Standing::Good) => None,
        Ok(Standing::Renew) => Some(Code::TokenExpired),
        Ok(Standing::Ended) => Some(Code::TokenInvalid),
        Ok(Standing::Blocked) => Some(Code::AccountBlocked),
        Err(cause) => {
            error!("cannot find out whether a session goes on: {cause:#}");
            Some(Code::Internal)
        }
    };
    if let Some(code) = refused {
        identity.principal = Err(code);
    }
    identity
}

/// The token of `Authorization: Bearer …`; other schemes are not ours to judge and are refused.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Code> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let value = value.to_str().map_err(|_| Code::TokenInvalid)?;
    let (scheme, token) = value.split_once(' ').ok_or(Code::TokenInvalid)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(Some(token.trim())) } else { Err(Code::TokenInvalid) }
}

fn verify(app: &App, token: &str) -> Result<Principal, Code> {
    let claims: Claims = app.verifier.verify(token, &app.issuer, &app.audience, app.clock.now()).map_err(
        |error| match error {
            TokenError::Expired => Code::TokenExpired,
            TokenError::Malformed
            | TokenError::UnknownKey
            | TokenError::Signature
            | TokenError::NotYetValid
            | TokenError::Issuer
            | TokenError::Audience => Code::TokenInvalid,
        },
    )?;
    claims.principal().ok_or(Code::TokenInvalid)
}

/// Takes the request from the quota it belongs to. An announcement by somebody who may announce is never refused:
/// an emergency does not wait.
fn take_quota(app: &App, identity: &Identity, request: &Request) -> Option<Quota> {
    let path = request.uri().path();
    let who = identity.principal.as_ref().ok().and_then(Option::as_ref);
    let (class, key) = match who {
        _ if path.starts_with("/api/v1/auth/") => (Class::Auth, identity.address),
        None => (Class::Anonymous, identity.address),
        Some(who) if who.may(Permission::Announce) && is_announcing(request.method(), path) => return None,
        Some(who) if who.may(Permission::Announce) || who.may(Permission::EditProgramme) => {
            (Class::Staff, Key::User(who.user_id.0))
        }
        Some(who) => (Class::User, Key::User(who.user_id.0)),
    };
    Some(app.rates.take(class, key))
}

fn is_announcing(method: &Method, path: &str) -> bool {
    method == Method::POST && path == "/api/v1/announcements"
}

fn with_standing(mut response: Response, standing: Option<Quota>) -> Response {
    for (name, value) in standing.iter().flat_map(Quota::headers) {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
