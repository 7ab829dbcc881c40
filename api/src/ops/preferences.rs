//! What a user wants to be told, how and when not; and their consents to promotions.

use domain::{EventId, Language, Timestamp, UserId, Zone};
use jiff::civil::Time;
use store::preferences::{self, Consent, Kept};
use store::{StoreError, Tx, users};

use crate::app::App;

/// What somebody wants, checked.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// Everything but the consents, which have their own record, and the version.
    pub(crate) kept: Kept,
    /// What they read; `None`: as it is.
    pub(crate) language: Option<Language>,
    /// The local time of their digest; `None`: none.
    pub(crate) digest: Option<Time>,
}

/// Why preferences were not kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PreferencesError {
    /// Two requests wanted to be the first.
    #[error("the preferences were changed at the same time")]
    Raced,
    /// The event is not starred.
    #[error("the event is not starred")]
    NotStarred,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The festival's zone.
pub(crate) fn festival_zone(app: &App) -> Zone {
    Zone::new(&app.config.festival.time_zone).expect("the configuration is checked")
}

/// Keeps what a user wants; how it is kept then.
///
/// # Errors
/// [`PreferencesError::Raced`], [`PreferencesError::Store`].
pub(crate) async fn replace(
    app: &App,
    tx: &mut Tx,
    user: UserId,
    wanted: Wanted,
) -> Result<Kept, PreferencesError> {
    let now = app.clock.now();
    let before = preferences::lock(tx, user).await?;
    let Wanted { kept, language, digest } = wanted;
    let zone = kept.zone(&festival_zone(app));
    let digest_at = digest.map(|time| zone.next_time(time, now));
    let mut kept =
        Kept { promotions_since: before.promotions_since, digest_at, version: before.version, ..kept };
    if let Some(language) = language {
        preferences::set_language(tx, user, language, now).await?;
    }
    kept.version = preferences::keep(tx, user, &kept, now).await?.ok_or(PreferencesError::Raced)?;
    Ok(kept)
}

/// Records that a user consents to promotions, or does not any more.
///
/// # Errors
/// [`PreferencesError::Raced`], [`PreferencesError::Store`].
pub(crate) async fn consent(
    app: &App,
    tx: &mut Tx,
    user: UserId,
    consent: &Consent,
) -> Result<Option<Timestamp>, PreferencesError> {
    let mut kept = preferences::lock(tx, user).await?;
    if kept.version == 0 {
        festival_zone(app).name().clone_into(&mut kept.time_zone);
    }
    kept.promotions_since = match (consent.granted, kept.promotions_since) {
        (true, Some(since)) => Some(since),
        (true, None) => Some(consent.at),
        (false, _) => None,
    };
    preferences::add_consent(tx, user, consent).await?;
    preferences::keep(tx, user, &kept, consent.at).await?.ok_or(PreferencesError::Raced)?;
    Ok(kept.promotions_since)
}

/// Records a withdrawal that came without a session; without a consent there is nothing to withdraw.
///
/// # Errors
/// [`PreferencesError::Raced`], [`PreferencesError::Store`].
pub(crate) async fn withdraw(
    app: &App,
    tx: &mut Tx,
    user: UserId,
    withdrawal: &Consent,
) -> Result<(), PreferencesError> {
    if preferences::lock(tx, user).await?.promotions_since.is_some() {
        consent(app, tx, user, withdrawal).await?;
    }
    Ok(())
}

/// Chooses the minutes before the start of a starred event.
///
/// # Errors
/// [`PreferencesError::NotStarred`], [`PreferencesError::Store`].
pub(crate) async fn set_star_minutes(
    tx: &mut Tx,
    user: UserId,
    event: EventId,
    minutes: Option<&[u32]>,
) -> Result<(), PreferencesError> {
    let starred = preferences::set_star_minutes(tx, user, event, minutes).await?;
    if starred { Ok(()) } else { Err(PreferencesError::NotStarred) }
}

/// What a user reads.
///
/// # Errors
/// [`StoreError`].
pub(crate) async fn language(app: &App, user: UserId) -> Result<Language, StoreError> {
    Ok(users::find(&app.store, user).await?.map(|user| user.language).unwrap_or_default())
}
