//! `/api/v1/announcements`: what organizers say, and whom it reached.
//!
//! `form` is what they say, `coverage` the board of whom it reached, `recall` what can be taken back, `cap` the document that
//! other systems of warning read.

mod cap;
mod coverage;
mod form;
mod recall;

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};
use domain::{Alert, AnnouncementId, Audience, Lane, LocalizedText, NotificationId, Timestamp, UserId};
use serde::Serialize;
use store::announcements::{Announcement, Phase};
use store::notifications::{self, Count};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::answer::Answer;
use crate::app::App;
use crate::code::Code;
use crate::cursor::PageQuery;
use crate::error::ApiError;
use crate::extract::{Announcer, Json, Mutation, Path, Query};
use crate::fault::Rule;
use crate::idempotency::{Once, begin};
use crate::ops::announcements::{self, ChangeError, PublishError};
use crate::schema::{Envelope, PageEnvelope, Text};

use form::AnnouncementForm;

/// The routes of this file.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, publish))
        .routes(routes!(show))
        .routes(routes!(confirm))
        .routes(routes!(cancel))
        .merge(recall::routes())
        .merge(coverage::routes())
}

/// An announcement.
#[derive(Debug, Serialize, ToSchema)]
struct AnnouncementView {
    /// Its id.
    #[schema(value_type = i64, example = 1)]
    id: AnnouncementId,
    /// The notification it causes.
    #[schema(value_type = String, format = "uuid")]
    notification_id: NotificationId,
    /// How urgent it is.
    #[schema(value_type = String, example = "emergency")]
    lane: Lane,
    /// Headline.
    #[schema(value_type = Text)]
    title: LocalizedText,
    /// Text.
    #[schema(value_type = Text)]
    body: LocalizedText,
    /// Whom it is for.
    #[schema(value_type = Object, example = json!({"kind": "everyone"}))]
    audience: Audience,
    /// Who said it.
    #[schema(value_type = i64, example = 1)]
    created_by: UserId,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it is of no more use.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// When it was withdrawn.
    #[schema(value_type = Option<String>, format = DateTime)]
    cancelled_at: Option<Timestamp>,
    /// `awaits_confirmation` (a second person has to confirm it), `unconfirmed` (nobody did in time), `published` or
    /// `cancelled`.
    #[schema(example = "published")]
    phase: &'static str,
    /// Until when a second person has to confirm it; null: it needs none.
    #[schema(value_type = Option<String>, format = DateTime)]
    confirm_before: Option<Timestamp>,
    /// Who confirmed it.
    #[schema(value_type = Option<i64>)]
    confirmed_by: Option<UserId>,
    /// When.
    #[schema(value_type = Option<String>, format = DateTime)]
    confirmed_at: Option<Timestamp>,
    /// What it says beyond its text, in the words of CAP 1.2: `message_type` (`alert`, `update`, `all_clear`, `recall`),
    /// `references`, `category`, `severity`, `urgency`, `certainty`, `venue_ids`, `instructions`, `drill`.
    #[schema(value_type = Object)]
    alert: Alert,
}

/// An announcement, and whom it reached so far.
#[derive(Debug, Serialize, ToSchema)]
struct AnnouncementReport {
    /// The announcement.
    #[serde(flatten)]
    announcement: AnnouncementView,
    /// Its receipts.
    receipts: ReceiptCounts,
}

/// Deliveries by state. `accepted` is the most that a push service can promise; `delivered` and `opened` were
/// confirmed from the recipient's side.
#[derive(Debug, Default, Serialize, ToSchema)]
struct ReceiptCounts {
    /// People it is for, as far as they are counted.
    #[schema(example = 1000)]
    recipients: u64,
    /// Whether everybody is counted.
    planned: bool,
    /// Deliveries to them, through every channel.
    #[schema(example = 2400)]
    deliveries: u64,
    /// Deliveries by state.
    #[schema(example = json!({"accepted": 400, "delivered": 2000}))]
    by_state: BTreeMap<&'static str, u64>,
    /// Deliveries by channel and state.
    #[schema(example = json!({"apns": {"delivered": 900}, "email": {"accepted": 400}}))]
    by_channel: BTreeMap<&'static str, BTreeMap<&'static str, u64>>,
}

