//! What becomes of accounts: other roles, blocked, another password. Each ends what has to end, on every node.

use std::collections::BTreeSet;

use domain::{ChangeKind, Clock, Revocation, RevocationReason, Role, Timestamp, UserId};
use store::users::User;
use store::{Store, StoreError, Tx, outbox, refresh_tokens};
use uuid::Uuid;

use super::author::Author;
use crate::config;
use crate::etag::{ETag, Tags};
use crate::passwords::{PasswordError, Passwords};

/// What an admin changes about an account.
#[derive(Debug, Clone, Default)]
pub struct AccountChange {
    /// What they are from now on; `None`: as before.
    pub roles: Option<Vec<Role>>,
    /// Whether they are kept out; `None`: as before.
    pub blocked: Option<bool>,
    /// Their password from now on; `None`: as before.
    pub password: Option<String>,
}

/// Why an account was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeAccountError {
    /// There is none with that id or address.
    #[error("there is no such account")]
    NotFound,
    /// Somebody has changed it since.
    #[error("the account is at another version")]
    Stale(Box<User>),
    /// Admins do not take their own rights: somebody has to be left who can give them back.
    #[error("admins cannot change their own standing")]
    OwnAccount,
    /// The password could not be hashed.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The tag of an account.
pub(crate) fn etag(user: &User) -> ETag {
    ETag::of("user", user.id, user.version)
}

/// Changes an account outside of a request: for the command line. Gives it as it is then.
///
/// # Errors
/// [`ChangeAccountError`].
pub async fn change_account(
    store: &Store,
    clock: &dyn Clock,
    config: &config::Passwords,
    email: &str,
    change: AccountChange,
) -> Result<User, ChangeAccountError> {
    let hash = match &change.password {
        Some(password) => Some(Passwords::new(config)?.hash(password.clone()).await?),
        None => None,
    };
    let (user, _) = store::users::find_by_email(store, &email.to_lowercase())
        .await?
        .ok_or(ChangeAccountError::NotFound)?;
    let author = Author { actor: None, mutation: None };
    let mut tx = store.begin().await?;
    let user = store::users::lock(&mut tx, user.id).await?.ok_or(ChangeAccountError::NotFound)?;
    if let Some(hash) = hash {
        store::users::set_password(&mut tx, user.id, None, &hash, clock.now()).await?;
        revoke_user(&mut tx, clock, &author, user.id, RevocationReason::Password).await?;
    }
    apply(&mut tx, clock, &author, &user, &change).await?;
    let user = store::users::find_in(&mut tx, user.id).await?.ok_or(ChangeAccountError::NotFound)?;
    tx.commit().await?;
    Ok(user)
}

/// Changes what somebody is and whether they may sign in, at the wish of `author`, an admin.
///
/// # Errors
/// [`ChangeAccountError`].
pub(crate) async fn change(
    tx: &mut Tx,
    clock: &dyn Clock,
    author: &Author,
    (id, seen): (UserId, &Tags),
    change: &AccountChange,
) -> Result<User, ChangeAccountError> {
    let user = store::users::lock(tx, id).await?.ok_or(ChangeAccountError::NotFound)?;
    if !seen.allow_write_to(&etag(&user)) {
        return Err(ChangeAccountError::Stale(Box::new(user)));
    }
    if author.actor == Some(id) {
        return Err(ChangeAccountError::OwnAccount);
    }
    apply(tx, clock, author, &user, change).await?;
    store::users::find_in(tx, id).await?.ok_or(ChangeAccountError::NotFound)
}

/// Writes the new standing of a locked account, when it is another.
async fn apply(
    tx: &mut Tx,
    clock: &dyn Clock,
    author: &Author,
    user: &User,
    change: &AccountChange,
) -> Result<(), StoreError> {
    let set = |roles: &[Role]| roles.iter().copied().collect::<BTreeSet<_>>();
    let roles = change.roles.as_deref().map_or_else(|| set(&user.roles), set);
    let other_roles = roles != set(&user.roles);
    let blocked = change.blocked.unwrap_or(user.blocked_at.is_some());
    let newly_blocked = blocked && user.blocked_at.is_none();
    if !other_roles && blocked == user.blocked_at.is_some() {
        return Ok(());
    }
    let (roles, now) = (Vec::from_iter(roles), clock.now());
    let blocked_at = blocked.then(|| user.blocked_at.unwrap_or(now));
    store::users::set_standing(tx, user.id, (&roles, blocked_at), now).await?;
    if newly_blocked {
        revoke_user(tx, clock, author, user.id, RevocationReason::Blocked).await
    } else if other_roles {
        tell_user(tx, clock, author, (user.id, RevocationReason::Roles, None)).await
    } else {
        Ok(())
    }
}

/// Ends every session of a user, here and on the nodes. Call it after the other writes, while the user is locked: no
/// token is issued between the end of the sessions and its instant.
///
/// # Errors
/// [`StoreError::Database`].
pub(crate) async fn revoke_user(
    tx: &mut Tx,
    clock: &dyn Clock,
    author: &Author,
    id: UserId,
    reason: RevocationReason,
) -> Result<(), StoreError> {
    refresh_tokens::revoke_user(tx, id, clock.now()).await?;
    tell_user(tx, clock, author, (id, reason, None)).await
}

/// Ends every session of a user but `session`.
///
/// # Errors
/// [`StoreError::Database`].
pub(crate) async fn revoke_others(
    tx: &mut Tx,
    clock: &dyn Clock,
    author: &Author,
    (id, session): (UserId, &str),
    reason: RevocationReason,
) -> Result<(), StoreError> {
    let family = Uuid::parse_str(session).unwrap_or_default(); // no session of ours: all end
    refresh_tokens::revoke_user_but(tx, id, family, clock.now()).await?;
    tell_user(tx, clock, author, (id, reason, Some(session.to_owned()))).await
}

async fn tell_user(
    tx: &mut Tx,
    clock: &dyn Clock,
    author: &Author,
    (user_id, reason, except): (UserId, RevocationReason, Option<String>),
) -> Result<(), StoreError> {
    tell(tx, author, clock.now(), Revocation::User { user_id, reason, except }).await
}

/// Tells the nodes.
///
/// # Errors
/// [`StoreError::Database`].
pub(crate) async fn tell(
    tx: &mut Tx,
    author: &Author,
    now: Timestamp,
    revocation: Revocation,
) -> Result<(), StoreError> {
    outbox::append(tx, &author.change(now, ChangeKind::Revocation { revocation })).await
}
