//! Saying something to an audience, confirming it as a second person, and taking it back.

use std::time::Duration;

use domain::{
    Alert, AnnouncementId, Audience, Change, ChangeId, ChangeKind, Lane, LocalizedText, MessageType,
    NotificationId, Timestamp, UserId,
};
use store::announcements::{self, Announcement, NewAnnouncement, Phase};
use store::{StoreError, Tx};

use crate::app::App;
use crate::ops::author::Author;

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
    /// What else it says.
    pub(crate) alert: Alert,
}

/// Why an announcement was not published.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishError {
    /// The audience names an event, a venue or users (the noun) that do not exist.
    #[error("the audience names no {0}")]
    AudienceUnknown(&'static str),
    /// One of the venues that it is about does not exist.
    #[error("the area names no venue at {0}")]
    VenueUnknown(usize),
    /// It refers to an announcement that does not exist.
    #[error("it refers to no announcement")]
    ReferenceUnknown,
    /// It refers to an announcement that nobody saw, or that was withdrawn.
    #[error("it refers to an announcement that is not public")]
    ReferenceNotPublic,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an announcement was not confirmed, cancelled or recalled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangeError {
    /// There is no such announcement.
    #[error("there is no such announcement")]
    NotFound,
    /// It was cancelled before.
    #[error("the announcement was cancelled before")]
    Cancelled(Box<Announcement>),
    /// It waits for no confirmation.
    #[error("the announcement waits for no confirmation")]
    NotAwaiting(Box<Announcement>),
    /// Nobody confirmed it, or not in time.
    #[error("the announcement was not published")]
    NotPublished(Box<Announcement>),
    /// Its author cannot confirm it.
    #[error("another person has to confirm the announcement")]
    SamePerson,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Checks that whom and what an announcement is about exists. To be done before a transaction begins.
///
/// # Errors
/// [`PublishError::AudienceUnknown`], [`PublishError::VenueUnknown`].
pub(crate) async fn check_nouns(app: &App, draft: &Draft) -> Result<(), PublishError> {
    let unknown = match &draft.audience {
        Audience::Everyone | Audience::Staff => None,
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
        Audience::Reached { notification_id } => {
            let found = store::notifications::find(&app.store, *notification_id).await?;
            found.is_none().then_some("notification")
        }
    };
    if let Some(noun) = unknown {
        return Err(PublishError::AudienceUnknown(noun));
    }
    for (index, venue) in draft.alert.venue_ids.iter().enumerate() {
        if store::venues::get_by_id(&app.store, *venue).await?.is_none() {
            return Err(PublishError::VenueUnknown(index));
        }
    }
    Ok(())
}

/// Stores the announcement and its change, from which everything else follows; where a second person is needed, only the
/// announcement, and the staff is told that it waits.
///
/// # Errors
/// [`PublishError`].
pub(crate) async fn publish(
    app: &App,
    tx: &mut Tx,
    by: UserId,
    draft: Draft,
    mutation: Option<String>,
) -> Result<Announcement, PublishError> {
    let now = app.clock.now();
    let mut thread_id = None;
    if let Some(id) = draft.alert.references {
        let earlier = announcements::lock(tx, id).await?.ok_or(PublishError::ReferenceUnknown)?;
        if earlier.phase(now) != Phase::Published {
            return Err(PublishError::ReferenceNotPublic);
        }
        thread_id = Some(earlier.said.thread_id);
    }
    Ok(store_and_release(app, tx, by, draft, thread_id, mutation).await?)
}

#[expect(clippy::too_many_arguments, reason = "a draft, whose it is, and where it belongs")]
async fn store_and_release(
    app: &App,
    tx: &mut Tx,
    by: UserId,
    draft: Draft,
    thread_id: Option<NotificationId>,
    mutation: Option<String>,
) -> Result<Announcement, StoreError> {
    let now = app.clock.now();
    let change_id = ChangeId::at(now, rand::random());
    let notification_id = NotificationId::of(change_id);
    let confirm_before = needs_second_person(app, &draft)
        .then(|| now + Duration::from_secs(app.config.announcements.confirm_secs_max));
    let Draft { lane, title, body, audience, expires_at, alert } = draft;
    let thread_id = thread_id.unwrap_or(notification_id);
    let said = NewAnnouncement {
        notification_id,
        lane,
        title,
        body,
        audience,
        created_by: by,
        expires_at,
        alert,
        thread_id,
        confirm_before,
    };
    let id = announcements::insert(tx, &said, now).await?;
    let made = Announcement { id, said, created_at: now, cancelled_at: None, confirmed: None, version: 1 };
    let kind = match confirm_before {
        Some(confirm_before) => ChangeKind::AnnouncementAwaits { announcement_id: id, confirm_before },
        None => released(tx, &made).await?,
    };
    store::outbox::append(tx, &Change { id: change_id, at: now, actor: Some(by), mutation, kind }).await?;
    Ok(made)
}

fn needs_second_person(app: &App, draft: &Draft) -> bool {
    app.config.announcements.second_person_lanes.contains(&draft.lane)
        && !draft.alert.drill
        && matches!(draft.alert.message_type, MessageType::Alert | MessageType::Update)
}

/// The change that sends an announcement out.
async fn released(tx: &mut Tx, made: &Announcement) -> Result<ChangeKind, StoreError> {
    let said = &made.said;
    let earlier = match said.alert.references {
        Some(id) => announcements::lock(tx, id).await?,
        None => None,
    };
    let replaces = earlier.map(|earlier| earlier.said.notification_id);
    Ok(ChangeKind::Announcement(said.announced(made.id, replaces)))
}

/// Confirms an announcement as a second person: now it goes out.
///
/// # Errors
/// [`ChangeError`].
pub(crate) async fn confirm(
    app: &App,
    tx: &mut Tx,
    by: UserId,
    id: AnnouncementId,
    mutation: Option<String>,
) -> Result<Announcement, ChangeError> {
    let now = app.clock.now();
    let mut announcement = announcements::lock(tx, id).await?.ok_or(ChangeError::NotFound)?;
    match announcement.phase(now) {
        Phase::AwaitsConfirmation => {}
        Phase::Published => return Err(ChangeError::NotAwaiting(Box::new(announcement))),
        Phase::Unconfirmed => return Err(ChangeError::NotPublished(Box::new(announcement))),
        Phase::Cancelled => return Err(ChangeError::Cancelled(Box::new(announcement))),
    }
    if by == announcement.said.created_by {
        return Err(ChangeError::SamePerson);
    }
    announcements::confirm(tx, id, by, now).await?;
    announcement.confirmed = Some((by, now));
    announcement.version += 1;
    let kind = released(tx, &announcement).await?;
    let author = Author { actor: Some(by), mutation };
    store::outbox::append(tx, &author.change(now, kind)).await?;
    Ok(announcement)
}

/// Withdraws an announcement: what has not left stays.
///
/// # Errors
/// [`ChangeError`].
pub(crate) async fn cancel(
    app: &App,
    tx: &mut Tx,
    by: UserId,
    id: AnnouncementId,
    mutation: Option<String>,
) -> Result<Announcement, ChangeError> {
    let now = app.clock.now();
    let mut announcement = announcements::lock(tx, id).await?.ok_or(ChangeError::NotFound)?;
    let phase = announcement.phase(now);
    if phase == Phase::Cancelled {
        return Err(ChangeError::Cancelled(Box::new(announcement)));
    }
    announcements::cancel(tx, id, now).await?;
    announcement.cancelled_at = Some(now);
    announcement.version += 1;
    if phase != Phase::Published {
        return Ok(announcement); // nobody has heard of it
    }
    let kind = ChangeKind::AnnouncementCancelled {
        announcement_id: id,
        notification_id: announcement.said.notification_id,
        audience: announcement.said.told(),
    };
    let author = Author { actor: Some(by), mutation };
    store::outbox::append(tx, &author.change(now, kind)).await?;
    Ok(announcement)
}

/// What a recall says when nobody chose other words.
fn recall_texts(title: &LocalizedText) -> (LocalizedText, LocalizedText) {
    let recalled = |mark: &str, title: &Option<String>| title.as_ref().map(|title| format!("{mark}{title}"));
    let title =
        LocalizedText { ar: recalled("سُحب: ", &title.ar), en: recalled("Recalled: ", &title.en) };
    let body = LocalizedText {
        ar: Some("أُرسل هذا الإعلان عن طريق الخطأ. يُرجى تجاهله.".to_owned()),
        en: Some("This announcement was sent by mistake. Please disregard it.".to_owned()),
    };
    (title, body)
}

/// Recalls an announcement: withdraws what has not left, and tells those whom it may have reached, in the place of what their
/// phones show. Gives the recall.
///
/// # Errors
/// [`ChangeError`].
pub(crate) async fn recall(
    app: &App,
    tx: &mut Tx,
    by: UserId,
    id: AnnouncementId,
    words: Option<(LocalizedText, LocalizedText)>,
) -> Result<Announcement, ChangeError> {
    let now = app.clock.now();
    let found = announcements::lock(tx, id).await?.ok_or(ChangeError::NotFound)?;
    if matches!(found.phase(now), Phase::AwaitsConfirmation | Phase::Unconfirmed) {
        return Err(ChangeError::NotPublished(Box::new(found)));
    }
    let recalled = cancel(app, tx, by, id, None).await?;
    let said = recalled.said;
    let (title, body) = words.unwrap_or_else(|| recall_texts(&said.title));
    let expires_at =
        said.expires_at.max(now + Duration::from_secs(app.config.announcements.ttl_secs_default));
    let alert =
        Alert { message_type: MessageType::Recall, references: Some(id), instructions: None, ..said.alert };
    let audience = Audience::Reached { notification_id: said.notification_id };
    let draft = Draft { lane: said.lane, title, body, audience, expires_at, alert };
    Ok(store_and_release(app, tx, by, draft, Some(said.thread_id), None).await?)
}
