//! `/api/v1/deliveries` and `/api/v1/lanes`: what did not arrive and why, what goes again, and what stands still.

use std::time::Duration;

use axum::extract::State;
use domain::{Channel, Lane, Timestamp};
use serde::{Deserialize, Serialize};
use store::deliveries::{self as kept, DeadFilter, DeadGroup};
use store::lane_pauses::{self, LanePause};
use store::operator_actions::{self, OperatorAction};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::answer::Answer;
use crate::app::App;
use crate::code::Code;
use crate::deliveries::{self, Operator, Redriven};
use crate::error::ApiError;
use crate::extract::{Admin, Announcer, Json, Path, Query};
use crate::fault::Checks;
use crate::schema::Envelope;

/// How far back is looked when nothing is said.
const SINCE: Duration = Duration::from_hours(7 * 24);
/// Characters of a reason.
const REASON_CHARS_MAX: usize = 500;
/// Operators' actions that are shown.
const ACTIONS_MAX: u64 = 200;

/// The routes of this file.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(dead))
        .routes(routes!(redrive))
        .routes(routes!(lanes))
        .routes(routes!(pause))
        .routes(routes!(resume))
}

/// Which dead letters are meant.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct DeadQuery {
    /// Those that ended after this; of the last seven days when left out.
    #[param(value_type = Option<String>, required = false, example = "2026-07-15T00:00:00Z")]
    since: Option<Timestamp>,
    /// Of one cause.
    #[param(required = false, example = "Unregistered")]
    cause: Option<String>,
    /// On one channel.
    #[param(value_type = Option<String>, required = false, example = "apns")]
    channel: Option<Channel>,
    /// In one lane.
    #[param(value_type = Option<String>, required = false, example = "standard")]
    lane: Option<Lane>,
}

/// Which dead letters are to go again, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RedriveForm {
    /// Those that ended after this; of the last seven days when left out.
    #[schema(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// Of one cause, as `/api/v1/deliveries/dead` names it.
    #[schema(example = "InternalServerError")]
    cause: Option<String>,
    /// On one channel.
    #[schema(value_type = Option<String>, example = "apns")]
    channel: Option<Channel>,
    /// In one lane.
    #[schema(value_type = Option<String>, example = "standard")]
    lane: Option<Lane>,
    /// Only count.
    #[serde(default)]
    dry_run: bool,
    /// Why, for the record. 1 to 500 characters.
    #[schema(example = "Apple was down until 14:00")]
    reason: String,
}

/// Why, for the record.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReasonForm {
    /// 1 to 500 characters.
    #[schema(example = "the relay is moved to another host")]
    reason: String,
}

/// Dead letters of one cause.
#[derive(Debug, Serialize, ToSchema)]
struct DeadView {
    #[schema(value_type = String, example = "apns")]
    channel: Channel,
    #[schema(value_type = String, example = "standard")]
    lane: Lane,
    /// `failed`: refused for good; `dead`: every attempt is spent.
    #[schema(value_type = String, example = "dead")]
    state: domain::DeliveryState,
    /// The last refusal's reason.
    #[schema(example = "InternalServerError")]
    cause: String,
    /// How many.
    deliveries: u64,
    /// Those whose notification stands and is still of use.
    redrivable: u64,
    /// When the first of them ended.
    #[schema(value_type = String, format = DateTime)]
    first_at: Timestamp,
    /// When the last one did.
    #[schema(value_type = String, format = DateTime)]
    last_at: Timestamp,
}

/// What became of the dead letters that were meant, or would become of them.
#[derive(Debug, Serialize, ToSchema)]
struct RedrivenView {
    /// Whether it was only counted.
    dry_run: bool,
    /// Dead letters that were named.
    found: u64,
    /// Due again, with their next attempt.
    redriven: u64,
    /// Left: of no more use.
    expired: u64,
    /// Left: withdrawn.
    withdrawn: u64,
    /// Left: the device cannot be pushed to.
    target_gone: u64,
    /// Left: not wanted, or in quiet hours now.
    unwanted: u64,
}

/// A lane of a channel that stands still.
#[derive(Debug, Serialize, ToSchema)]
struct PauseView {
    #[schema(value_type = String, example = "apns")]
    channel: Channel,
    #[schema(value_type = String, example = "standard")]
    lane: Lane,
    /// The provider's reason, or the operator's.
    reason: String,
    #[schema(value_type = String, format = DateTime)]
    paused_at: Timestamp,
    /// `user:4` or `cli`; `null`: the configuration is wrong, and it goes on by itself once that is mended.
    held_by: Option<String>,
}

