//! `/api/v1/templates`: what a message would look like before it is sent.

use axum::extract::State;
use domain::{
    Channel, EventId, Lane, Language, LocalizedText, NotificationKind, PreviewDraft, PreviewedMessage,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::answer::Answer;
use crate::app::App;
use crate::error::ApiError;
use crate::extract::{Announcer, Json};
use crate::fault::{Checks, Rule};
use crate::schema::{Envelope, Text};

/// Minutes before a start, or unread messages, that a preview is made for at most: a week.
const COUNT_MAX: u32 = 10_080;

/// The routes of this file.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(preview))
}

/// A message to look at.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PreviewForm {
    /// `announcement`, `event_moved`, `event_cancelled`, `event_venue_changed`, `event_reminder` or `digest`.
    #[schema(value_type = String, example = "announcement")]
    kind: NotificationKind,
    /// How urgent it would be; `standard` when nothing is said.
    #[schema(value_type = Option<String>, example = "emergency")]
    lane: Option<Lane>,
    /// Headline of an announcement.
    #[schema(value_type = Option<Text>, example = json!({"ar": "عاصفة رملية", "en": "Sandstorm"}))]
    title: Option<LocalizedText>,
    /// Text of an announcement.
    #[schema(value_type = Option<Text>, example = json!({"ar": "توجهوا إلى القاعة ب", "en": "Go to hall B now"}))]
    body: Option<LocalizedText>,
    /// What news or a reminder is about; a sample when nothing is said.
    #[schema(value_type = Option<i64>, example = 17)]
    event_id: Option<EventId>,
    /// Minutes before the start, of a reminder; messages not read, of a digest. 0 to 10,080.
    #[schema(example = 30)]
    count: Option<u32>,
}

/// How a message leaves through one channel, in one language.
#[derive(Debug, Serialize, ToSchema)]
struct PreviewView {
    /// The channel.
    #[schema(value_type = String, example = "apns")]
    channel: Channel,
    /// The reader's language.
    #[schema(value_type = String, example = "ar")]
    language: Language,
    /// The direction of the reader's language: `rtl` or `ltr`.
    #[schema(example = "rtl")]
    direction: &'static str,
    /// Headline as it is shown.
    title: String,
    /// Text as it is written, before it is shortened.
    body: String,
    /// What leaves, without addresses. Of a mail: its HTML part.
    payload: String,
    /// How many bytes of it count.
    #[schema(example = 512)]
    bytes: usize,
    /// How many may; `null` where there is no limit.
    #[schema(example = 4096)]
    bytes_max: Option<usize>,
    /// Whether the text loses its end to fit.
    shortened: bool,
    /// Whether it fits, shortened if need be.
    fits: bool,
}

impl From<PreviewedMessage> for PreviewView {
    fn from(message: PreviewedMessage) -> Self {
        let PreviewedMessage { channel, language, title, body, payload, bytes, bytes_max, shortened, fits } =
            message;
        let direction = language.direction();
        Self { channel, language, direction, title, body, payload, bytes, bytes_max, shortened, fits }
    }
}

impl PreviewForm {
    /// # Errors
    /// [`Code::ValidationFailed`](crate::code::Code::ValidationFailed) with every value that is wrong.
    async fn check(self, app: &App) -> Result<PreviewDraft, ApiError> {
        let rules = &app.config.announcements;
        let announces = self.kind == NotificationKind::Announcement;
        let (title, body) = (self.title.unwrap_or_default(), self.body.unwrap_or_default());
        let least = usize::from(announces);
        let mut checks = Checks::default();
        checks.localized("/title", &title, least..=rules.title_chars_max);
        checks.localized("/body", &body, least..=rules.body_chars_max);
        let count = self.count.unwrap_or(30);
        checks.range("/count", count, 0..=COUNT_MAX);
        let mut event = None;
        if let Some(id) = self.event_id {
            event = store::events::get_by_id(&app.store, id).await?.map(|found| found.snapshot());
            checks.ensure(event.is_some(), "/event_id", Rule::Unknown("event"));
        }
        checks.finish()?;
        let lane = self.lane.unwrap_or(Lane::Standard);
        Ok(PreviewDraft { kind: self.kind, lane, title, body, event, count })
    }
}

/// Shows a message as it would leave, in Arabic and English on every channel, with its bytes against the provider's
/// limit. Nothing is sent or stored.
#[utoipa::path(post, path = "/api/v1/templates/preview", tag = "templates", security(("bearer" = [])),
    request_body = PreviewForm,
    responses((status = 200, description = "The message, channel by channel", body = Envelope<Vec<PreviewView>>)))]
async fn preview(
    State(app): State<App>,
    Announcer(_caller): Announcer,
    Json(form): Json<PreviewForm>,
) -> Result<Answer, ApiError> {
    let draft = form.check(&app).await?;
    let shown: Vec<PreviewView> = app.previewer.show(&draft).into_iter().map(PreviewView::from).collect();
    Answer::ok(&shown)
}
