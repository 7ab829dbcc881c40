//! `/api/v1/me/preferences` and `/api/v1/me/promotions`: what the caller wants to be told, how and when not.

use std::collections::BTreeMap;

use axum::extract::State;
use domain::{Choices, EventId, Lane, Language, Timestamp, Zone};
use jiff::civil::Time;
use serde::{Deserialize, Serialize};
use store::preferences::{self as kept_preferences, Consent, Kept};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::answer::Answer;
use crate::app::App;
use crate::code::Code;
use crate::error::ApiError;
use crate::etag::ETag;
use crate::extract::{Json, Member, Path};
use crate::fault::{Checks, Rule};
use crate::idempotency::{Once, begin};
use crate::ops::preferences::{self, PreferencesError, Wanted};
use crate::schema::Envelope;

/// Most lead times that somebody chooses.
const MINUTES_MAX: usize = 5;
/// Most notifications of a lane in 24 hours that somebody can permit.
const CAP_MAX: u32 = 1_000;

/// The routes of this file.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(show, replace))
        .routes(routes!(consents, consent))
        .routes(routes!(remind))
}

/// What somebody wants.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PreferencesForm {
    /// What they read: `ar` or `en`; as it is when left out.
    #[schema(value_type = Option<String>, example = "ar")]
    language: Option<Language>,
    /// IANA zone of their clocks; the festival's when left out.
    #[schema(example = "Africa/Cairo")]
    time_zone: Option<String>,
    /// When phone and mailbox stay silent, except for emergencies and what they wait for. `null`: never.
    quiet_hours: Option<QuietForm>,
    /// Category (`programme`, `reminders`, `announcements`, `promotions`, `digests`) to channel (`socket`, `apns`, `fcm`,
    /// `webpush`, `email`) to whether it is wanted. What is left out is wanted. Emergencies ask nobody.
    #[serde(default)]
    #[schema(value_type = Object, example = json!({"programme": {"email": false}}))]
    categories: Choices,
    /// Most notifications of a lane (`standard`, `promotional`) in 24 hours; the installation's when left out.
    #[serde(default)]
    #[schema(value_type = Object, example = json!({"promotional": 1}))]
    caps: BTreeMap<Lane, u32>,
    /// Minutes before the start of starred events, of the installation's choices. `null`: the installation's; `[]`: none.
    #[schema(example = json!([30, 10]))]
    reminder_minutes: Option<Vec<u32>>,
    /// Local time of one mail a day with what they have not read. `null`: none.
    #[schema(example = "09:00")]
    digest: Option<String>,
}

/// Hours of the day, which may go over midnight.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct QuietForm {
    /// `HH:MM` on their clocks.
    #[schema(example = "23:00")]
    from: String,
    /// `HH:MM` on their clocks, the first minute after.
    #[schema(example = "07:00")]
    to: String,
}

/// What somebody wants, as it is kept.
#[derive(Debug, Serialize, ToSchema)]
struct PreferencesView {
    #[serde(flatten)]
    wanted: PreferencesForm,
    /// Since when they consent to promotions: `/api/v1/me/promotions`.
    #[schema(value_type = Option<String>, format = DateTime)]
    promotions_since: Option<Timestamp>,
    /// When their next digest is due.
    #[schema(value_type = Option<String>, format = DateTime)]
    digest_at: Option<Timestamp>,
    /// Minutes that can be chosen.
    #[schema(example = json!([5, 10, 15, 30, 60, 120, 1440]))]
    reminder_choices: Vec<u32>,
}

/// A consent to promotions, or its withdrawal.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ConsentForm {
    /// Whether promotions are wanted.
    granted: bool,
    /// Which version of the wording they saw. 1 to 64 characters.
    #[schema(example = "2026-07")]
    wording_version: String,
    /// How they said it, such as `app`. 1 to 64 characters.
    #[schema(example = "app")]
    means: String,
}

/// A consent to promotions, or its withdrawal, as it is kept for good.
#[derive(Debug, Serialize, ToSchema)]
struct ConsentView {
    granted: bool,
    wording_version: String,
    means: String,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

/// Minutes before the start of one event.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RemindForm {
    /// Of the installation's choices. `null`: as for other events; `[]`: none.
    #[schema(example = json!([60]))]
    minutes: Option<Vec<u32>>,
}

