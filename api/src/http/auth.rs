//! `/api/v1/auth`: signing in, staying signed in, signing out, registering.

use axum::extract::State;
use axum::http::StatusCode;
use domain::{Language, Role, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::me::UserView;
use super::users::{PASSWORD_CHARS, check_account};
use crate::answer::{Answer, Say};
use crate::app::App;
use crate::code::Code;
use crate::error::ApiError;
use crate::extract::{AddressOf, Caller, Json};
use crate::fault::Checks;
use crate::idempotency::{Once, begin};
use crate::ops::change_password::{self, NewPassword};
use crate::ops::sessions::{self, Credentials, RefreshError, Session, SignInError};
use crate::ops::users::{self, NewAccount};
use crate::passwords::{BUSY_RETRY, PasswordError};
use crate::schema::Envelope;

/// The routes of this file.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(login))
        .routes(routes!(refresh))
        .routes(routes!(logout))
        .routes(routes!(logout_everywhere))
        .routes(routes!(change_password))
        .routes(routes!(register))
}

/// What somebody signs in with.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LoginForm {
    /// The account's address.
    #[schema(example = "amina@example.com", max_length = 254)]
    email: String,
    /// The account's password.
    #[schema(example = "seven purple camels", max_length = 1024)]
    password: String,
    /// What the app calls its installation: wrong passwords are counted per account and installation.
    #[schema(example = "3f0c7a52-7f5e-4a38-9d39-0e1b7b0a2c11", max_length = 128)]
    installation_id: Option<String>,
}

/// A refresh token.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RefreshForm {
    /// As the last login or refresh gave it.
    #[schema(example = "xU3tq9QmQm8nM0b1xq0Ck3y1n2V0o0rJg8wq3mS0hXo", max_length = 128)]
    refresh_token: String,
}

/// An account to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RegisterForm {
    /// The account's address.
    #[schema(example = "amina@example.com", max_length = 254)]
    email: String,
    /// 10 to 1,024 characters.
    #[schema(example = "seven purple camels", min_length = 10, max_length = 1024)]
    password: String,
    /// What to call them.
    #[schema(example = "Amina", max_length = 200)]
    name: String,
    /// What they read: `ar` or `en`.
    #[schema(value_type = Option<String>, example = "ar")]
    language: Option<Language>,
}

/// Another password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PasswordForm {
    /// The password they have.
    #[schema(example = "seven purple camels", max_length = 1024)]
    current_password: String,
    /// The one they want: 10 to 1,024 characters.
    #[schema(example = "eight yellow camels", min_length = 10, max_length = 1024)]
    new_password: String,
}

/// A session.
#[derive(Debug, Serialize, ToSchema)]
struct SessionView {
    /// For `Authorization: Bearer`, and for the socket.
    access_token: String,
    /// Always `Bearer`.
    token_type: &'static str,
    /// Seconds that the access token is good for.
    #[schema(example = 600)]
    expires_in: u64,
    /// For `POST /api/v1/auth/refresh`; good once.
    refresh_token: String,
    /// When the refresh token is of no more use.
    #[schema(value_type = String, format = DateTime, example = "2026-08-14T12:00:00Z")]
    refresh_expires_at: Timestamp,
    /// Who is signed in.
    user: UserView,
}

impl From<Session> for SessionView {
    fn from(session: Session) -> Self {
        Self {
            access_token: session.access_token,
            token_type: "Bearer",
            expires_in: session.access_for.as_secs(),
            refresh_token: session.refresh_token,
            refresh_expires_at: session.refresh_expires_at,
            user: session.user.into(),
        }
    }
}

impl From<SignInError> for ApiError {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::Wrong => Self::new(Code::CredentialsWrong),
            SignInError::Blocked => Self::new(Code::AccountBlocked),
            SignInError::Locked(wait) => Self::new(Code::LoginLocked).retry_after(wait),
            SignInError::Password(cause) => cause.into(),
            SignInError::Store(cause) => cause.into(),
        }
    }
}

impl From<RefreshError> for ApiError {
    fn from(error: RefreshError) -> Self {
        match error {
            RefreshError::Invalid => Self::new(Code::RefreshInvalid),
            RefreshError::Reused => Self::new(Code::RefreshReused),
            RefreshError::Store(cause) => cause.into(),
        }
    }
}

impl From<PasswordError> for ApiError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy => Self::new(Code::Overloaded).retry_after(BUSY_RETRY),
            PasswordError::Hash(_) => Self::internal(error),
        }
    }
}

/// Signs in.
#[utoipa::path(post, path = "/api/v1/auth/login", tag = "auth", request_body = LoginForm, responses(
    (status = 200, description = "A new session", body = Envelope<SessionView>),
    (status = 401, description = "`credentials_wrong`"),
    (status = 403, description = "`account_blocked`"),
    (status = 429, description = "`login_locked`")))]
