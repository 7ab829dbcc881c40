//! Conflicts of the timetable: who and what cannot be in two places, or in one place twice.
//!
//! Slots are half-open and compared as UTC instants, never by calendar day: a show at 23:00 meets one at 00:30.
//! A stored event and a candidate go through the same rules as a whole timetable.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{EventId, EventStatus, PerformerId, Timestamp, VenueId};

/// A half-open interval: `starts_at` belongs to it, `ends_at` does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Slot {
    /// First instant.
    pub starts_at: Timestamp,
    /// First instant after it.
    pub ends_at: Timestamp,
}

/// Two instants that make no slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SlotError {
    /// The end is not after the start.
    #[error("the end must be after the start")]
    EndNotAfterStart,
    /// Longer than [`Slot::LENGTH_MAX`].
    #[error("an event lasts at most 31 days")]
    TooLong,
    /// Before 1970 or after 2200.
    #[error("the years are 1970 to 2200")]
    OutOfRange,
}

impl Slot {
    /// The longest slot: an exhibition of a month.
    pub const LENGTH_MAX: Duration = Duration::from_hours(31 * 24);

    /// Checks and takes both ends.
    ///
    /// # Errors
    /// [`SlotError`] says which rule they break.
    pub fn new(starts_at: Timestamp, ends_at: Timestamp) -> Result<Self, SlotError> {
        let years = 0..7_258_118_400_i64; // seconds from 1970 to 2200
        if !years.contains(&starts_at.as_second()) || !years.contains(&ends_at.as_second()) {
            Err(SlotError::OutOfRange)
        } else if ends_at <= starts_at {
            Err(SlotError::EndNotAfterStart)
        } else if ends_at.since(starts_at) > Self::LENGTH_MAX {
            Err(SlotError::TooLong)
        } else {
            Ok(Self { starts_at, ends_at })
        }
    }

    /// Whether an instant belongs to both.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.starts_at < other.ends_at && other.starts_at < self.ends_at
    }

    /// Whether `instant` belongs to it.
    pub fn contains(&self, instant: Timestamp) -> bool {
        self.starts_at <= instant && instant < self.ends_at
    }

    /// With `before` and `after` around it.
    #[must_use]
    pub fn widened(&self, before: Duration, after: Duration) -> Self {
        Self { starts_at: self.starts_at - before, ends_at: self.ends_at + after }
    }

    /// Minutes that both share, rounded up; 0 when they do not meet.
    pub fn shared_minutes(&self, other: &Self) -> i64 {
        let shared = self.ends_at.min(other.ends_at).since(self.starts_at.max(other.starts_at));
        i64::try_from(shared.as_micros().div_ceil(60_000_000)).unwrap_or(i64::MAX)
    }
}

/// An event as the rules see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Booking {
    /// Its id; `None` for one that is not stored yet.
    pub event_id: Option<EventId>,
    /// Drafts only warn; the cancelled and postponed do not count.
    pub status: EventStatus,
    /// Where, and what that place needs.
    pub venue: VenueRules,
    /// When.
    pub slot: Slot,
    /// By whom.
    pub performers: Vec<PerformerId>,
    /// People it admits.
    pub capacity: Option<i64>,
}

/// What a venue asks of its timetable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VenueRules {
    /// Which venue.
    pub id: VenueId,
    /// People it holds, where known.
    pub capacity: Option<i64>,
    /// Time before each event to set up.
    pub setup: Duration,
    /// Time after each event to clear.
    pub turnaround: Duration,
}

/// A rule of the timetable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConflictRule {
    /// Two events share time on one venue.
    VenueOverlap,
    /// One performer is at two events.
    PerformerDoubleBooking,
    /// The event admits more people than the venue holds.
    CapacityAboveVenue,
    /// There is less time between two events than the venue needs.
    TurnaroundTooShort,
}

/// What a conflict means for the request that causes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Shown; the request goes through.
    Warning,
    /// The request is refused unless it is overridden with a reason.
    Error,
}

