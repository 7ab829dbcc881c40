//! Taking an announcement back, and saying honestly what cannot be taken back.

use axum::extract::State;
use domain::{AnnouncementId, Channel, DeliveryState, LocalizedText};
use serde::{Deserialize, Serialize};
use store::notifications::{self, Count};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{AnnouncementView, refused};
use crate::answer::Answer;
use crate::app::App;
use crate::error::ApiError;
use crate::extract::{Announcer, Json, Path};
use crate::fault::Checks;
use crate::idempotency::{Once, begin};
use crate::ops::announcements;
use crate::schema::{Envelope, Text};

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(recall))
}

/// What the recall says.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RecallForm {
    /// Headline; without it, `Recalled:` and the old one.
    #[schema(value_type = Option<Text>)]
    title: Option<LocalizedText>,
    /// Text; required with a headline. Without both, that it was sent by mistake.
    #[schema(value_type = Option<Text>)]
    body: Option<LocalizedText>,
}

/// A recall, and what it can do. The numbers are deliveries, as they were when it was made; what was on its way in that moment
/// may have arrived since.
#[derive(Debug, Serialize, ToSchema)]
struct RecallView {
    /// The announcement that recalls.
    recall: AnnouncementView,
    /// Deliveries that had not left: they are withdrawn.
    withdrawn: u64,
    /// Push messages that left: a phone or browser that shows one shows the recall in its place. Nothing is known of those who
    /// have read it.
    replaced: u64,
    /// Socket messages that went out: pages hear of the recall at once.
    told_on_sockets: u64,
    /// Mails that left. They cannot be recalled: another mail follows.
    mails_not_recallable: u64,
    /// Deliveries of any channel that a person has opened: they have read it.
    opened: u64,
}

fn sum(counts: &[Count], wanted: impl Fn(Channel, DeliveryState) -> bool) -> u64 {
    counts.iter().filter(|one| wanted(one.channel, one.state)).map(|one| one.deliveries).sum()
}

/// Whether the message may have left.
fn left(state: DeliveryState) -> bool {
    use DeliveryState::{Accepted, Delivered, Expired, Opened, Sending, Unknown};
    matches!(state, Sending | Unknown | Accepted | Delivered | Opened | Expired)
}

/// Recalls an announcement: what has not left is withdrawn; those whom it may have reached are told, in the place of what their
/// phones show. The answer says what cannot be recalled.
#[utoipa::path(post, path = "/api/v1/announcements/{id}/recall", tag = "announcements", security(("bearer" = [])),
    params(("id" = i64, Path, example = 1)), request_body = RecallForm, responses(
        (status = 202, description = "The recall is safe, and on its way", body = Envelope<RecallView>),
        (status = 409, description = "`announcement_cancelled` or `announcement_not_published`")))]
async fn recall(
    State(app): State<App>,
    Announcer(caller): Announcer,
    Path(id): Path<AnnouncementId>,
    once: Once,
    Json(form): Json<RecallForm>,
) -> Result<Answer, ApiError> {
    let words = form.check(&app)?;
    let counts = match store::announcements::find(&app.store, id).await? {
        Some(found) => notifications::counts(&app.store, found.said.notification_id).await?,
        None => Vec::new(),
    };
    let mut work = begin!(once, &app, &caller);
    let recall = announcements::recall(&app, &mut work.tx, caller.user_id, id, words).await;
    let recall = AnnouncementView::of(recall.map_err(|error| refused(&app, error))?, app.clock.now());
    let location = format!("/api/v1/announcements/{}", recall.id);
    let push = |channel| matches!(channel, Channel::Apns | Channel::Fcm | Channel::Webpush);
    let view = RecallView {
        recall,
        withdrawn: sum(&counts, |_, state| matches!(state, DeliveryState::Queued | DeliveryState::Waiting)),
        replaced: sum(&counts, |channel, state| push(channel) && left(state)),
        told_on_sockets: sum(&counts, |channel, state| channel == Channel::Socket && left(state)),
        mails_not_recallable: sum(&counts, |channel, state| channel == Channel::Email && left(state)),
        opened: sum(&counts, |_, state| state == DeliveryState::Opened),
    };
    work.finish(&app, Answer::accepted(&view, location)?).await
}

impl RecallForm {
    /// # Errors
    /// [`Code::ValidationFailed`](crate::code::Code::ValidationFailed) with every value that is wrong.
    fn check(self, app: &App) -> Result<Option<(LocalizedText, LocalizedText)>, ApiError> {
        let rules = &app.config.announcements;
        let mut checks = Checks::default();
        let words = match (self.title, self.body) {
            (None, None) => None,
            (title, body) => {
                let (title, body) = (title.unwrap_or_default(), body.unwrap_or_default());
                checks.localized("/title", &title, 1..=rules.title_chars_max);
                checks.localized("/body", &body, 1..=rules.body_chars_max);
                Some((title, body))
            }
        };
        checks.finish()?;
        Ok(words)
    }
}
