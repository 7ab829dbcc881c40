//! `/api/v1/schedules`: announcements that are made at a time, once or again and again.

use std::time::Duration;

use axum::extract::State;
use domain::{Alert, Audience, Lane, LocalizedText, Recurrence, Timestamp, UserId, Zone};
use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};
use store::schedules::{Plan, Schedule};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::answer::Answer;
use crate::app::App;
use crate::code::Code;
use crate::cursor::PageQuery;
use crate::error::ApiError;
use crate::extract::{Announcer, Json, Path, Query};
use crate::fault::{Checks, Rule};
use crate::idempotency::{Once, begin};
use crate::ops::announcements::{Draft, check_nouns};
use crate::ops::schedules::{self, StopError};
use crate::schema::{Envelope, PageEnvelope, Text};

/// How far ahead the first time may be.
const AHEAD_MAX: Duration = Duration::from_hours(366 * 24);
/// Most users that an announcement is addressed to by id.
const USERS_MAX: usize = 1_000;

/// The routes of this file.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, make)).routes(routes!(show)).routes(routes!(stop))
}

/// What is to be announced, and when.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ScheduleForm {
    /// Headline, in Arabic, English or both.
    #[schema(value_type = Text, example = json!({"ar": "فُتحت الأبواب", "en": "Gates are open"}))]
    title: LocalizedText,
    /// Text, in Arabic, English or both.
    #[schema(value_type = Text, example = json!({"ar": "أهلًا بكم", "en": "Welcome"}))]
    body: LocalizedText,
    /// `transactional`, `standard` or `promotional`. An emergency is not scheduled.
    #[schema(value_type = String, example = "standard")]
    lane: Lane,
    /// As of an announcement.
    #[schema(value_type = Object, example = json!({"kind": "everyone"}))]
    audience: Audience,
    /// Seconds for which each announcement is of use.
    #[schema(example = 3600)]
    ttl_seconds: u64,
    /// The first time, on the clocks of the zone: in the future, at most 366 days ahead.
    #[schema(example = "2026-07-18T18:00:00")]
    at: String,
    /// IANA zone; the festival's when left out.
    #[schema(example = "Africa/Cairo")]
    time_zone: Option<String>,
    /// How often: an RFC 5545 rule of `FREQ=DAILY` or `FREQ=WEEKLY`, `INTERVAL`, `BYDAY` (weekly) and `UNTIL` (UTC, required).
    /// Once when left out.
    #[schema(example = "FREQ=DAILY;UNTIL=20260720T200000Z")]
    recurrence: Option<String>,
}

/// A schedule.
#[derive(Debug, Serialize, ToSchema)]
struct ScheduleView {
    /// Its id.
    #[schema(example = 1)]
    id: i64,
    /// Headline.
    #[schema(value_type = Text)]
    title: LocalizedText,
    /// Text.
    #[schema(value_type = Text)]
    body: LocalizedText,
    /// How urgent.
    #[schema(value_type = String, example = "standard")]
    lane: Lane,
    /// For whom.
    #[schema(value_type = Object, example = json!({"kind": "everyone"}))]
    audience: Audience,
    /// Seconds for which each announcement is of use.
    ttl_seconds: u64,
    /// The first time, on the clocks of the zone.
    at: String,
    /// IANA zone.
    time_zone: String,
    /// How often; `null`: once.
    recurrence: Option<String>,
    /// The next time; `null`: nothing more will come.
    #[schema(value_type = Option<String>, format = DateTime)]
    next_at: Option<Timestamp>,
    /// Announcements that were made.
    sent: i64,
    /// Times that passed while nothing ran, too long ago to make up for.
    missed: i64,
    /// Who made it.
    #[schema(value_type = i64, example = 1)]
    created_by: UserId,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was stopped.
    #[schema(value_type = Option<String>, format = DateTime)]
    cancelled_at: Option<Timestamp>,
}