/// A broken rule.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Conflict {
    /// Which rule.
    pub rule: ConflictRule,
    /// How grave.
    pub severity: Severity,
    /// The event that was examined; `None` when it is not stored yet.
    pub event_id: Option<EventId>,
    /// The other one; `None` for [`ConflictRule::CapacityAboveVenue`].
    pub other_id: Option<EventId>,
    /// Where the examined event takes place.
    pub venue_id: VenueId,
    /// Who cannot be in two places.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub performer_id: Option<PerformerId>,
    /// Minutes that are shared (rounded up) or lacking; 0 for the capacity.
    pub minutes: i64,
}

/// The conflicts of `candidate` with `others`, the gravest first. Itself among the others is passed over.
pub fn conflicts_of(candidate: &Booking, others: &[Booking]) -> Vec<Conflict> {
    let mut found: Vec<_> = capacity_conflict(candidate).into_iter().collect();
    for other in others {
        if other.event_id.is_none() || other.event_id != candidate.event_id {
            pair_conflicts(candidate, other, &mut found);
        }
    }
    found.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.cmp(b)));
    found
}

/// The conflicts within a whole timetable, each pair once (the earlier start is the examined one): sorts by start
/// and compares each event with those that begin before its effective end.
pub fn conflicts_within(timetable: &[Booking]) -> Vec<Conflict> {
    let mut by_start: Vec<_> = timetable.iter().filter(|booking| booking.status.occupies()).collect();
    by_start.sort_by_key(|booking| (booking.slot.starts_at, booking.event_id));
    let setup_max = by_start.iter().map(|booking| booking.venue.setup).max().unwrap_or_default();
    let mut found = Vec::new();
    for (index, first) in by_start.iter().enumerate() {
        found.extend(capacity_conflict(first));
        let reach = first.slot.ends_at + first.venue.turnaround + setup_max;
        for second in by_start[index + 1..].iter().take_while(|second| second.slot.starts_at < reach) {
            pair_conflicts(first, second, &mut found);
        }
    }
    found.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.cmp(b)));
    found
}

fn capacity_conflict(booking: &Booking) -> Option<Conflict> {
    let (admitted, held) = (booking.capacity?, booking.venue.capacity?);
    (admitted > held && booking.status.occupies()).then(|| Conflict {
        rule: ConflictRule::CapacityAboveVenue,
        severity: severity(&[booking]),
        event_id: booking.event_id,
        other_id: None,
        venue_id: booking.venue.id,
        performer_id: None,
        minutes: 0,
    })
}

fn pair_conflicts(one: &Booking, other: &Booking, found: &mut Vec<Conflict>) {
    if !one.status.occupies() || !other.status.occupies() {
        return;
    }
    let conflict = |rule, severity, performer_id, minutes| Conflict {
        rule,
        severity,
        event_id: one.event_id,
        other_id: other.event_id,
        venue_id: one.venue.id,
        performer_id,
        minutes,
    };
    let shared = one.slot.shared_minutes(&other.slot);
    let overlap = one.slot.overlaps(&other.slot);
    if one.venue.id == other.venue.id {
        let widened = |booking: &Booking| booking.slot.widened(booking.venue.setup, booking.venue.turnaround);
        if overlap {
            found.push(conflict(ConflictRule::VenueOverlap, severity(&[one, other]), None, shared));
        } else if widened(one).overlaps(&widened(other)) {
            let lacking = widened(one).shared_minutes(&widened(other));
            found.push(conflict(ConflictRule::TurnaroundTooShort, Severity::Warning, None, lacking));
        }
    }
    if overlap {
        for performer in one.performers.iter().filter(|performer| other.performers.contains(performer)) {
            let severity = severity(&[one, other]);
            found.push(conflict(ConflictRule::PerformerDoubleBooking, severity, Some(*performer), shared));
        }
    }
}

/// What organizers still try out only warns.
fn severity(involved: &[&Booking]) -> Severity {
    let draft = involved.iter().any(|booking| booking.status == EventStatus::Draft);
    if draft { Severity::Warning } else { Severity::Error }
}

#[cfg(test)]
mod tests;