/// The rule of lead times.
const CHOICE: Rule = Rule::Own(
    "choice",
    "must be among the installation's choices (reminder_choices), each once",
    "يجب أن يكون من الخيارات المتاحة (reminder_choices) دون تكرار",
);

/// The rule of caps.
const CAPPED: Rule = Rule::Own(
    "lane",
    "only the lanes standard and promotional can be capped",
    "لا يمكن تحديد عدد إلا للمسارين standard وpromotional",
);

impl PreferencesForm {
    /// # Errors
    /// [`Code::ValidationFailed`] with every value that is wrong.
    fn check(self, app: &App) -> Result<Wanted, ApiError> {
        let mut checks = Checks::default();
        let zone = self.time_zone.as_deref().unwrap_or(&app.config.festival.time_zone);
        checks.ensure(Zone::new(zone).is_ok(), "/time_zone", Rule::Unknown("IANA time zone"));
        let quiet = self.quiet_hours.as_ref().map(|quiet| {
            let from = clock(&mut checks, "/quiet_hours/from", &quiet.from);
            let to = clock(&mut checks, "/quiet_hours/to", &quiet.to);
            checks.ensure(from != to, "/quiet_hours/to", Rule::Malformed("another time than from"));
            (minute(from), minute(to))
        });
        for (lane, cap) in &self.caps {
            let pointer = format!("/caps/{lane}");
            checks.ensure(matches!(lane, Lane::Standard | Lane::Promotional), &pointer, CAPPED);
            checks.range(&pointer, *cap, 1..=CAP_MAX);
        }
        check_minutes(app, &mut checks, "/reminder_minutes", self.reminder_minutes.as_deref());
        let digest = self.digest.as_deref().map(|text| clock(&mut checks, "/digest", text));
        checks.finish()?;
        let kept = Kept {
            choices: self.categories,
            quiet,
            time_zone: zone.to_owned(),
            caps: self.caps,
            reminder_minutes: self.reminder_minutes,
            digest_minute: digest.map(minute),
            ..Kept::default()
        };
        Ok(Wanted { kept, language: self.language, digest })
    }
}

fn check_minutes(app: &App, checks: &mut Checks, pointer: &str, minutes: Option<&[u32]>) {
    let minutes = minutes.unwrap_or_default();
    checks.ensure(minutes.len() <= MINUTES_MAX, pointer, Rule::TooLong(MINUTES_MAX));
    let known = |index: usize| {
        app.reminder_choices.contains(&minutes[index]) && !minutes[..index].contains(&minutes[index])
    };
    checks.ensure((0..minutes.len()).all(known), pointer, CHOICE);
}

/// `HH:MM`; midnight for what is none, which is noted.
fn clock(checks: &mut Checks, pointer: &str, text: &str) -> Time {
    let time = Some(text).filter(|text| text.len() == 5).and_then(|text| Time::strptime("%H:%M", text).ok());
    checks.ensure(time.is_some(), pointer, Rule::Malformed("a time such as 23:00"));
    time.unwrap_or(Time::midnight())
}

fn minute(time: Time) -> u16 {
    u16::from(time.hour().unsigned_abs()) * 60 + u16::from(time.minute().unsigned_abs())
}

fn shown(minute: u16) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

fn view(app: &App, kept: Kept, language: Language) -> PreferencesView {
    let zone = kept.zone(&preferences::festival_zone(app)).name().to_owned();
    PreferencesView {
        promotions_since: kept.promotions_since,
        digest_at: kept.digest_at,
        reminder_choices: app.reminder_choices.clone(),
        wanted: PreferencesForm {
            language: Some(language),
            time_zone: Some(zone),
            quiet_hours: kept.quiet.map(|(from, to)| QuietForm { from: shown(from), to: shown(to) }),
            categories: kept.choices,
            caps: kept.caps,
            reminder_minutes: kept.reminder_minutes,
            digest: kept.digest_minute.map(shown),
        },
    }
}

impl From<Consent> for ConsentView {
    fn from(consent: Consent) -> Self {
        let Consent { granted, wording_version, means, at } = consent;
        Self { granted, wording_version, means, at }
    }
}

impl From<PreferencesError> for ApiError {
    fn from(error: PreferencesError) -> Self {
        match error {
            PreferencesError::Raced => Self::new(Code::PreconditionFailed).detail(error),
            PreferencesError::NotStarred => Self::new(Code::NotFound).detail(error),
            PreferencesError::Store(cause) => cause.into(),
        }
    }
}