impl From<Schedule> for ScheduleView {
    fn from(schedule: Schedule) -> Self {
        let Schedule { id, plan, next_at, sent, missed, created_by, created_at, cancelled_at, .. } = schedule;
        let Plan { lane, title, body, audience, ttl_seconds, first_local: at, time_zone, recurrence } = plan;
        Self {
            id,
            title,
            body,
            lane,
            audience,
            ttl_seconds,
            at,
            time_zone,
            recurrence,
            next_at,
            sent,
            missed,
            created_by,
            created_at,
            cancelled_at,
        }
    }
}

/// The rule of lanes.
const NO_EMERGENCY: Rule = Rule::Own(
    "lane",
    "an emergency, and what a second person confirms, is announced at once and not scheduled",
    "الطارئ وما يؤكده شخص ثانٍ يُعلن فورًا ولا يُجدول",
);

/// What the schedule will announce, to see whether what it names exists.
fn draft(plan: &Plan, first_at: Timestamp) -> Draft {
    Draft {
        lane: plan.lane,
        title: plan.title.clone(),
        body: plan.body.clone(),
        audience: plan.audience.clone(),
        expires_at: first_at,
        alert: Alert::of(plan.lane),
    }
}

impl ScheduleForm {
    /// # Errors
    /// [`Code::ValidationFailed`] with every value that is wrong.
    fn check(self, app: &App) -> Result<(Plan, Timestamp), ApiError> {
        let (rules, now) = (&app.config.announcements, app.clock.now());
        let mut checks = Checks::default();
        checks.localized("/title", &self.title, 1..=rules.title_chars_max);
        checks.localized("/body", &self.body, 1..=rules.body_chars_max);
        let alone = self.lane != Lane::Emergency && !rules.second_person_lanes.contains(&self.lane);
        checks.ensure(alone, "/lane", NO_EMERGENCY);
        let reached = matches!(self.audience, Audience::Reached { .. });
        checks.ensure(!reached, "/audience/kind", Rule::Malformed("everyone, staff, event, venue or users"));
        checks.range("/ttl_seconds", self.ttl_seconds, 1..=rules.ttl_secs_max);
        if let Audience::Users { user_ids } = &self.audience {
            checks.ensure(!user_ids.is_empty(), "/audience/user_ids", Rule::Required);
            checks.ensure(user_ids.len() <= USERS_MAX, "/audience/user_ids", Rule::TooLong(USERS_MAX));
        }
        let zone = Zone::new(self.time_zone.as_deref().unwrap_or(&app.config.festival.time_zone));
        checks.ensure(zone.is_ok(), "/time_zone", Rule::Unknown("IANA time zone"));
        let local: Option<DateTime> = self.at.parse().ok();
        let first = local.and_then(|local| zone.as_ref().ok().map(|zone| (local, zone.instant(local))));
        let once = Rule::Malformed("a local time such as 2026-07-18T18:00:00 that exists once in its zone");
        let first_at = if let Some((_, Ok(at))) = first {
            at
        } else {
            checks.ensure(zone.is_err() && local.is_some(), "/at", once);
            now + Duration::from_secs(1)
        };
        let latest = now + AHEAD_MAX;
        let ahead = first_at > now && first_at <= latest;
        checks.ensure(ahead, "/at", Rule::Range(now.to_string(), latest.to_string()));
        let recurrence = self.recurrence.as_deref().map(str::parse::<Recurrence>);
        let known = recurrence.as_ref().is_none_or(Result::is_ok);
        checks.ensure(
            known,
            "/recurrence",
            Rule::Malformed("FREQ=DAILY or FREQ=WEEKLY with INTERVAL, BYDAY and UNTIL"),
        );
        let recurrence = recurrence.and_then(Result::ok);
        let ends_after = recurrence.as_ref().is_none_or(|rule| rule.until() >= first_at);
        checks.ensure(
            ends_after,
            "/recurrence",
            Rule::Malformed("a rule whose UNTIL is not before the first time"),
        );
        checks.finish()?;
        let plan = Plan {
            lane: self.lane,
            title: self.title,
            body: self.body,
            audience: self.audience,
            ttl_seconds: self.ttl_seconds,
            first_local: local.map(|local| local.to_string()).unwrap_or_default(),
            time_zone: zone.map(|zone| zone.name().to_owned()).unwrap_or_default(),
            recurrence: recurrence.map(|rule| rule.to_string()),
        };
        Ok((plan, first_at))
    }
}