async fn login(
    State(app): State<App>,
    AddressOf(address): AddressOf,
    Json(form): Json<LoginForm>,
) -> Result<Answer, ApiError> {
    let mut checks = Checks::default();
    checks.text("/email", &form.email, 1..=254);
    checks.text("/password", &form.password, 1..=1_024);
    if let Some(installation) = &form.installation_id {
        checks.text("/installation_id", installation, 1..=128);
    }
    checks.finish()?;
    let LoginForm { email, password, installation_id } = form;
    let credentials = Credentials { email: email.to_lowercase(), password, installation_id, address };
    Answer::ok(&SessionView::from(sessions::sign_in(&app, credentials).await?))
}

/// Exchanges a refresh token for the next. When the answer was lost, send the same token again.
#[utoipa::path(post, path = "/api/v1/auth/refresh", tag = "auth", request_body = RefreshForm, responses(
    (status = 200, description = "The session goes on", body = Envelope<SessionView>),
    (status = 401, description = "`refresh_invalid`, `refresh_reused`")))]
async fn refresh(State(app): State<App>, Json(form): Json<RefreshForm>) -> Result<Answer, ApiError> {
    check_token(&form)?;
    Answer::ok(&SessionView::from(sessions::refresh(&app, &form.refresh_token).await?))
}

/// Ends the session of a refresh token: its sockets are closed, and no socket takes its access token any more. Here the
/// access token stays good until it expires.
#[utoipa::path(post, path = "/api/v1/auth/logout", tag = "auth", request_body = RefreshForm, responses(
    (status = 200, description = "The session is ended, or there was none", body = Envelope<Option<bool>>)))]
async fn logout(State(app): State<App>, Json(form): Json<RefreshForm>) -> Result<Answer, ApiError> {
    check_token(&form)?;
    sessions::sign_out(&app, &form.refresh_token).await?;
    Answer::new(StatusCode::OK, Say::SignedOut, &())
}

/// Ends every session of the caller.
#[utoipa::path(post, path = "/api/v1/auth/logout/all", tag = "auth", security(("bearer" = [])), responses(
    (status = 200, description = "Every session is ended", body = Envelope<Option<bool>>)))]
async fn logout_everywhere(
    State(app): State<App>,
    Caller(caller): Caller,
    once: Once,
) -> Result<Answer, ApiError> {
    let mut work = begin!(once, &app, &caller);
    sessions::sign_out_everywhere(&app, &mut work.tx, caller.user_id).await?;
    work.finish(&app, Answer::new(StatusCode::OK, Say::SignedOut, &())?).await
}

/// Changes the caller's password. Every other session of theirs ends; this one goes on.
#[utoipa::path(post, path = "/api/v1/auth/password", tag = "auth", security(("bearer" = [])),
    request_body = PasswordForm, responses(
        (status = 200, description = "It is changed", body = Envelope<Option<bool>>),
        (status = 401, description = "`credentials_wrong`"),
        (status = 403, description = "`account_blocked`"),
        (status = 429, description = "`login_locked`")))]
async fn change_password(
    State(app): State<App>,
    Caller(caller): Caller,
    AddressOf(address): AddressOf,
    Json(form): Json<PasswordForm>,
) -> Result<Answer, ApiError> {
    let mut checks = Checks::default();
    checks.text("/current_password", &form.current_password, 1..=1_024);
    checks.text("/new_password", &form.new_password, PASSWORD_CHARS);
    checks.finish()?;
    let PasswordForm { current_password: current, new_password: new } = form;
    change_password::change_password(&app, &caller, NewPassword { current, new, address }).await?;
    Answer::new(StatusCode::OK, Say::PasswordChanged, &())
}

/// Makes an account of a visitor and signs in.
#[utoipa::path(post, path = "/api/v1/auth/register", tag = "auth", request_body = RegisterForm, responses(
    (status = 201, description = "The account, and a session of it", body = Envelope<SessionView>),
    (status = 403, description = "`registration_closed`"),
    (status = 409, description = "`email_taken`")))]
async fn register(State(app): State<App>, Json(form): Json<RegisterForm>) -> Result<Answer, ApiError> {
    if !app.config.registration_open {
        return Err(ApiError::new(Code::RegistrationClosed));
    }
    let account = NewAccount {
        email: form.email,
        name: form.name,
        password: Some(form.password),
        roles: vec![Role::Attendee],
        language: form.language.unwrap_or_default(),
    };
    let mut checks = Checks::default();
    check_account(&mut checks, "", &account);
    checks.finish()?;
    let users = users::prepare(&app.passwords, vec![account]).await?;
    let mut tx = app.store.begin().await?;
    let ids = users::create(&mut tx, &users, &*app.clock).await?;
    let user = store::users::find_in(&mut tx, ids[0]).await?.ok_or_else(|| ApiError::new(Code::NotFound))?;
    let session = sessions::begin(&app, &mut tx, user).await?;
    tx.commit().await?;
    Answer::created(&SessionView::from(session), "/api/v1/me".to_owned())
}

fn check_token(form: &RefreshForm) -> Result<(), ApiError> {
    let mut checks = Checks::default();
    checks.text("/refresh_token", &form.refresh_token, 1..=128);
    checks.finish()
}
