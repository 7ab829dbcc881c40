//! `/api/v1/users`: accounts that admins make.

use std::ops::RangeInclusive;

use axum::extract::State;
use domain::{Language, Role, UserId};
use serde::{Deserialize, Serialize};
use store::users::User;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::me::UserView;
use crate::answer::Answer;
use crate::app::App;
use crate::code::Code;
use crate::error::ApiError;
use crate::extract::{Admin, IfMatch, Json, Path};
use crate::fault::{Checks, Rule};
use crate::idempotency::{Once, begin};
use crate::ops::accounts::{self, AccountChange, ChangeAccountError, etag};
use crate::ops::author::Author;
use crate::ops::users::{self, CreateUserError, NewAccount};
use crate::schema::Envelope;

/// Characters of a password.
pub(crate) const PASSWORD_CHARS: RangeInclusive<usize> = 10..=1_024;
/// Most accounts of one batch.
const BATCH_MAX: usize = 1_000;

/// The routes of this file.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create))
        .routes(routes!(create_batch))
        .routes(routes!(show))
        .routes(routes!(change))
}

/// An account to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct UserForm {
    /// The account's address.
    #[schema(example = "omar@example.com", max_length = 254)]
    email: String,
    /// What to call them.
    #[schema(example = "Omar", max_length = 200)]
    name: String,
    /// 10 to 1,024 characters; without one they cannot sign in with a password.
    #[schema(min_length = 10, max_length = 1024)]
    password: Option<String>,
    /// What they are: `admin`, `organizer`, `attendee`, `supervisor`, `steward`, `device`.
    #[schema(value_type = Vec<String>, example = json!(["organizer"]))]
    roles: Vec<Role>,
    /// What they read: `ar` or `en`.
    #[schema(value_type = Option<String>, example = "ar")]
    language: Option<Language>,
}

/// An account of a batch: without a password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct BatchUser {
    /// The account's address.
    #[schema(example = "visitor-17@example.com", max_length = 254)]
    email: String,
    /// What to call them.
    #[schema(example = "Visitor 17", max_length = 200)]
    name: String,
    /// What they are; an attendee when nothing is said.
    #[schema(value_type = Option<Vec<String>>, example = json!(["attendee"]))]
    roles: Option<Vec<Role>>,
    /// What they read: `ar` or `en`.
    #[schema(value_type = Option<String>, example = "en")]
    language: Option<Language>,
}

/// Accounts to make, all or none.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct BatchForm {
    /// 1 to 1,000 accounts.
    users: Vec<BatchUser>,
}

/// Accounts that were made.
#[derive(Debug, Serialize, ToSchema)]
struct BatchView {
    /// Their ids, in the order of the request.
    #[schema(value_type = Vec<i64>, example = json!([17, 18]))]
    ids: Vec<UserId>,
}

/// What becomes of an account; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChangeForm {
    /// What they are: `admin`, `organizer`, `attendee`, `supervisor`, `steward`, `device`.
    #[schema(value_type = Option<Vec<String>>, example = json!(["steward"]))]
    roles: Option<Vec<Role>>,
    /// Whether they are kept out.
    #[schema(example = false)]
    blocked: Option<bool>,
}

/// An account, as admins see it.
#[derive(Debug, Serialize, ToSchema)]
struct AccountView {
    #[serde(flatten)]
    user: UserView,
    /// Whether they are kept out.
    #[schema(example = false)]
    blocked: bool,
}

impl From<User> for AccountView {
    fn from(user: User) -> Self {
        let blocked = user.blocked_at.is_some();
        Self { user: user.into(), blocked }
    }
}

impl From<ChangeAccountError> for ApiError {
    fn from(error: ChangeAccountError) -> Self {
        match error {
            ChangeAccountError::NotFound => Self::new(Code::NotFound),
            ChangeAccountError::Stale(user) => {
                let etag = etag(&user);
                Self::new(Code::PreconditionFailed).current(&AccountView::from(*user)).etag(&etag)
            }
            ChangeAccountError::OwnAccount => Self::new(Code::OwnAccount),
            ChangeAccountError::Password(cause) => cause.into(),
            ChangeAccountError::Store(cause) => cause.into(),
        }
    }
}

impl From<CreateUserError> for ApiError {
    fn from(error: CreateUserError) -> Self {
        match error {
            CreateUserError::EmailTaken => Self::new(Code::EmailTaken),
            CreateUserError::Password(cause) => cause.into(),
            CreateUserError::Store(cause) => cause.into(),
        }
    }
}

/// Makes an account.
#[utoipa::path(post, path = "/api/v1/users", tag = "users", security(("bearer" = [])), request_body = UserForm,
    responses((status = 201, description = "The account", body = Envelope<UserView>),
        (status = 409, description = "`email_taken`")))]
async fn create(
    State(app): State<App>,
    Admin(caller): Admin,
    once: Once,
    Json(form): Json<UserForm>,
) -> Result<Answer, ApiError> {
    let UserForm { email, name, password, roles, language } = form;
    let account = NewAccount { email, name, password, roles, language: language.unwrap_or_default() };
    let mut checks = Checks::default();
    check_account(&mut checks, "", &account);
    checks.finish()?;
    let users = users::prepare(&app.passwords, vec![account]).await?;
    let mut work = begin!(once, &app, &caller);
    let ids = users::create(&mut work.tx, &users, &*app.clock).await?;
    let user =
        store::users::find_in(&mut work.tx, ids[0]).await?.ok_or_else(|| ApiError::new(Code::NotFound))?;
    let location = format!("/api/v1/users/{}", user.id);
    work.finish(&app, Answer::created(&UserView::from(user), location)?).await
}

