//! Signing in, staying signed in, signing out.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::{Claims, Revocation, RevocationReason, Timestamp, UserId};
use metrics::counter;
use sha2::{Digest, Sha256};
use store::refresh_tokens::{self, RefreshToken, TokenHash};
use store::users::User;
use store::{StoreError, Tx};
use uuid::Uuid;

use super::accounts;
use super::author::Author;
use crate::app::App;
use crate::limits::Key;
use crate::lockout::Guesser;
use crate::metrics as names;
use crate::passwords::{PasswordError, Verdict};

/// What somebody signs in with.
#[derive(Debug)]
pub(crate) struct Credentials {
    /// Their address, in lower case.
    pub(crate) email: String,
    /// Their password.
    pub(crate) password: String,
    /// What the app calls its installation.
    pub(crate) installation_id: Option<String>,
    /// Where the request came from.
    pub(crate) address: Key,
}

/// A session, as the client gets it.
#[derive(Debug)]
pub(crate) struct Session {
    /// Who is signed in.
    pub(crate) user: User,
    /// For `Authorization: Bearer`.
    pub(crate) access_token: String,
    /// How long it is good for.
    pub(crate) access_for: Duration,
    /// For the next access token.
    pub(crate) refresh_token: String,
    /// When that is of no more use.
    pub(crate) refresh_expires_at: Timestamp,
}

/// Why somebody is not signed in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignInError {
    /// No such account, or not its password.
    #[error("the credentials are wrong")]
    Wrong,
    /// The account is kept out, whoever has its password.
    #[error("the account is blocked")]
    Blocked,
    /// Too many wrong passwords.
    #[error("locked for {0:?}")]
    Locked(Duration),
    /// The hash failed.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a session does not go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RefreshError {
    /// Unknown, expired or withdrawn.
    #[error("the refresh token is not valid")]
    Invalid,
    /// It came back after its successor was used; the session is ended.
    #[error("the refresh token was used before")]
    Reused,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Signs somebody in: a new session. Does the same work for an unknown address as for a wrong password.
///
/// # Errors
/// [`SignInError`].
pub(crate) async fn sign_in(app: &App, credentials: Credentials) -> Result<Session, SignInError> {
    let guessers = guessers(&credentials);
    if let Err(wait) = app.lockout.attempt(&guessers, app.clock.now()) {
        counter!(names::LOGINS, "outcome" => "locked").increment(1);
        return Err(SignInError::Locked(wait));
    }
    let found = store::users::find_by_email(&app.store, &credentials.email).await?;
    let stored = found.as_ref().and_then(|(_, hash)| hash.clone());
    let verdict = app.passwords.verify(credentials.password, stored.clone()).await?;
    let user = match (found, &verdict) {
        (Some((user, _)), Verdict::Right | Verdict::RightRehashed(_)) => user,
        (None, _) | (_, Verdict::Wrong) => {
            counter!(names::LOGINS, "outcome" => "wrong").increment(1);
            return Err(SignInError::Wrong);
        }
    };
    app.lockout.forgive(&guessers);
    let mut tx = app.store.begin().await?;
    // a block or a change of roles that runs now has come before this, or waits for it
    let user = store::users::lock(&mut tx, user.id).await?.ok_or(SignInError::Wrong)?;
    if user.blocked_at.is_some() {
        counter!(names::LOGINS, "outcome" => "blocked").increment(1);
        return Err(SignInError::Blocked);
    }
    if let (Verdict::RightRehashed(renewed), Some(before)) = (&verdict, &stored) {
        store::users::rehash(&mut tx, user.id, before, renewed).await?;
    }
    let session = begin(app, &mut tx, user).await?;
    tx.commit().await?;
    counter!(names::LOGINS, "outcome" => "ok").increment(1);
    Ok(session)
}

/// Begins a session of `user`, whoever vouches for them.
///
/// # Errors
/// [`StoreError::Database`].
pub(crate) async fn begin(app: &App, tx: &mut Tx, user: User) -> Result<Session, StoreError> {
    let family_id = Uuid::from_bytes(rand::random());
    let (session, token) = issue(app, user, family_id);
    refresh_tokens::insert(tx, &token, app.clock.now()).await?;
    Ok(session)
}

/// Exchanges a refresh token for the next, and a new access token.
///
/// Answers get lost on festival networks: a token that comes again while its successor is unused gets another
/// successor, and the first one is withdrawn. One that comes again after its successor was used has been copied: the
/// whole session is ended.
///
/// # Errors
/// [`RefreshError`].
pub(crate) async fn refresh(app: &App, presented: &str) -> Result<Session, RefreshError> {
    let exchanged = exchange(app, presented).await;
    let outcome = match &exchanged {
        Ok((_, outcome)) => *outcome,
        Err(RefreshError::Reused) => "reused",
        Err(RefreshError::Invalid) => "invalid",
        Err(RefreshError::Store(_)) => "failed",
    };
    counter!(names::REFRESHES, "outcome" => outcome).increment(1);
    exchanged.map(|(session, _)| session)
}

