//! What organizers say: the form of an announcement, and its checks.

use std::time::Duration;

use domain::{
    Alert, AlertCategory, AlertCertainty, AlertSeverity, AlertUrgency, AnnouncementId, Audience, Lane,
    LocalizedText, MessageType, Timestamp, VenueId,
};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::error::ApiError;
use crate::fault::{Checks, Rule};
use crate::ops::announcements::Draft;
use crate::schema::Text;

/// Most users that an announcement is addressed to by id.
const USERS_MAX: usize = 1_000;
/// Most venues that an announcement is about.
const VENUES_MAX: usize = 100;

/// What is to be announced.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AnnouncementForm {
    /// Headline, in Arabic, English or both.
    #[schema(value_type = Text, example = json!({"ar": "عاصفة رملية", "en": "Sandstorm"}))]
    title: LocalizedText,
    /// Text, in Arabic, English or both.
    #[schema(value_type = Text, example = json!({"ar": "توجهوا إلى القاعة ب", "en": "Go to hall B now"}))]
    body: LocalizedText,
    /// `emergency`, `transactional`, `standard` or `promotional`.
    #[schema(value_type = String, example = "emergency")]
    lane: Lane,
    /// `{"kind":"everyone"}`, `{"kind":"event","event_id":17}`, `{"kind":"venue","venue_id":5}`,
    /// `{"kind":"users","user_ids":[4]}` (at most 1,000), `{"kind":"staff"}`, or `{"kind":"reached","notification_id":"…"}` for
    /// whom an earlier notification may have reached.
    #[schema(value_type = Object, example = json!({"kind": "everyone"}))]
    audience: Audience,
    /// When it is of no more use: in the future, at most 30 days ahead.
    #[schema(value_type = Option<String>, format = DateTime, example = "2026-07-15T13:00:00Z")]
    expires_at: Option<Timestamp>,
    /// The same as seconds from now; one of the two, or neither for the configured time.
    #[schema(example = 3600)]
    ttl_seconds: Option<u64>,
    /// `alert` (the default), `update` or `all_clear`: the last two refer to an earlier one and take its place on the phones;
    /// what of that one has not left is withdrawn.
    #[schema(value_type = Option<String>, example = "alert")]
    message_type: Option<MessageType>,
    /// The announcement that it updates or ends.
    #[schema(value_type = Option<i64>)]
    references: Option<AnnouncementId>,
    /// CAP: `geo`, `met`, `safety` (the default), `security`, `rescue`, `fire`, `health`, `env`, `transport`, `infra`, `cbrne`
    /// or `other`.
    #[schema(value_type = Option<String>, example = "met")]
    category: Option<AlertCategory>,
    /// CAP: `extreme`, `severe` (the default of emergencies), `moderate`, `minor` or `unknown`.
    #[schema(value_type = Option<String>, example = "severe")]
    severity: Option<AlertSeverity>,
    /// CAP: `immediate` (the default of emergencies), `expected`, `future`, `past` or `unknown`.
    #[schema(value_type = Option<String>, example = "immediate")]
    urgency: Option<AlertUrgency>,
    /// CAP: `observed` (the default of emergencies), `likely`, `possible`, `unlikely` or `unknown`.
    #[schema(value_type = Option<String>, example = "observed")]
    certainty: Option<AlertCertainty>,
    /// The area: ids of the venues that it is about, at most 100. None: the whole festival.
    #[serde(default)]
    #[schema(value_type = Vec<i64>, example = json!([5]))]
    venue_ids: Vec<VenueId>,
    /// What people should do, in Arabic, English or both.
    #[schema(value_type = Option<Text>)]
    instructions: Option<LocalizedText>,
    /// Whether it is only practised: it goes to the staff alone, and is marked wherever it is shown.
    #[serde(default)]
    drill: bool,
}

impl AnnouncementForm {
    /// # Errors
    /// [`Code::ValidationFailed`](crate::code::Code::ValidationFailed) with every value that is wrong.
    pub(super) fn check(self, app: &App) -> Result<Draft, ApiError> {
        let rules = &app.config.announcements;
        let mut checks = Checks::default();
        checks.localized("/title", &self.title, 1..=rules.title_chars_max);
        checks.localized("/body", &self.body, 1..=rules.body_chars_max);
        let mut audience = self.audience.clone();
        if let Audience::Users { user_ids } = &mut audience {
            user_ids.sort_unstable();
            user_ids.dedup();
            checks.ensure(!user_ids.is_empty(), "/audience/user_ids", Rule::Required);
            checks.ensure(user_ids.len() <= USERS_MAX, "/audience/user_ids", Rule::TooLong(USERS_MAX));
        }
        let alert = self.alert(&mut checks, rules.body_chars_max);
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
        Ok(Draft { lane: self.lane, title: self.title, body: self.body, audience, expires_at, alert })
    }

    fn alert(&self, checks: &mut Checks, chars_max: usize) -> Alert {
        let default = Alert::of(self.lane);
        let message_type = self.message_type.unwrap_or(default.message_type);
        match message_type {
            MessageType::Alert => checks.ensure(self.references.is_none(), "/references", REFERS),
            MessageType::Update | MessageType::AllClear => {
                checks.ensure(self.references.is_some(), "/references", Rule::Required);
            }
            MessageType::Recall => checks.add("/message_type", RECALLS),
        }
        checks.ensure(self.venue_ids.len() <= VENUES_MAX, "/venue_ids", Rule::TooLong(VENUES_MAX));
        if let Some(instructions) = &self.instructions {
            checks.localized("/instructions", instructions, 1..=chars_max);
        }
        let mut venue_ids = self.venue_ids.clone();
        venue_ids.sort_unstable();
        venue_ids.dedup();
        Alert {
            message_type,
            references: self.references,
            category: self.category.unwrap_or(default.category),
            severity: self.severity.unwrap_or(default.severity),
            urgency: self.urgency.unwrap_or(default.urgency),
            certainty: self.certainty.unwrap_or(default.certainty),
            venue_ids,
            instructions: self.instructions.clone(),
            drill: self.drill,
        }
    }
}

/// The rule of what refers to an earlier announcement.
const REFERS: Rule = Rule::Own(
    "refers",
    "only an update or an all-clear refers to an earlier announcement",
    "لا يشير إلى إعلان سابق إلا التحديث أو إعلان زوال الخطر",
);

/// The rule of how a recall is made.
const RECALLS: Rule = Rule::Own(
    "recalls",
    "a recall is made by POST /api/v1/announcements/{id}/recall",
    "يُنشأ السحب عبر POST /api/v1/announcements/{id}/recall",
);

/// The rule of the two ways to say when it ends.
const EITHER: Rule = Rule::Own(
    "either",
    "give expires_at or ttl_seconds, not both",
    "أعطِ expires_at أو ttl_seconds وليس كليهما",
);
