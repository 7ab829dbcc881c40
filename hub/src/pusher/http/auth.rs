//! `POST /api/v1/broadcasting/auth` and `user-auth`: what pusher-js and Laravel Echo ask their back end for, answered
//! for the holder of our access token. It opens what its holder may follow, and nothing of the application's own.
//!
//! The answers are those of Pusher's protocol, without our envelope.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, AUTHORIZATION, HOST, HeaderValue, ORIGIN, VARY,
};
use http::{HeaderMap, StatusCode};
use protocol::pusher::SocketId;
use protocol::pusher::signature::query;
use protocol::pusher::topics::{Form, Mapped};
use serde_json::{Value, json};

use super::{ApiError, Desk, read_body, refuse};
use crate::authority::Identity;
use crate::classes::Caller;
use crate::origin;
use crate::pusher::App;
use crate::pusher::session::Bearer;

/// Bytes of a form with a socket's id and a channel's name.
const FORM_BYTES_MAX: usize = 8_192;

/// `POST /api/v1/broadcasting/auth`.
pub(super) async fn channel(State(desk): State<Arc<Desk>>, request: Request) -> Response {
    let headers = request.headers().clone();
    let answer = desk.authorize(request, false).await;
    desk.respond(&headers, answer)
}

/// `POST /api/v1/broadcasting/user-auth`.
pub(super) async fn user(State(desk): State<Arc<Desk>>, request: Request) -> Response {
    let headers = request.headers().clone();
    let answer = desk.authorize(request, true).await;
    desk.respond(&headers, answer)
}

/// What browsers ask before.
pub(super) async fn preflight(State(desk): State<Arc<Desk>>, request: Request) -> Response {
    let headers = request.headers();
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let answers = response.headers_mut();
    answers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST, OPTIONS"));
    answers.insert(
        ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("authorization, content-type, x-requested-with"),
    );
    answers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("300"));
    desk.allow_origin(headers, &mut response);
    response
}

impl Desk {
    async fn authorize(&self, request: Request, of_user: bool) -> Result<Value, ApiError> {
        let token =
            bearer_token(request.headers()).ok_or(ApiError::Forbidden("an access token is needed"))?;
        let now = self.clock.now();
        let identity = self
            .authority
            .identify(token, now)
            .map_err(|_| ApiError::Forbidden("the access token opens nothing"))?;
        let body = read_body(request.into_body(), FORM_BYTES_MAX).await?;
        let form = query(std::str::from_utf8(&body).unwrap_or_default());
        let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        let socket_id: SocketId =
            field("socket_id").parse().map_err(|_| ApiError::Bad("socket_id is missing".to_owned()))?;
        let app = self.app(field("app"))?;
        if of_user {
            let data = about("id", &identity);
            return Ok(json!({ "auth": app.signer.user_auth(socket_id, &data), "user_data": data }));
        }
        let name = field("channel_name");
        let channel = self.name(name)?;
        let allowed = match app.topic(channel) {
            Some(Mapped { topic, form: Form::Shared(_) }) => {
                self.config.classes.of(&topic).is_some_and(|class| {
                    let caller = Caller { identity: Some(&identity), subscribed: false, topic: &topic };
                    class.allows(class.subscribe, caller)
                })
            }
            _ => false,
        };
        if !allowed {
            return Err(ApiError::Forbidden("the holder of the access token may not listen here"));
        }
        let data = channel.prefix().has_presence().then(|| about("user_id", &identity));
        let auth = match &identity.principal {
            Some(principal) => {
                let domain::Bearer { user_id, session, issued_at } = principal.bearer();
                let bearer = Bearer { user_id, session: session.to_owned(), issued_at };
                app.signer.channel_auth_for(&bearer.text(), socket_id, name, data.as_deref())
            }
            None => app.signer.channel_auth(socket_id, name, data.as_deref()),
        };
        Ok(match data {
            Some(data) => json!({ "auth": auth, "channel_data": data }),
            None => json!({ "auth": auth }),
        })
    }

    /// The application with this key; without one the only one that there is.
    fn app(&self, key: &str) -> Result<&Arc<App>, ApiError> {
        let apps = &self.pusher.apps;
        let mut all = apps.iter().filter(|app| app.config.enabled);
        match (key, all.next(), all.next()) {
            ("", Some(app), None) => Ok(app),
            ("", ..) => Err(ApiError::Bad("app is missing: the application's key".to_owned())),
            (key, ..) => apps.by_key(key).filter(|app| app.config.enabled).ok_or(ApiError::UnknownApp),
        }
    }

    fn respond(&self, headers: &HeaderMap, answer: Result<Value, ApiError>) -> Response {
        let mut response = match answer {
            Ok(value) => super::json(&value),
            Err(error) => refuse(&error),
        };
        self.allow_origin(headers, &mut response);
        response
    }

    fn allow_origin(&self, headers: &HeaderMap, response: &mut Response) {
        let Some(origin) = headers.get(ORIGIN) else { return };
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        let answers = response.headers_mut();
        answers.insert(VARY, HeaderValue::from_static("Origin"));
        if origin::admits(&self.origins, Some(origin.to_str().unwrap_or("null")), host) {
            answers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            answers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
    }
}

fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// What a presence channel shows of somebody: their id under the name `id`, and what their token says about them.
fn about(id: &str, identity: &Identity) -> String {
    let info = identity.info.as_deref().and_then(|info| serde_json::from_slice::<Value>(info).ok());
    let roles = identity.principal.as_ref().map(|principal| json!({ "roles": principal.roles }));
    json!({ id: &*identity.user, "user_info": info.or(roles) }).to_string()
}
