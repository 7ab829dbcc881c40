//! `/api/v1/devices`: the caller's phones and browsers, registered for push.

use axum::extract::State;
use axum::http::StatusCode;
use domain::{Channel, DeviceId, Principal, PushSubscription, Timestamp};
use serde::{Deserialize, Serialize};
use service::reach::permitted_url;
use store::devices::{Device, DeviceState, NewDevice, Platform, TokenKind};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::answer::{Answer, Say};
use crate::app::{App, Webpush};
use crate::code::Code;
use crate::cursor::PageQuery;
use crate::error::ApiError;
use crate::extract::{IfMatch, Json, Member, Path, Query};
use crate::fault::{Checks, Rule};
use crate::idempotency::{Once, begin};
use crate::ops::devices::{self, DeviceError, etag};
use crate::schema::{Envelope, PageEnvelope};

/// The routes of this file.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, register)).routes(routes!(show, replace, remove))
}

/// What an app registers.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DeviceForm {
    /// Made by the app at its first start and kept: 8 to 128 printable characters.
    #[schema(example = "3f0c7a52-7f5e-4a38-9d39-0e1b7b0a2c11", min_length = 8, max_length = 128)]
    installation_id: String,
    /// `ios`, `android` or `web`.
    #[schema(value_type = String, example = "android")]
    platform: Platform,
    /// `apns` (iOS), `fcm_token` or `fcm_fid` (any), `webpush` (web).
    #[schema(value_type = String, example = "fcm_token")]
    token_kind: TokenKind,
    /// As the push service gave it. `apns`: hexadecimal, 16 to 400 digits. `fcm_…`: 8 to 4,096 of
    /// `A-Z a-z 0-9 _ - :`. `webpush`: the subscription as JSON text with an https `endpoint`, at most 4,096 bytes.
    #[schema(example = "dQw4w9WgXcQ:APA91bHun4MxP5egoKMwt2KZFBaFUH-1RYqx", max_length = 4096)]
    token: String,
    /// BCP 47, 2 to 35 characters.
    #[schema(example = "ar-EG", min_length = 2, max_length = 35)]
    locale: String,
    /// As the app calls it, 1 to 64 characters.
    #[schema(example = "2.4.1", max_length = 64)]
    app_version: String,
}

/// A registered device. The token is never shown.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeviceView {
    /// Its id.
    #[schema(value_type = i64, example = 1)]
    id: DeviceId,
    /// Made by the app.
    installation_id: String,
    /// What it runs on.
    #[schema(value_type = String, example = "android")]
    platform: Platform,
    /// How it is reached: `apns`, `fcm` or `webpush`.
    #[schema(value_type = String, example = "fcm")]
    channel: Channel,
    /// What its token is.
    #[schema(value_type = String, example = "fcm_token")]
    token_kind: TokenKind,
    /// BCP 47.
    #[schema(example = "ar-EG")]
    locale: String,
    /// As the app calls it.
    #[schema(example = "2.4.1")]
    app_version: String,
    /// `active`, `quarantined` or `retired`; registering again makes it active.
    #[schema(value_type = String, example = "active")]
    state: DeviceState,
    /// Why it is not active.
    state_reason: Option<String>,
    /// When the token was last registered.
    #[schema(value_type = String, format = DateTime, example = "2026-07-15T12:00:00Z")]
    registered_at: Timestamp,
}

impl From<&Device> for DeviceView {
    fn from(device: &Device) -> Self {
        Self {
            id: device.id,
            installation_id: device.installation_id.clone(),
            platform: device.platform,
            channel: device.channel,
            token_kind: device.token_kind,
            locale: device.locale.clone(),
            app_version: device.app_version.clone(),
            state: device.state,
            state_reason: device.state_reason.clone(),
            registered_at: device.registered_at,
        }
    }
}

