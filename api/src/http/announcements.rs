//! `/api/v1/announcements`: what organizers say, and whom it reached.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::State;
use domain::{AnnouncementId, Audience, Lane, LocalizedText, NotificationId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use store::announcements::Announcement;
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
use crate::fault::{Checks, Rule};
use crate::idempotency::{Once, begin};
use crate::ops::announcements::{self, CancelError, Draft, PublishError};
use crate::schema::{Envelope, PageEnvelope, Text};

/// Most users that an announcement is addressed to by id.
const USERS_MAX: usize = 1_000;

/// The routes of this file.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, publish)).routes(routes!(show)).routes(routes!(cancel))
}

/// What is to be announced.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AnnouncementForm {
    /// Headline, in Arabic, English or both.
    #[schema(value_type = Text, example = json!({"ar": "عاصفة رملية", "en": "Sandstorm"}))]
    title: LocalizedText,
    /// Text, in Arabic, English or both.
    #[schema(value_type = Text, example = json!({"ar": "توجهوا إلى القاعة ب", "en": "Go to hall B now"}))]
    body: LocalizedText,
    /// `emergency`, `transactional`, `standard` or `promotional`.
    #[schema(value_type = String, example = "emergency")]
    lane: Lane,
    /// `{"kind":"everyone"}`, `{"kind":"event","event_id":17}`, `{"kind":"venue","venue_id":5}` or
    /// `{"kind":"users","user_ids":[4]}` (at most 1,000).
    #[schema(value_type = Object, example = json!({"kind": "everyone"}))]
    audience: Audience,
    /// When it is of no more use: in the future, at most 30 days ahead.
    #[schema(value_type = Option<String>, format = DateTime, example = "2026-07-15T13:00:00Z")]
    expires_at: Option<Timestamp>,
    /// The same as seconds from now; one of the two, or neither for the configured time.
    #[schema(example = 3600)]
    ttl_seconds: Option<u64>,
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

impl From<Announcement> for AnnouncementView {
    fn from(announcement: Announcement) -> Self {
        let Announcement { id, said, created_at, cancelled_at, .. } = announcement;
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

impl AnnouncementForm {
    /// # Errors
    /// [`Code::ValidationFailed`] with every value that is wrong.
    fn check(self, app: &App) -> Result<Draft, ApiError> {
        let rules = &app.config.announcements;
        let mut checks = Checks::default();
        checks.localized("/title", &self.title, 1..=rules.title_chars_max);
        checks.localized("/body", &self.body, 1..=rules.body_chars_max);
        let mut audience = self.audience;
        if let Audience::Users { user_ids } = &mut audience {
            user_ids.sort_unstable();
            user_ids.dedup();
            checks.ensure(!user_ids.is_empty(), "/audience/user_ids", Rule::Required);
            checks.ensure(user_ids.len() <= USERS_MAX, "/audience/user_ids", Rule::TooLong(USERS_MAX));
        }
        let now = app.clock.now();
        let latest = now + Duration::from_secs(rules.ttl_secs_max);
        let expires_at = match (self.expires_at, self.ttl_seconds) {
            (Some(_), Some(_)) => {
                checks.add("/ttl_seconds", EITHER);
                latest
            }
            (Some(at), None) => {
                let future = at > now && at <= latest;
                checks.ensure(future, "/expires_at", Rule::Range(now.to_string(), latest.to_string()));
                at
            }
            (None, Some(secs)) => {
                checks.range("/ttl_seconds", secs, 1..=rules.ttl_secs_max);
                now + Duration::from_secs(secs.min(rules.ttl_secs_max))
            }
            (None, None) => now + Duration::from_secs(rules.ttl_secs_default),
        };
        checks.finish()?;
        Ok(Draft { lane: self.lane, title: self.title, body: self.body, audience, expires_at })
    }
}

/// The rule of the two ways to say when it ends.
const EITHER: Rule = Rule::Own(
    "either",
    "give expires_at or ttl_seconds, not both",
    "أعطِ expires_at أو ttl_seconds وليس كليهما",
);

impl From<PublishError> for ApiError {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::AudienceUnknown(noun) => Self::invalid("/audience", Rule::Unknown(noun)),
            PublishError::Store(cause) => cause.into(),
        }
    }
}

impl From<CancelError> for ApiError {
    fn from(error: CancelError) -> Self {
        match error {
            CancelError::NotFound => Self::new(Code::NotFound),
            CancelError::Cancelled(announcement) => {
                Self::new(Code::AnnouncementCancelled).current(&AnnouncementView::from(*announcement))
            }
            CancelError::Store(cause) => cause.into(),
        }
    }
}

/// Announces something: 202 once it is durable, before it is delivered. Never refused for its rate.
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
    announcements::check_audience(&app, &draft.audience).await?;
    let mut work = begin!(once, &app, &caller);
    let announcement = announcements::publish(&app, &mut work.tx, caller.user_id, draft, mutation).await?;
    let location = format!("/api/v1/announcements/{}", announcement.id);
    work.finish(&app, Answer::accepted(&AnnouncementView::from(announcement), location)?).await
}

/// One announcement, with the deliveries by channel and state as they are now.
#[utoipa::path(get, path = "/api/v1/announcements/{id}", tag = "announcements", security(("bearer" = [])),
    params(("id" = i64, Path, example = 1)),
    responses((status = 200, description = "The announcement", body = Envelope<AnnouncementReport>)))]
async fn show(
    State(app): State<App>,
    Announcer(_caller): Announcer,
    Path(id): Path<AnnouncementId>,
) -> Result<Answer, ApiError> {
    let announcement = store::announcements::find(&app.store, id).await?.ok_or(CancelError::NotFound)?;
    let notification_id = announcement.said.notification_id;
    let mut receipts = ReceiptCounts::default();
    if let Some(progress) = notifications::find(&app.store, notification_id).await? {
        receipts.recipients = progress.recipients;
        receipts.planned = progress.planned_at.is_some();
    }
    for count in notifications::counts(&app.store, notification_id).await? {
        receipts.add(count);
    }
    Answer::ok(&AnnouncementReport { announcement: announcement.into(), receipts })
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
    Answer::page(page.map(AnnouncementView::from))
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
    let announcement = announcements::cancel(&app, &mut work.tx, caller.user_id, id, mutation).await?;
    work.finish(&app, Answer::ok(&AnnouncementView::from(announcement))?).await
}