impl From<StopError> for ApiError {
    fn from(error: StopError) -> Self {
        match error {
            StopError::NotFound => Self::new(Code::NotFound),
            StopError::Store(cause) => cause.into(),
        }
    }
}

/// Plans an announcement for a time, or for times that come again. The clocks of its zone count: when they change, it
/// stays at its hour.
#[utoipa::path(post, path = "/api/v1/schedules", tag = "announcements", security(("bearer" = [])),
    request_body = ScheduleForm,
    responses((status = 201, description = "It is planned", body = Envelope<ScheduleView>)))]
async fn make(
    State(app): State<App>,
    Announcer(caller): Announcer,
    once: Once,
    Json(form): Json<ScheduleForm>,
) -> Result<Answer, ApiError> {
    let (plan, first_at) = form.check(&app)?;
    check_nouns(&app, &draft(&plan, first_at)).await?;
    let mut work = begin!(once, &app, &caller);
    let schedule = schedules::make(&app, &mut work.tx, caller.user_id, &plan, first_at).await?;
    let location = format!("/api/v1/schedules/{}", schedule.id);
    work.finish(&app, Answer::created(&ScheduleView::from(schedule), location)?).await
}

/// One schedule.
#[utoipa::path(get, path = "/api/v1/schedules/{id}", tag = "announcements", security(("bearer" = [])),
    params(("id" = i64, Path, example = 1)),
    responses((status = 200, description = "The schedule", body = Envelope<ScheduleView>)))]
async fn show(
    State(app): State<App>,
    Announcer(_caller): Announcer,
    Path(id): Path<i64>,
) -> Result<Answer, ApiError> {
    let schedule = store::schedules::find(&app.store, id).await?.ok_or(StopError::NotFound)?;
    Answer::ok(&ScheduleView::from(schedule))
}

/// Schedules, the newest first.
#[utoipa::path(get, path = "/api/v1/schedules", tag = "announcements", security(("bearer" = [])), params(PageQuery),
    responses((status = 200, description = "A page of them", body = PageEnvelope<ScheduleView>)))]
async fn list(
    State(app): State<App>,
    Announcer(_caller): Announcer,
    Query(query): Query<PageQuery>,
) -> Result<Answer, ApiError> {
    let page = app.cursors.request(query.limit, query.cursor.as_deref(), &"schedules")?;
    let rows = store::schedules::list(&app.store, page.after, u64::from(page.limit) + 1).await?;
    let page = app.cursors.page(&page, rows, |row| row.id)?;
    Answer::page(page.map(ScheduleView::from))
}

/// Stops a schedule: nothing more comes of it. What it has announced is withdrawn one by one, if at all.
#[utoipa::path(post, path = "/api/v1/schedules/{id}/cancel", tag = "announcements", security(("bearer" = [])),
    params(("id" = i64, Path, example = 1)),
    responses((status = 200, description = "It is stopped", body = Envelope<ScheduleView>)))]
async fn stop(
    State(app): State<App>,
    Announcer(caller): Announcer,
    Path(id): Path<i64>,
    once: Once,
) -> Result<Answer, ApiError> {
    let mut work = begin!(once, &app, &caller);
    let schedule = schedules::stop(&app, &mut work.tx, id).await?;
    work.finish(&app, Answer::ok(&ScheduleView::from(schedule))?).await
}