/// What the caller wants.
#[utoipa::path(get, path = "/api/v1/me/preferences", tag = "me", security(("bearer" = [])),
    responses((status = 200, description = "The preferences", body = Envelope<PreferencesView>)))]
async fn show(State(app): State<App>, Member(caller): Member) -> Result<Answer, ApiError> {
    let user = caller.user_id;
    let kept = kept_preferences::of_users(&app.store, &[user]).await?.remove(&user).unwrap_or_default();
    let language = preferences::language(&app, user).await?;
    let etag = ETag::of("preferences", user, kept.version);
    Ok(Answer::ok(&view(&app, kept, language))?.etag(&etag))
}

/// Replaces what the caller wants, as a whole. It counts for what is planned from now on.
#[utoipa::path(put, path = "/api/v1/me/preferences", tag = "me", security(("bearer" = [])),
    request_body = PreferencesForm, responses(
        (status = 200, description = "The preferences", body = Envelope<PreferencesView>),
        (status = 412, description = "`precondition_failed`")))]
async fn replace(
    State(app): State<App>,
    Member(caller): Member,
    once: Once,
    Json(form): Json<PreferencesForm>,
) -> Result<Answer, ApiError> {
    let wanted = form.check(&app)?;
    let told = wanted.language;
    let mut work = begin!(once, &app, &caller);
    let kept = preferences::replace(&app, &mut work.tx, caller.user_id, wanted).await?;
    let language = match told {
        Some(language) => language,
        None => preferences::language(&app, caller.user_id).await?,
    };
    let etag = ETag::of("preferences", caller.user_id, kept.version);
    work.finish(&app, Answer::ok(&view(&app, kept, language))?.etag(&etag)).await
}

/// The record of the caller's consents to promotions, the newest first. The newest one counts; without one, nothing
/// promotional is sent.
#[utoipa::path(get, path = "/api/v1/me/promotions", tag = "me", security(("bearer" = [])),
    responses((status = 200, description = "The record", body = Envelope<Vec<ConsentView>>)))]
async fn consents(State(app): State<App>, Member(caller): Member) -> Result<Answer, ApiError> {
    let record = kept_preferences::consents(&app.store, caller.user_id).await?;
    Answer::ok(&record.into_iter().map(ConsentView::from).collect::<Vec<_>>())
}

/// Records that the caller consents to promotions, or withdraws it: when, how, and which wording they saw.
#[utoipa::path(post, path = "/api/v1/me/promotions", tag = "me", security(("bearer" = [])),
    request_body = ConsentForm, responses(
        (status = 200, description = "It is recorded", body = Envelope<ConsentView>),
        (status = 412, description = "`precondition_failed`")))]
async fn consent(
    State(app): State<App>,
    Member(caller): Member,
    once: Once,
    Json(form): Json<ConsentForm>,
) -> Result<Answer, ApiError> {
    let mut checks = Checks::default();
    checks.text("/wording_version", &form.wording_version, 1..=64);
    checks.text("/means", &form.means, 1..=64);
    checks.finish()?;
    let ConsentForm { granted, wording_version, means } = form;
    let consent = Consent { granted, wording_version, means, at: app.clock.now() };
    let mut work = begin!(once, &app, &caller);
    preferences::consent(&app, &mut work.tx, caller.user_id, &consent).await?;
    work.finish(&app, Answer::ok(&ConsentView::from(consent))?).await
}

/// Chooses how long before its start the caller is reminded of one event that they starred.
#[utoipa::path(put, path = "/api/v1/events/{id}/star/reminders", tag = "programme", security(("bearer" = [])),
    params(("id" = i64, Path, example = 1)), request_body = RemindForm,
    responses((status = 200, description = "It is chosen")))]
async fn remind(
    State(app): State<App>,
    Member(caller): Member,
    Path(id): Path<EventId>,
    once: Once,
    Json(form): Json<RemindForm>,
) -> Result<Answer, ApiError> {
    let mut checks = Checks::default();
    check_minutes(&app, &mut checks, "/minutes", form.minutes.as_deref());
    checks.finish()?;
    let mut work = begin!(once, &app, &caller);
    preferences::set_star_minutes(&mut work.tx, caller.user_id, id, form.minutes.as_deref()).await?;
    let answer = Answer::ok(&serde_json::json!({ "event_id": id, "minutes": form.minutes }))?;
    work.finish(&app, answer).await
}
