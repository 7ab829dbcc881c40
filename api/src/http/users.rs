//! `/api/v1/users`: accounts that admins make.

use axum::extract::State;
use domain::{Language, Role, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::me::UserView;
use crate::answer::Answer;
use crate::app::App;
use crate::code::Code;
use crate::error::ApiError;
use crate::extract::{Admin, Json};
use crate::fault::{Checks, Rule};
use crate::idempotency::{Once, begin};
use crate::ops::users::{self, CreateUserError, NewAccount};
use crate::schema::Envelope;

/// Most accounts of one batch.
const BATCH_MAX: usize = 1_000;

/// The routes of this file.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(create)).routes(routes!(create_batch))
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
        checks.text(&format!("{at}/password"), password, 10..=1_024);
    }
    checks.ensure(!account.roles.is_empty(), &format!("{at}/roles"), Rule::Required);
    checks.ensure(
        account.roles.len() <= Role::ALL.len(),
        &format!("{at}/roles"),
        Rule::TooLong(Role::ALL.len()),
    );
}