/// Makes up to 1,000 accounts, all or none. They have no passwords.
#[utoipa::path(post, path = "/api/v1/users/batch", tag = "users", security(("bearer" = [])),
    request_body = BatchForm, responses(
        (status = 201, description = "The accounts", body = Envelope<BatchView>),
        (status = 409, description = "`email_taken`")))]
async fn create_batch(
    State(app): State<App>,
    Admin(caller): Admin,
    once: Once,
    Json(form): Json<BatchForm>,
) -> Result<Answer, ApiError> {
    let mut checks = Checks::default();
    checks.ensure(!form.users.is_empty(), "/users", Rule::Required);
    checks.ensure(form.users.len() <= BATCH_MAX, "/users", Rule::TooLong(BATCH_MAX));
    let account = |one: BatchUser| NewAccount {
        email: one.email,
        name: one.name,
        password: None,
        roles: one.roles.unwrap_or_else(|| vec![Role::Attendee]),
        language: one.language.unwrap_or_default(),
    };
    let accounts: Vec<NewAccount> = form.users.into_iter().map(account).collect();
    for (index, account) in accounts.iter().enumerate().take(BATCH_MAX) {
        check_account(&mut checks, &format!("/users/{index}"), account);
    }
    checks.finish()?;
    let users = users::prepare(&app.passwords, accounts).await?;
    let mut work = begin!(once, &app, &caller);
    let ids = users::create(&mut work.tx, &users, &*app.clock).await?;
    work.finish(&app, Answer::created(&BatchView { ids }, "/api/v1/users".to_owned())?).await
}

/// An account.
#[utoipa::path(get, path = "/api/v1/users/{id}", tag = "users", security(("bearer" = [])),
    params(("id" = i64, Path, example = 1)),
    responses((status = 200, description = "The account", body = Envelope<AccountView>)))]
async fn show(
    State(app): State<App>,
    Admin(_caller): Admin,
    Path(id): Path<UserId>,
) -> Result<Answer, ApiError> {
    let user = store::users::find(&app.store, id).await?.ok_or(ChangeAccountError::NotFound)?;
    let etag = etag(&user);
    Ok(Answer::ok(&AccountView::from(user))?.etag(&etag))
}

/// Changes what somebody is, or keeps them out. Other roles: open sockets connect again with a new access token. Blocked:
/// every session ends, and they cannot sign in. Both reach every node at once.
#[utoipa::path(patch, path = "/api/v1/users/{id}", tag = "users", security(("bearer" = [])),
    params(("id" = i64, Path, example = 1)), request_body = ChangeForm,
    responses((status = 200, description = "The account", body = Envelope<AccountView>),
        (status = 409, description = "`own_account`")))]
#[expect(clippy::too_many_arguments, reason = "each is an extractor")]
async fn change(
    State(app): State<App>,
    Admin(caller): Admin,
    Path(id): Path<UserId>,
    IfMatch(seen): IfMatch,
    once: Once,
    Json(form): Json<ChangeForm>,
) -> Result<Answer, ApiError> {
    let change = form.check()?;
    let author = Author { actor: Some(caller.user_id), mutation: None };
    let mut work = begin!(once, &app, &caller);
    let user = accounts::change(&mut work.tx, &*app.clock, &author, (id, &seen), &change).await?;
    let etag = etag(&user);
    work.finish(&app, Answer::ok(&AccountView::from(user))?.etag(&etag)).await
}

impl ChangeForm {
    fn check(self) -> Result<AccountChange, ApiError> {
        let mut checks = Checks::default();
        checks.ensure(self.roles.is_some() || self.blocked.is_some(), "", Rule::Required);
        if let Some(roles) = &self.roles {
            check_roles(&mut checks, "/roles", roles);
        }
        checks.finish()?;
        Ok(AccountChange { roles: self.roles, blocked: self.blocked, password: None })
    }
}

/// The rules of an account, with pointers below `at`.
pub(crate) fn check_account(checks: &mut Checks, at: &str, account: &NewAccount) {
    let email = &account.email;
    checks.text(&format!("{at}/email"), email, 3..=254);
    let is_address = email.split_once('@').is_some_and(|(local, domain)| {
        (1..=64).contains(&local.len())
            && !domain.is_empty()
            && !domain.contains('@')
            && !email.contains(char::is_whitespace)
    });
    checks.ensure(is_address, &format!("{at}/email"), Rule::Malformed("an email address"));
    checks.text(&format!("{at}/name"), &account.name, 1..=200);
    if let Some(password) = &account.password {
        checks.text(&format!("{at}/password"), password, PASSWORD_CHARS);
    }
    check_roles(checks, &format!("{at}/roles"), &account.roles);
}

fn check_roles(checks: &mut Checks, at: &str, roles: &[Role]) {
    checks.ensure(!roles.is_empty(), at, Rule::Required);
    checks.ensure(roles.len() <= Role::ALL.len(), at, Rule::TooLong(Role::ALL.len()));
}
