//! Changing one's own password: the session goes on, every other one ends.

use domain::{Principal, RevocationReason};

use super::accounts;
use super::author::Author;
use super::sessions::{Credentials, SignInError, guessers};
use crate::app::App;
use crate::limits::Key;
use crate::passwords::Verdict;

/// What somebody changes their password with.
#[derive(Debug)]
pub(crate) struct NewPassword {
    /// The one they have.
    pub(crate) current: String,
    /// The one they want.
    pub(crate) new: String,
    /// Where the request came from.
    pub(crate) address: Key,
}

/// Changes the password of `caller`. Wrong guesses of the current one count like those at sign-in.
///
/// # Errors
/// [`SignInError`].
pub(crate) async fn change_password(
    app: &App,
    caller: &Principal,
    password: NewPassword,
) -> Result<(), SignInError> {
    let NewPassword { current, new, address } = password;
    let user = store::users::find(&app.store, caller.user_id).await?.ok_or(SignInError::Wrong)?;
    let stored = store::users::password_hash(&app.store, user.id).await?;
    let credentials = Credentials { email: user.email, password: current, installation_id: None, address };
    let guessers = guessers(&credentials);
    app.lockout.attempt(&guessers, app.clock.now()).map_err(SignInError::Locked)?;
    if app.passwords.verify(credentials.password, stored.clone()).await? == Verdict::Wrong {
        return Err(SignInError::Wrong);
    }
    app.lockout.forgive(&guessers);
    let hash = app.passwords.hash(new).await?;
    let author = Author { actor: Some(user.id), mutation: None };
    let mut tx = app.store.begin().await?;
    lock(&mut tx, caller).await?;
    if !store::users::set_password(&mut tx, user.id, stored.as_deref(), &hash, app.clock.now()).await? {
        return Err(SignInError::Wrong); // somebody was quicker with another one
    }
    let session = (user.id, caller.session.as_str());
    accounts::revoke_others(&mut tx, &*app.clock, &author, session, RevocationReason::Password).await?;
    Ok(tx.commit().await?)
}

/// Locks the account; one that was blocked meanwhile stays as it is.
async fn lock(tx: &mut store::Tx, caller: &Principal) -> Result<(), SignInError> {
    match store::users::lock(tx, caller.user_id).await? {
        Some(user) if user.blocked_at.is_some() => Err(SignInError::Blocked),
        Some(_) => Ok(()),
        None => Err(SignInError::Wrong),
    }
}
