//! Events and their conflicts as answers show them.

use domain::{
    CategoryId, Conflict, ConflictRule, EventId, EventStatus, PerformerId, Severity, Timestamp, VenueId,
};
use serde::Serialize;
use store::events::Event;
use store::venues::Venue;
use utoipa::ToSchema;

use crate::answer::Answer;
use crate::code::Code;
use crate::error::ApiError;
use crate::etag::ETag;
use crate::fault::Rule;
use crate::http::shown::{Shown, TextView};
use crate::ops::write_event::EventError;

/// An event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventView {
    /// Its id.
    #[schema(value_type = i64, example = 1)]
    id: EventId,
    /// Its name for other systems, which survives edits.
    #[schema(example = "36b973e6-6203-4506-9317-4959d04ce0d0")]
    guid: String,
    /// Its title.
    title: TextView,
    /// Markdown; may be empty.
    description: TextView,
    /// First instant, in UTC.
    #[schema(value_type = String, example = "2026-07-15T20:00:00Z")]
    start_time: Timestamp,
    /// First instant after it, in UTC.
    #[schema(value_type = String, example = "2026-07-15T21:30:00Z")]
    end_time: Timestamp,
    /// IANA zone in which its times were chosen.
    #[schema(example = "Africa/Cairo")]
    timezone: String,
    /// The start as clocks there show it, with the offset.
    #[schema(example = "2026-07-15T23:00:00+03:00")]
    start_local: String,
    /// The end as clocks there show it, with the offset.
    #[schema(example = "2026-07-16T00:30:00+03:00")]
    end_local: String,
    /// `draft`, `published`, `live`, `completed`, `cancelled` or `postponed`.
    #[schema(value_type = String, example = "published")]
    status: EventStatus,
    /// Language of the event itself; empty when unknown.
    #[schema(example = "ar")]
    language: String,
    /// People it admits, where limited below the venue's capacity.
    capacity: Option<i64>,
    /// Where.
    venue: VenueBrief,
    /// What kind.
    category: Option<CategoryBrief>,
    /// By whom, in the order of the poster.
    performers: Vec<PerformerBrief>,
    /// Rises by one with each change.
    #[schema(example = 3)]
    version: i64,
    /// When it was made.
    #[schema(value_type = String, example = "2026-05-01T09:00:00Z")]
    created_at: Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, example = "2026-05-01T09:00:00Z")]
    updated_at: Timestamp,
    /// In answers to writes: the conflicts that were accepted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    conflicts: Vec<ConflictView>,
}

/// A venue within an event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VenueBrief {
    /// Its id.
    #[schema(value_type = i64, example = 5)]
    id: VenueId,
    /// Its name.
    name: TextView,
    /// People it holds, where known.
    #[schema(example = 12000)]
    capacity: Option<i64>,
}

/// A category within an event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CategoryBrief {
    /// Its id.
    #[schema(value_type = i64, example = 2)]
    id: CategoryId,
    /// Its short name.
    #[schema(example = "concert")]
    slug: String,
    /// Its name.
    name: TextView,
    /// `#rrggbb`, where it has a colour.
    color: Option<String>,
}

/// A performer within an event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PerformerBrief {
    /// Its id.
    #[schema(value_type = i64, example = 9)]
    id: PerformerId,
    /// The name on the poster.
    name: TextView,
}

/// A broken rule of the timetable.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConflictView {
    /// `venue_overlap`, `performer_double_booking`, `capacity_above_venue` or `turnaround_too_short`.
    #[schema(value_type = String, example = "venue_overlap")]
    rule: ConflictRule,
    /// `error` (refused unless overridden) or `warning`.
    #[schema(value_type = String, example = "error")]
    severity: Severity,
    /// The event of the request; `null` when it is new.
    #[schema(value_type = Option<i64>, example = 17)]
    event_id: Option<EventId>,
    /// The other one; `null` for `capacity_above_venue`.
    #[schema(value_type = Option<i64>, example = 12)]
    other_id: Option<EventId>,
    /// Where.
    #[schema(value_type = i64, example = 5)]
    venue_id: VenueId,
    /// Who cannot be in two places.
    #[schema(value_type = Option<i64>)]
    performer_id: Option<PerformerId>,
    /// Minutes that are shared or lacking.
    #[schema(example = 30)]
    minutes: i64,
}

/// What a dry run found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DryRun {
    /// Whether the request would go through as it is.
    #[schema(example = false)]
    pub(crate) allowed: bool,
    /// What it would conflict with.
    pub(crate) conflicts: Vec<ConflictView>,
}

