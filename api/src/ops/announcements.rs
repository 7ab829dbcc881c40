//! Saying something to an audience, and taking it back.

use domain::{
    Announced, AnnouncementId, Audience, Change, ChangeId, ChangeKind, Lane, LocalizedText, NotificationId,
    Timestamp, UserId,
};
use store::announcements::{self, Announcement, NewAnnouncement};
use store::{StoreError, Tx};

use crate::app::App;

/// What is to be announced, checked.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    /// How urgent it is.
    pub(crate) lane: Lane,
    /// Headline.
    pub(crate) title: LocalizedText,
    /// Text.
    pub(crate) body: LocalizedText,
    /// Whom it is for.
    pub(crate) audience: Audience,
    /// When it is of no more use.
    pub(crate) expires_at: Timestamp,
}

/// Why an announcement was not published.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishError {
    /// The audience names an event, a venue or users (the noun) that do not exist.
    #[error("the audience names no {0}")]
    AudienceUnknown(&'static str),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an announcement was not cancelled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CancelError {
    /// There is no such announcement.
    #[error("there is no such announcement")]
    NotFound,
    /// It was cancelled before.
    #[error("the announcement was cancelled before")]
    Cancelled(Box<Announcement>),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Checks that whom an announcement is for exists. To be done before a transaction begins.
///
/// # Errors
/// [`PublishError::AudienceUnknown`].
pub(crate) async fn check_audience(app: &App, audience: &Audience) -> Result<(), PublishError> {
    let unknown = match audience {
        Audience::Everyone => None,
        Audience::Event { event_id } => {
            store::events::get_by_id(&app.store, *event_id).await?.is_none().then_some("event")
        }
        Audience::Venue { venue_id } => {
            store::venues::get_by_id(&app.store, *venue_id).await?.is_none().then_some("venue")
        }
        Audience::Users { user_ids } => {
            let found = store::users::existing(&app.store, user_ids).await?;
            (found.len() < user_ids.len()).then_some("user")
        }
    };
    unknown.map_or(Ok(()), |noun| Err(PublishError::AudienceUnknown(noun)))
}

/// Stores the announcement and its change, from which everything else follows.
///
/// # Errors
/// [`StoreError::Database`].
pub(crate) async fn publish(
    app: &App,
    tx: &mut Tx,
    by: UserId,
    draft: Draft,
    mutation: Option<String>,
) -> Result<Announcement, StoreError> {
    let now = app.clock.now();
    let change_id = ChangeId::at(now, rand::random());
    let Draft { lane, title, body, audience, expires_at } = draft;
    let notification_id = NotificationId::of(change_id);
    let said = NewAnnouncement { notification_id, lane, title, body, audience, created_by: by, expires_at };
    let id = announcements::insert(tx, &said, now).await?;
    let announced = Announced {
        announcement_id: id,
        notification_id,
        lane,
        title: said.title.clone(),
        body: said.body.clone(),
        audience: said.audience.clone(),
        expires_at,
    };
    let kind = ChangeKind::Announcement(announced);
    store::outbox::append(tx, &Change { id: change_id, at: now, actor: Some(by), mutation, kind }).await?;
    Ok(Announcement { id, said, created_at: now, cancelled_at: None, version: 1 })
}

/// Withdraws an announcement: what has not left stays.
///
/// # Errors
/// [`CancelError`].
pub(crate) async fn cancel(
    app: &App,
    tx: &mut Tx,
    by: UserId,
    id: AnnouncementId,
    mutation: Option<String>,
) -> Result<Announcement, CancelError> {
    let now = app.clock.now();
    let mut announcement = announcements::lock(tx, id).await?.ok_or(CancelError::NotFound)?;
    if announcement.cancelled_at.is_some() {
        return Err(CancelError::Cancelled(Box::new(announcement)));
    }
    announcements::cancel(tx, id, now).await?;
    announcement.cancelled_at = Some(now);
    announcement.version += 1;
    let kind = ChangeKind::AnnouncementCancelled {
        announcement_id: id,
        notification_id: announcement.said.notification_id,
        audience: announcement.said.audience.clone(),
    };
    let change = Change { id: ChangeId::at(now, rand::random()), at: now, actor: Some(by), mutation, kind };
    store::outbox::append(tx, &change).await?;
    Ok(announcement)
}