async fn exchange(app: &App, presented: &str) -> Result<(Session, &'static str), RefreshError> {
    let hash = hash_of(presented);
    let mut tx = app.store.begin().await?;
    // first the user, then the token: who ends sessions does it in this order, too
    let user_id = refresh_tokens::owner(&mut tx, &hash).await?.ok_or(RefreshError::Invalid)?;
    let user = store::users::lock(&mut tx, user_id).await?.ok_or(RefreshError::Invalid)?;
    let token = refresh_tokens::lock(&mut tx, &hash).await?.ok_or(RefreshError::Invalid)?;
    let now = app.clock.now();
    if user.blocked_at.is_some() {
        return Err(RefreshError::Invalid);
    }
    if token.revoked_at.is_some() || token.expires_at <= now {
        return Err(RefreshError::Invalid);
    }
    let mut outcome = "rotated";
    if let Some(successor) = token.successor_hash {
        let successor = refresh_tokens::lock(&mut tx, &successor).await?;
        if successor.as_ref().is_none_or(|successor| successor.successor_hash.is_some()) {
            end_session(app, &mut tx, None, &token).await?;
            tx.commit().await?;
            return Err(RefreshError::Reused);
        }
        if let Some(successor) = successor {
            refresh_tokens::revoke(&mut tx, &successor.hash, now).await?;
        }
        outcome = "reissued";
    }
    let (session, next) = issue(app, user, token.family_id);
    refresh_tokens::insert(&mut tx, &next, now).await?;
    refresh_tokens::set_successor(&mut tx, &hash, &next.hash).await?;
    tx.commit().await?;
    Ok((session, outcome))
}

/// Ends the session of a refresh token, here and on every node; without effect for a token that is none.
///
/// # Errors
/// [`StoreError::Database`].
pub(crate) async fn sign_out(app: &App, presented: &str) -> Result<(), StoreError> {
    let mut tx = app.store.begin().await?;
    if let Some(token) = refresh_tokens::lock(&mut tx, &hash_of(presented)).await? {
        end_session(app, &mut tx, Some(token.user_id), &token).await?;
    }
    tx.commit().await
}

/// Ends every session of a user, here and on every node.
///
/// # Errors
/// [`StoreError::Database`].
pub(crate) async fn sign_out_everywhere(app: &App, tx: &mut Tx, user_id: UserId) -> Result<(), StoreError> {
    let author = Author { actor: Some(user_id), mutation: None };
    store::users::lock(tx, user_id).await?;
    accounts::revoke_user(tx, &*app.clock, &author, user_id, RevocationReason::SignedOut).await
}

/// Ends a session and tells the nodes, unless it had ended before.
async fn end_session(
    app: &App,
    tx: &mut Tx,
    actor: Option<UserId>,
    token: &RefreshToken,
) -> Result<(), StoreError> {
    let now = app.clock.now();
    if refresh_tokens::revoke_family(tx, token.family_id, now).await? == 0 {
        return Ok(());
    }
    let revocation = Revocation::Session { session: token.family_id.to_string(), user_id: token.user_id };
    accounts::tell(tx, &Author { actor, mutation: None }, now, revocation).await
}

fn issue(app: &App, user: User, family_id: Uuid) -> (Session, RefreshToken) {
    let now = app.clock.now();
    let access_for = Duration::from_secs(app.config.sessions.access_secs);
    let refresh_token = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
    let refresh_expires_at = now + Duration::from_secs(app.config.sessions.refresh_hours * 3_600);
    let claims = Claims {
        iss: app.issuer.clone(),
        aud: app.audience.clone(),
        sub: user.id.to_string(),
        sid: family_id.to_string(),
        roles: user.roles.clone(),
        iat: now.as_second(),
        exp: (now + access_for).as_second(),
        topics: Vec::new(),
    };
    let token = RefreshToken {
        hash: hash_of(&refresh_token),
        family_id,
        user_id: user.id,
        successor_hash: None,
        revoked_at: None,
        expires_at: refresh_expires_at,
    };
    let access_token = app.signer.sign(&claims);
    (Session { user, access_token, access_for, refresh_token, refresh_expires_at }, token)
}

fn hash_of(token: &str) -> TokenHash {
    Sha256::digest(token.as_bytes()).into()
}

/// What the guesses of these credentials are counted by.
pub(crate) fn guessers(credentials: &Credentials) -> Vec<Guesser> {
    let digest = |kind: &str, part: &str| {
        let mut digest = Sha256::new();
        for part in [kind, &credentials.email, part] {
            digest.update(part.as_bytes());
            digest.update([0]);
        }
        let mut short = [0; 16];
        short.copy_from_slice(&digest.finalize()[..16]);
        short
    };
    let mut guessers = vec![Guesser::Address(digest("address", &format!("{:?}", credentials.address)))];
    if let Some(installation) = &credentials.installation_id {
        guessers.push(Guesser::Device(digest("device", installation)));
    }
    guessers
}