/// Something that an operator did.
#[derive(Debug, Serialize, ToSchema)]
struct ActionView {
    /// `user:4` or `cli`.
    actor: String,
    /// `lane_paused`, `lane_resumed`, `redriven`.
    action: String,
    /// To what.
    subject: String,
    /// Why.
    reason: String,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

/// Lanes that stand still, and what operators did.
#[derive(Debug, Serialize, ToSchema)]
struct LanesView {
    /// Every lane that stands still.
    paused: Vec<PauseView>,
    /// What operators did, the newest first, at most 200.
    actions: Vec<ActionView>,
}

impl From<DeadGroup> for DeadView {
    fn from(group: DeadGroup) -> Self {
        let DeadGroup { channel, lane, state, cause, deliveries, first_at, last_at, redrivable } = group;
        Self { channel, lane, state, cause, deliveries, redrivable, first_at, last_at }
    }
}

impl RedrivenView {
    fn of(redriven: Redriven, dry_run: bool) -> Self {
        let Redriven { found, redriven, expired, withdrawn, target_gone, unwanted } = redriven;
        Self { dry_run, found, redriven, expired, withdrawn, target_gone, unwanted }
    }
}

impl From<LanePause> for PauseView {
    fn from(pause: LanePause) -> Self {
        let LanePause { channel, lane, reason, paused_at, held_by, .. } = pause;
        Self { channel, lane, reason, paused_at, held_by }
    }
}

impl From<OperatorAction> for ActionView {
    fn from(done: OperatorAction) -> Self {
        let OperatorAction { actor, action, subject, reason, at } = done;
        Self { actor, action, subject, reason, at }
    }
}

fn check_reason(reason: &str) -> Result<(), ApiError> {
    let mut checks = Checks::default();
    checks.text("/reason", reason, 1..=REASON_CHARS_MAX);
    checks.finish()
}

/// Deliveries that ended without having arrived, by channel, lane and cause, the most first.
#[utoipa::path(get, path = "/api/v1/deliveries/dead", tag = "deliveries", security(("bearer" = [])), params(DeadQuery),
    responses((status = 200, description = "Dead letters by cause", body = Envelope<Vec<DeadView>>)))]
async fn dead(
    State(app): State<App>,
    Announcer(_caller): Announcer,
    Query(query): Query<DeadQuery>,
) -> Result<Answer, ApiError> {
    let now = app.clock.now();
    let DeadQuery { since, cause, channel, lane } = query;
    let filter = DeadFilter { since: since.unwrap_or(now - SINCE), cause, channel, lane };
    let groups = kept::dead_groups(&app.store, &filter, now).await?;
    Answer::ok(&groups.into_iter().map(DeadView::from).collect::<Vec<_>>())
}

/// Lets dead letters go again that are still of use and wanted: same delivery, next attempt. Safe to repeat.
#[utoipa::path(post, path = "/api/v1/deliveries/redrive", tag = "deliveries", security(("bearer" = [])),
    request_body = RedriveForm,
    responses((status = 200, description = "What became of them", body = Envelope<RedrivenView>)))]
async fn redrive(
    State(app): State<App>,
    Admin(caller): Admin,
    Json(form): Json<RedriveForm>,
) -> Result<Answer, ApiError> {
    check_reason(&form.reason)?;
    let RedriveForm { since, cause, channel, lane, dry_run, reason } = form;
    let since = since.unwrap_or(app.clock.now() - SINCE);
    let filter = DeadFilter { since, cause, channel, lane };
    let operator = Operator::user(caller.user_id, reason);
    let redriven = deliveries::redrive(&app.store, &*app.clock, &filter, dry_run, &operator).await?;
    Answer::ok(&RedrivenView::of(redriven, dry_run))
}

/// Lanes that stand still, and what operators did.
#[utoipa::path(get, path = "/api/v1/lanes", tag = "deliveries", security(("bearer" = [])),
    responses((status = 200, description = "Pauses and actions", body = Envelope<LanesView>)))]
async fn lanes(State(app): State<App>, Announcer(_caller): Announcer) -> Result<Answer, ApiError> {
    let paused = lane_pauses::list(&app.store).await?.into_iter().map(PauseView::from).collect();
    let actions = operator_actions::list(&app.store, ACTIONS_MAX).await?;
    Answer::ok(&LanesView { paused, actions: actions.into_iter().map(ActionView::from).collect() })
}

/// Stops a lane of a channel until somebody resumes it. What is due waits, or expires at its deadline.
#[utoipa::path(post, path = "/api/v1/lanes/{channel}/{lane}/pause", tag = "deliveries", security(("bearer" = [])),
    params(("channel" = String, Path, example = "apns"), ("lane" = String, Path, example = "promotional")),
    request_body = ReasonForm,
    responses((status = 200, description = "It stands still", body = Envelope<PauseView>)))]
async fn pause(
    State(app): State<App>,
    Admin(caller): Admin,
    Path(which): Path<(Channel, Lane)>,
    Json(form): Json<ReasonForm>,
) -> Result<Answer, ApiError> {
    check_reason(&form.reason)?;
    let operator = Operator::user(caller.user_id, form.reason);
    let pause = deliveries::pause(&app.store, &*app.clock, which, &operator).await?;
    Answer::ok(&PauseView::from(pause))
}

/// Lets a lane of a channel go on, whoever paused it.
#[utoipa::path(post, path = "/api/v1/lanes/{channel}/{lane}/resume", tag = "deliveries", security(("bearer" = [])),
    params(("channel" = String, Path, example = "apns"), ("lane" = String, Path, example = "promotional")),
    request_body = ReasonForm,
    responses((status = 200, description = "It goes on", body = Envelope<Option<bool>>)))]
async fn resume(
    State(app): State<App>,
    Admin(caller): Admin,
    Path(which): Path<(Channel, Lane)>,
    Json(form): Json<ReasonForm>,
) -> Result<Answer, ApiError> {
    check_reason(&form.reason)?;
    let operator = Operator::user(caller.user_id, form.reason);
    if deliveries::resume(&app.store, &*app.clock, which, &operator).await? {
        Answer::ok(&true)
    } else {
        Err(ApiError::new(Code::NotFound).detail("the lane is not paused"))
    }
}
