//! The coverage board: how many people an announcement has reached, and how surely.

use std::collections::BTreeMap;

use axum::extract::State;
use domain::{AnnouncementId, NotificationId, Timestamp};
use serde::Serialize;
use store::coverage::{self, Board};
use store::notifications;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::answer::Answer;
use crate::app::App;
use crate::code::Code;
use crate::error::ApiError;
use crate::extract::{Announcer, Path};
use crate::schema::Envelope;

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(show))
}

/// People, each counted once, where their best delivery is.
///
/// `proven`: their side proved that it has it. `accepted`: a push service or a mail system took it, nothing more is known.
/// `unknown`: it may have left, nobody gave a verdict. `open`: still ours. `failed`: every way ended without success.
/// `withdrawn`: taken back before it left. `unreachable`: no way but a socket that nobody confirmed from.
#[derive(Debug, Serialize, ToSchema)]
struct CoverageView {
    /// Which announcement.
    #[schema(value_type = i64, example = 1)]
    announcement_id: AnnouncementId,
    /// Its notification.
    #[schema(value_type = String, format = "uuid")]
    notification_id: NotificationId,
    /// When proofs are timed from; null: it is not planned yet.
    #[schema(value_type = Option<String>, format = DateTime)]
    notified_at: Option<Timestamp>,
    /// Whether everybody is counted; before, the audience still grows.
    planned: bool,
    /// People it is for: the sum of `people`.
    #[schema(example = 50_000)]
    audience: u64,
    /// People by how far it has come with them.
    #[schema(example = json!({"proven": 48_000, "accepted": 1_500, "unreachable": 500}))]
    people: BTreeMap<&'static str, u64>,
    /// Proven people by the seconds within which they were: 5, 30, 60, 300. Each includes those before.
    #[schema(example = json!({"5": 40_000, "30": 45_000, "60": 47_000, "300": 48_000}))]
    proven_within: BTreeMap<u32, u64>,
    /// Failed people by cause.
    #[schema(example = json!({"Unregistered": 12}))]
    failed_by_cause: BTreeMap<String, u64>,
    /// Unreachable people by cause.
    #[schema(example = json!({"not_connected": 400}))]
    unreachable_by_cause: BTreeMap<String, u64>,
    /// People by the venue where they are expected: where the event is that they starred and that is on or comes next.
    by_venue: Vec<VenueCoverage>,
    /// People by language.
    #[schema(example = json!({"ar": {"proven": 40_000}, "en": {"proven": 8_000}}))]
    by_language: BTreeMap<&'static str, BTreeMap<&'static str, u64>>,
    /// The same board as it was 5, 30, 60 and 300 seconds after the notification.
    marks: Vec<CoverageMark>,
}

/// People at one venue.
#[derive(Debug, Serialize, ToSchema)]
struct VenueCoverage {
    /// The venue; null: nowhere in particular.
    venue_id: Option<i64>,
    /// People by how far it has come with them.
    people: BTreeMap<&'static str, u64>,
}

/// The board as it was.
#[derive(Debug, Serialize, ToSchema)]
struct CoverageMark {
    /// Seconds after the notification: 5, 30, 60 or 300.
    after_seconds: u32,
    /// When it was looked at; later than the mark by as long as nobody was there to look.
    #[schema(value_type = String, format = DateTime)]
    taken_at: Timestamp,
    /// People by how far it had come with them.
    #[schema(value_type = Object)]
    people: serde_json::Value,
}

/// Whom an announcement has reached, by person. As cheap for 500,000 people as for 100; the live topic `staff:coverage` says the
/// same once a second while it changes.
#[utoipa::path(get, path = "/api/v1/announcements/{id}/coverage", tag = "announcements", security(("bearer" = [])),
    params(("id" = i64, Path, example = 1)),
    responses((status = 200, description = "The board", body = Envelope<CoverageView>)))]
async fn show(
    State(app): State<App>,
    Announcer(_caller): Announcer,
    Path(id): Path<AnnouncementId>,
) -> Result<Answer, ApiError> {
    let found = store::announcements::find(&app.store, id).await?;
    let found = found.ok_or_else(|| ApiError::new(Code::NotFound))?;
    let notification_id = found.said.notification_id;
    let progress = notifications::find(&app.store, notification_id).await?;
    let marks = coverage::marks(&app.store, notification_id).await?;
    let board = Board::of(&coverage::board(&app.store, notification_id).await?);
    Answer::ok(&CoverageView {
        announcement_id: id,
        notification_id,
        notified_at: progress.as_ref().map(|one| one.notification.created_at),
        planned: progress.is_some_and(|one| one.planned_at.is_some()),
        audience: board.audience,
        people: board.people,
        proven_within: board.proven_within,
        failed_by_cause: board.failed_by_cause,
        unreachable_by_cause: board.unreachable_by_cause,
        by_venue: board
            .by_venue
            .into_iter()
            .map(|(venue, people)| VenueCoverage { venue_id: (venue != 0).then_some(venue), people })
            .collect(),
        by_language: board.by_language,
        marks: marks
            .into_iter()
            .map(|one| CoverageMark {
                after_seconds: one.after_seconds,
                taken_at: one.taken_at,
                people: one.people,
            })
            .collect(),
    })
}