impl AnnouncementView {
    /// As it is at `now`.
    fn of(announcement: Announcement, now: Timestamp) -> Self {
        let phase = match announcement.phase(now) {
            Phase::AwaitsConfirmation => "awaits_confirmation",
            Phase::Unconfirmed => "unconfirmed",
            Phase::Published => "published",
            Phase::Cancelled => "cancelled",
        };
        let Announcement { id, said, created_at, cancelled_at, confirmed, .. } = announcement;
        let (confirmed_by, confirmed_at) = confirmed.unzip();
        Self {
            id,
            notification_id: said.notification_id,
            lane: said.lane,
            title: said.title,
            body: said.body,
            audience: said.audience,
            created_by: said.created_by,
            created_at,
            expires_at: said.expires_at,
            cancelled_at,
            phase,
            confirm_before: said.confirm_before,
            confirmed_by,
            confirmed_at,
            alert: said.alert,
        }
    }
}

impl ReceiptCounts {
    fn add(&mut self, count: Count) {
        self.deliveries += count.deliveries;
        *self.by_state.entry(count.state.as_str()).or_default() += count.deliveries;
        let channel = self.by_channel.entry(count.channel.as_str()).or_default();
        *channel.entry(count.state.as_str()).or_default() += count.deliveries;
    }
}

impl From<PublishError> for ApiError {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::AudienceUnknown(noun) => Self::invalid("/audience", Rule::Unknown(noun)),
            PublishError::VenueUnknown(index) => {
                Self::invalid(format!("/venue_ids/{index}"), Rule::Unknown("venue"))
            }
            PublishError::ReferenceUnknown => Self::invalid("/references", Rule::Unknown("announcement")),
            PublishError::ReferenceNotPublic => Self::invalid("/references", NOT_PUBLIC),
            PublishError::Store(cause) => cause.into(),
        }
    }
}

/// The rule of what an announcement may refer to.
const NOT_PUBLIC: Rule = Rule::Own(
    "not_public",
    "names an announcement that was not published or was withdrawn",
    "يشير إلى إعلان لم يُنشر أو سُحب",
);

/// A change that was refused, with the announcement as it is.
fn refused(app: &App, error: ChangeError) -> ApiError {
    let current = |code, announcement: Box<Announcement>| {
        ApiError::new(code).current(&AnnouncementView::of(*announcement, app.clock.now()))
    };
    match error {
        ChangeError::NotFound => ApiError::new(Code::NotFound),
        ChangeError::SamePerson => ApiError::new(Code::SecondPersonRequired),
        ChangeError::Cancelled(one) => current(Code::AnnouncementCancelled, one),
        ChangeError::NotAwaiting(one) => current(Code::AnnouncementNotAwaiting, one),
        ChangeError::NotPublished(one) => current(Code::AnnouncementNotPublished, one),
        ChangeError::Store(cause) => cause.into(),
    }
}

/// Announces something: 202 once it is durable, before it is delivered. Never refused for its rate. Where the configuration asks
/// for a second person, it waits for `…/confirm`; a drill goes to the staff alone, marked as one.
#[utoipa::path(post, path = "/api/v1/announcements", tag = "announcements", security(("bearer" = [])),
    request_body = AnnouncementForm,
    responses((status = 202, description = "It is safe, and on its way", body = Envelope<AnnouncementView>)))]
async fn publish(
    State(app): State<App>,
    Announcer(caller): Announcer,
    once: Once,
    Mutation(mutation): Mutation,
    Json(form): Json<AnnouncementForm>,
) -> Result<Answer, ApiError> {
    let draft = form.check(&app)?;
    announcements::check_nouns(&app, &draft).await?;
    let mut work = begin!(once, &app, &caller);
    let announcement = announcements::publish(&app, &mut work.tx, caller.user_id, draft, mutation).await?;
    let location = format!("/api/v1/announcements/{}", announcement.id);
    work.finish(&app, Answer::accepted(&AnnouncementView::of(announcement, app.clock.now()), location)?).await
}