impl DryRun {
    /// Of conflicts that were found, accepted or not.
    pub(crate) fn new(conflicts: &[Conflict], accepted: bool) -> Self {
        let grave = conflicts.iter().any(|conflict| conflict.severity == Severity::Error);
        Self { allowed: accepted || !grave, conflicts: views(conflicts) }
    }
}

impl VenueBrief {
    /// The venue as `shown`.
    pub(crate) fn new(venue: &Venue, shown: Shown) -> Self {
        Self { id: venue.id, name: shown.text(&venue.plan.name), capacity: venue.plan.capacity }
    }
}

impl EventView {
    /// The event as `shown`.
    pub(crate) fn new(event: &Event, shown: Shown) -> Self {
        let (plan, slot) = (&event.plan, event.plan.slot);
        Self {
            id: event.id,
            guid: event.guid.clone(),
            title: shown.text(&plan.title),
            description: shown.text(&plan.description),
            start_time: slot.starts_at,
            end_time: slot.ends_at,
            timezone: plan.zone.name().to_owned(),
            start_local: plan.zone.local(slot.starts_at),
            end_local: plan.zone.local(slot.ends_at),
            status: event.status,
            language: plan.language.clone(),
            capacity: plan.capacity,
            venue: VenueBrief::new(&event.venue, shown),
            category: event.category.as_ref().map(|category| CategoryBrief {
                id: category.id,
                slug: category.plan.slug.clone(),
                name: shown.text(&category.plan.name),
                color: category.plan.color.clone(),
            }),
            performers: event
                .performers
                .iter()
                .map(|one| PerformerBrief { id: one.id, name: shown.text(&one.name) })
                .collect(),
            version: event.version,
            created_at: event.created_at,
            updated_at: event.updated_at,
            conflicts: Vec::new(),
        }
    }

    /// With the conflicts that a write accepted.
    pub(crate) fn with_conflicts(mut self, conflicts: &[Conflict]) -> Self {
        self.conflicts = views(conflicts);
        self
    }

    /// The tag of this representation: it changes with the event and with the names that it embeds.
    pub(crate) fn etag(&self, shown: Shown) -> ETag {
        let parts = (&self.venue, &self.category, &self.performers);
        shown.tag(ETag::of("event", self.id, self.version)).showing(&parts)
    }

    /// 200 with it and its tag.
    pub(crate) fn answer(&self, shown: Shown) -> Result<Answer, ApiError> {
        Ok(Answer::ok(self)?.etag(&self.etag(shown)))
    }
}

fn views(conflicts: &[Conflict]) -> Vec<ConflictView> {
    conflicts
        .iter()
        .map(|conflict| ConflictView {
            rule: conflict.rule,
            severity: conflict.severity,
            event_id: conflict.event_id,
            other_id: conflict.other_id,
            venue_id: conflict.venue_id,
            performer_id: conflict.performer_id,
            minutes: conflict.minutes,
        })
        .collect()
}

/// The error of an event that was not written.
pub(crate) fn refused(error: EventError, shown: Shown) -> ApiError {
    match error {
        EventError::NotFound(_) => ApiError::new(Code::NotFound),
        EventError::Stale(current) => {
            let view = EventView::new(&current, shown);
            ApiError::new(Code::PreconditionFailed).current(&view).etag(&view.etag(shown))
        }
        EventError::Unknown { pointer, noun, id } => {
            ApiError::invalid(pointer, Rule::Unknown(noun)).detail(format!("{noun} {id} does not exist"))
        }
        EventError::Conflicts(conflicts) => {
            let data = serde_json::json!({ "conflicts": views(&conflicts) });
            ApiError::new(Code::ScheduleConflict).current(&data)
        }
        EventError::Illegal(illegal) => {
            let data = serde_json::json!({
                "from": illegal.from, "to": illegal.to, "allowed": illegal.from.targets(),
            });
            ApiError::new(Code::IllegalTransition).detail(illegal).current(&data)
        }
        EventError::NotDraft(status) => {
            let suggestion =
                if status.targets().contains(&EventStatus::Cancelled) { "cancelled" } else { "" };
            let data = serde_json::json!({
                "status": status, "allowed": status.targets(),
                "suggestion": Some(suggestion).filter(|word| !word.is_empty()),
            });
            ApiError::new(Code::EventNotDraft).detail(EventError::NotDraft(status)).current(&data)
        }
        EventError::Store(cause) => ApiError::internal(cause),
    }
}
