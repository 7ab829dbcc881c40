//! Making accounts.

use domain::{Clock, Language, Role, UserId};
use store::users::NewUser;
use store::{Store, StoreError, Tx};

use crate::config;
use crate::passwords::{PasswordError, Passwords};

/// An account to make.
#[derive(Debug, Clone)]
pub struct NewAccount {
    /// Their address; kept in lower case.
    pub email: String,
    /// Their name.
    pub name: String,
    /// Their password; `None`: they cannot sign in with one.
    pub password: Option<String>,
    /// What they are.
    pub roles: Vec<Role>,
    /// What they read.
    pub language: Language,
}

/// Why accounts were not made.
#[derive(Debug, thiserror::Error)]
pub enum CreateUserError {
    /// One of the addresses has an account.
    #[error("an account with this email address exists")]
    EmailTaken,
    /// The password could not be hashed.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The database failed.
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for CreateUserError {
    fn from(cause: StoreError) -> Self {
        if cause.is_unique_violation() { Self::EmailTaken } else { Self::Store(cause) }
    }
}

/// Makes accounts outside of a request, all or none: for the command line. The ids are in the order of `accounts`.
///
/// # Errors
/// [`CreateUserError`].
pub async fn create_users(
    store: &Store,
    clock: &dyn Clock,
    config: &config::Passwords,
    accounts: Vec<NewAccount>,
) -> Result<Vec<UserId>, CreateUserError> {
    let passwords = Passwords::new(config)?;
    let users = prepare(&passwords, accounts).await?;
    let mut tx = store.begin().await?;
    let ids = create(&mut tx, &users, clock).await?;
    tx.commit().await?;
    Ok(ids)
}

/// Hashes the passwords: to be done before a transaction begins.
///
/// # Errors
/// [`CreateUserError::Password`].
pub(crate) async fn prepare(
    passwords: &Passwords,
    accounts: Vec<NewAccount>,
) -> Result<Vec<NewUser>, CreateUserError> {
    let mut users = Vec::with_capacity(accounts.len());
    for NewAccount { email, name, password, roles, language } in accounts {
        let password_hash = match password {
            Some(password) => Some(passwords.hash(password).await?),
            None => None,
        };
        users.push(NewUser { email: email.to_lowercase(), name, password_hash, roles, language });
    }
    Ok(users)
}

/// Makes the accounts.
///
/// # Errors
/// [`CreateUserError::EmailTaken`], [`CreateUserError::Store`].
pub(crate) async fn create(
    tx: &mut Tx,
    users: &[NewUser],
    clock: &dyn Clock,
) -> Result<Vec<UserId>, CreateUserError> {
    Ok(store::users::insert(tx, users, clock.now()).await?)
}