/// One announcement, with the deliveries by channel and state as they are now. Asked for `application/cap+xml`, it is shown as
/// a CAP 1.2 document.
#[utoipa::path(get, path = "/api/v1/announcements/{id}", tag = "announcements", security(("bearer" = [])),
    params(("id" = i64, Path, example = 1)),
    responses((status = 200, description = "The announcement", content(
        (Envelope<AnnouncementReport> = "application/json"), (String = "application/cap+xml")))))]
async fn show(
    State(app): State<App>,
    Announcer(_caller): Announcer,
    Path(id): Path<AnnouncementId>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let announcement = store::announcements::find(&app.store, id).await?;
    let announcement = announcement.ok_or_else(|| ApiError::new(Code::NotFound))?;
    let accepts = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accepts.contains(cap::TYPE) {
        return cap::document(&app, &announcement).await;
    }
    let notification_id = announcement.said.notification_id;
    let mut receipts = ReceiptCounts::default();
    if let Some(progress) = notifications::find(&app.store, notification_id).await? {
        receipts.recipients = progress.recipients;
        receipts.planned = progress.planned_at.is_some();
    }
    for count in notifications::counts(&app.store, notification_id).await? {
        receipts.add(count);
    }
    let announcement = AnnouncementView::of(announcement, app.clock.now());
    Ok(Answer::ok(&AnnouncementReport { announcement, receipts })?.into_response())
}

/// Announcements, the newest first.
#[utoipa::path(get, path = "/api/v1/announcements", tag = "announcements", security(("bearer" = [])),
    params(PageQuery),
    responses((status = 200, description = "A page of them", body = PageEnvelope<AnnouncementView>)))]
async fn list(
    State(app): State<App>,
    Announcer(_caller): Announcer,
    Query(query): Query<PageQuery>,
) -> Result<Answer, ApiError> {
    let page = app.cursors.request(query.limit, query.cursor.as_deref(), &"announcements")?;
    let rows = store::announcements::list(&app.store, page.after, page.limit + 1).await?;
    let page = app.cursors.page(&page, rows, |row| (row.created_at, row.id))?;
    let now = app.clock.now();
    Answer::page(page.map(|one| AnnouncementView::of(one, now)))
}

/// Confirms an announcement as a second person: it goes out now.
#[utoipa::path(post, path = "/api/v1/announcements/{id}/confirm", tag = "announcements", security(("bearer" = [])),
    params(("id" = i64, Path, example = 1)), responses(
        (status = 202, description = "It is safe, and on its way", body = Envelope<AnnouncementView>),
        (status = 403, description = "`second_person_required`: its author cannot confirm it"),
        (status = 409, description = "`announcement_not_awaiting`, `announcement_not_published` (too late) or \
            `announcement_cancelled`")))]
async fn confirm(
    State(app): State<App>,
    Announcer(caller): Announcer,
    Path(id): Path<AnnouncementId>,
    Mutation(mutation): Mutation,
    once: Once,
) -> Result<Answer, ApiError> {
    let mut work = begin!(once, &app, &caller);
    let confirmed = announcements::confirm(&app, &mut work.tx, caller.user_id, id, mutation).await;
    let confirmed = AnnouncementView::of(confirmed.map_err(|error| refused(&app, error))?, app.clock.now());
    work.finish(&app, Answer::accepted(&confirmed, format!("/api/v1/announcements/{id}"))?).await
}

/// Withdraws an announcement: what has not been sent is not sent.
#[utoipa::path(post, path = "/api/v1/announcements/{id}/cancel", tag = "announcements", security(("bearer" = [])),
    params(("id" = i64, Path, example = 1)), responses(
        (status = 200, description = "It is withdrawn", body = Envelope<AnnouncementView>),
        (status = 409, description = "`announcement_cancelled`")))]
async fn cancel(
    State(app): State<App>,
    Announcer(caller): Announcer,
    Path(id): Path<AnnouncementId>,
    Mutation(mutation): Mutation,
    once: Once,
) -> Result<Answer, ApiError> {
    let mut work = begin!(once, &app, &caller);
    let cancelled = announcements::cancel(&app, &mut work.tx, caller.user_id, id, mutation).await;
    let cancelled = AnnouncementView::of(cancelled.map_err(|error| refused(&app, error))?, app.clock.now());
    work.finish(&app, Answer::ok(&cancelled)?).await
}