impl DeviceForm {
    /// # Errors
    /// [`Code::ValidationFailed`] with every value that is wrong.
    fn check(self, caller: &Principal, browsers: &Webpush) -> Result<NewDevice, ApiError> {
        let mut checks = Checks::default();
        checks.text("/installation_id", &self.installation_id, 8..=128);
        let printable = self.installation_id.bytes().all(|byte| byte.is_ascii_graphic());
        checks.ensure(printable, "/installation_id", Rule::Character);
        checks.text("/locale", &self.locale, 2..=35);
        let tag = self.locale.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        checks.ensure(tag, "/locale", Rule::Malformed("a BCP 47 tag such as ar-EG"));
        checks.text("/app_version", &self.app_version, 1..=64);
        let fits = match self.token_kind {
            TokenKind::Apns => self.platform == Platform::Ios,
            TokenKind::FcmToken | TokenKind::FcmFid => true,
            TokenKind::Webpush => self.platform == Platform::Web,
        };
        checks.ensure(fits, "/token_kind", Rule::Malformed("one that the platform has"));
        if let Some(rule) = token_fault(self.token_kind, &self.token, browsers) {
            checks.add("/token", rule);
        }
        checks.finish()?;
        let Self { installation_id, platform, token_kind, token, locale, app_version } = self;
        Ok(NewDevice {
            user_id: caller.user_id,
            installation_id,
            platform,
            token_kind,
            token,
            locale,
            app_version,
        })
    }
}

/// Apple says not to assume a length; ours only keeps out what cannot be a token.
fn token_fault(kind: TokenKind, token: &str, browsers: &Webpush) -> Option<Rule> {
    let (least, most) = match kind {
        TokenKind::Apns => (16, 400),
        TokenKind::FcmToken | TokenKind::FcmFid => (8, 4_096),
        TokenKind::Webpush => (32, 4_096),
    };
    if token.len() < least {
        return Some(Rule::TooShort(least));
    }
    if token.len() > most {
        return Some(Rule::TooLong(most));
    }
    let all = |permitted: fn(u8) -> bool| token.bytes().all(permitted);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b':' | b'.');
    match kind {
        TokenKind::Apns if !all(|byte| byte.is_ascii_hexdigit()) || !token.len().is_multiple_of(2) => {
            Some(Rule::Malformed("an even number of hexadecimal digits"))
        }
        TokenKind::FcmToken | TokenKind::FcmFid if !all(plain) => Some(Rule::Character),
        TokenKind::Webpush => subscription_fault(token, browsers),
        TokenKind::Apns | TokenKind::FcmToken | TokenKind::FcmFid => None,
    }
}

/// The endpoint is where this installation will send requests: only push services are permitted.
fn subscription_fault(token: &str, browsers: &Webpush) -> Option<Rule> {
    let Ok(subscription) = PushSubscription::parse(token) else {
        return Some(Rule::Malformed("a subscription as JSON: an https endpoint, keys.p256dh and keys.auth"));
    };
    let permitted = permitted_url(&subscription.endpoint, &browsers.hosts, browsers.inside);
    permitted.is_err().then_some(Rule::Malformed("a subscription of a push service that is permitted here"))
}

impl From<DeviceError> for ApiError {
    fn from(error: DeviceError) -> Self {
        match error {
            DeviceError::NotFound => Self::new(Code::NotFound),
            DeviceError::Stale(device) => {
                Self::new(Code::PreconditionFailed).current(&DeviceView::from(&*device)).etag(&etag(&device))
            }
            DeviceError::AnotherDevice => Self::invalid("/installation_id", ANOTHER),
            DeviceError::Store(cause) => cause.into(),
        }
    }
}

/// The rule of what makes a device.
const ANOTHER: Rule = Rule::Own(
    "immutable",
    "installation and channel of a device cannot change: register another",
    "لا يمكن تغيير التثبيت أو القناة: سجّل جهازًا آخر",
);

/// The caller's devices.
#[utoipa::path(get, path = "/api/v1/devices", tag = "devices", security(("bearer" = [])), params(PageQuery),
    responses((status = 200, description = "A page of them", body = PageEnvelope<DeviceView>)))]
async fn list(
    State(app): State<App>,
    Member(caller): Member,
    Query(query): Query<PageQuery>,
) -> Result<Answer, ApiError> {
    let scope = ("devices", caller.user_id);
    let page = app.cursors.request::<DeviceId>(query.limit, query.cursor.as_deref(), &scope)?;
    let rows = store::devices::list(&app.store, caller.user_id, page.after, page.limit + 1).await?;
    let page = app.cursors.page(&page, rows, |device| device.id)?;
    Answer::page(page.map(|device| DeviceView::from(&device)))
}

/// Registers a device, or registers it again: then it is active, with the new token.
#[utoipa::path(post, path = "/api/v1/devices", tag = "devices", security(("bearer" = [])),
    request_body = DeviceForm, responses(
        (status = 200, description = "It was known; this is how it is now", body = Envelope<DeviceView>),
        (status = 201, description = "It is new", body = Envelope<DeviceView>)))]
async fn register(
    State(app): State<App>,
    Member(caller): Member,
    once: Once,
    Json(form): Json<DeviceForm>,
) -> Result<Answer, ApiError> {
    let new = form.check(&caller, &app.webpush)?;
    let mut work = begin!(once, &app, &caller);
    let (device, is_new) = devices::register(&app, &mut work.tx, &new).await?;
    let (status, say) =
        if is_new { (StatusCode::CREATED, Say::Created) } else { (StatusCode::OK, Say::Done) };
    let mut answer = Answer::new(status, say, &DeviceView::from(&device))?.etag(&etag(&device));
    answer.location = is_new.then(|| format!("/api/v1/devices/{}", device.id));
    work.finish(&app, answer).await
}

/// One of the caller's devices.
#[utoipa::path(get, path = "/api/v1/devices/{id}", tag = "devices", security(("bearer" = [])),
    params(("id" = i64, Path, example = 1)),
    responses((status = 200, description = "The device", body = Envelope<DeviceView>)))]
async fn show(
    State(app): State<App>,
    Member(caller): Member,
    Path(id): Path<DeviceId>,
) -> Result<Answer, ApiError> {
    let device = store::devices::find(&app.store, caller.user_id, id).await?.ok_or(DeviceError::NotFound)?;
    Ok(Answer::ok(&DeviceView::from(&device))?.etag(&etag(&device)))
}

/// Replaces what is registered of a device: a new token, locale or app version.
#[utoipa::path(put, path = "/api/v1/devices/{id}", tag = "devices", security(("bearer" = [])),
    params(("id" = i64, Path, example = 1)), request_body = DeviceForm,
    responses((status = 200, description = "The device", body = Envelope<DeviceView>)))]
#[expect(clippy::too_many_arguments, reason = "each is an extractor")]
async fn replace(
    State(app): State<App>,
    Member(caller): Member,
    Path(id): Path<DeviceId>,
    IfMatch(seen): IfMatch,
    once: Once,
    Json(form): Json<DeviceForm>,
) -> Result<Answer, ApiError> {
    let new = form.check(&caller, &app.webpush)?;
    let mut work = begin!(once, &app, &caller);
    let device = devices::replace(&app, &mut work.tx, id, &seen, &new).await?;
    work.finish(&app, Answer::ok(&DeviceView::from(&device))?.etag(&etag(&device))).await
}

/// Removes a device: nothing is pushed to it any more.
#[utoipa::path(delete, path = "/api/v1/devices/{id}", tag = "devices", security(("bearer" = [])),
    params(("id" = i64, Path, example = 1)),
    responses((status = 200, description = "It is gone", body = Envelope<Option<bool>>)))]
async fn remove(
    State(app): State<App>,
    Member(caller): Member,
    Path(id): Path<DeviceId>,
    IfMatch(seen): IfMatch,
    once: Once,
) -> Result<Answer, ApiError> {
    let mut work = begin!(once, &app, &caller);
    devices::remove(&mut work.tx, caller.user_id, id, &seen).await?;
    work.finish(&app, Answer::removed()?).await
}
