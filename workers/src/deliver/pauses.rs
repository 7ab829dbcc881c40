//! Lanes that stand still because our own configuration is wrong, and the single delivery that tries whether it was
//! mended.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use domain::{Channel, Lane, Timestamp};
use store::StoreError;
use store::lane_pauses::{self, LanePause};
use tracing::{error, info};

use crate::app::App;
use crate::metrics;

/// The lanes that stand still, as this process knows them; the table `lane_pauses` is what all processes know.
#[derive(Debug, Default)]
pub(crate) struct Pauses {
    known: Mutex<HashMap<(Channel, Lane), Known>>,
}

#[derive(Debug, Clone)]
struct Known {
    paused_at: Timestamp,
    retry_at: Timestamp,
    /// Whether an operator holds it: nothing tries by itself.
    held: bool,
    /// Whether a delivery is on its way that tries whether it was mended.
    probing: bool,
}

/// Whether a lane may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Permit {
    /// It may.
    Open,
    /// One delivery may, to see whether it was mended.
    Probe,
    /// It may not before the instant.
    Closed(Timestamp),
}

impl Pauses {
    /// Whether a lane may send. Who gets [`Permit::Probe`] has to call [`Pauses::probe_ended`].
    pub(crate) fn permit(&self, channel: Channel, lane: Lane, now: Timestamp) -> Permit {
        let mut known = self.known.lock().expect("no holder of this lock panics");
        match known.get_mut(&(channel, lane)) {
            None => Permit::Open,
            Some(pause) if pause.retry_at <= now && !pause.probing && !pause.held => {
                pause.probing = true;
                Permit::Probe
            }
            Some(pause) => Permit::Closed(pause.retry_at.max(now)),
        }
    }

    /// Whether a lane stands still, and until when.
    pub(crate) fn until(&self, channel: Channel, lane: Lane) -> Option<Timestamp> {
        let known = self.known.lock().expect("no holder of this lock panics");
        known.get(&(channel, lane)).map(|pause| pause.retry_at)
    }

    /// The probe is over, whatever it found.
    pub(crate) fn probe_ended(&self, channel: Channel, lane: Lane) {
        if let Some(pause) =
            self.known.lock().expect("no holder of this lock panics").get_mut(&(channel, lane))
        {
            pause.probing = false;
        }
    }

    /// Takes over what the table says, so that a lane which another process paused stands still here, and one that was
    /// resumed goes on.
    pub(crate) fn replace(&self, pauses: Vec<LanePause>) {
        let mut known = self.known.lock().expect("no holder of this lock panics");
        let before = std::mem::take(&mut *known);
        for pause in pauses {
            let key = (pause.channel, pause.lane);
            let probing = before.get(&key).is_some_and(|one| one.probing);
            let LanePause { paused_at, retry_at, held_by, .. } = pause;
            let held = held_by.is_some();
            known.insert(key, Known { paused_at, retry_at, held, probing });
        }
        metrics::lanes_paused(&known.keys().copied().collect::<Vec<_>>());
    }

    /// How long the next pause of a lane lasts: twice as long as it has stood still, within the limits.
    fn span(&self, key: (Channel, Lane), now: Timestamp, first: Duration, longest: Duration) -> Duration {
        let known = self.known.lock().expect("no holder of this lock panics");
        known.get(&key).map_or(first, |pause| now.since(pause.paused_at).clamp(first, longest))
    }
}

/// Stops a lane of a channel, or prolongs its stop.
pub(crate) async fn pause(app: &App, channel: Channel, lane: Lane, reason: &str) -> Result<(), StoreError> {
    let rules = &app.config.deliver;
    let now = app.now();
    let first = Duration::from_millis(rules.probe_ms);
    let span = app.pauses.span((channel, lane), now, first, Duration::from_millis(rules.probe_max_ms));
    let retry_at = now + span;
    let pause =
        LanePause { channel, lane, reason: reason.to_owned(), paused_at: now, retry_at, held_by: None };
    let mut tx = app.store.begin().await?;
    lane_pauses::set(&mut tx, &pause).await?;
    tx.commit().await?;
    if app.pauses.until(channel, lane).is_none() {
        error!(%channel, %lane, reason, "the lane {lane} of {channel} stands still: its configuration is wrong");
    }
    app.pauses.replace(lane_pauses::list(&app.store).await?);
    Ok(())
}

/// Lets one delivery of a lane that stands still try now whether it was mended.
pub(crate) async fn probe_now(app: &App, channel: Channel, lane: Lane) -> Result<(), StoreError> {
    let pauses = lane_pauses::list(&app.store).await?;
    let Some(pause) = pauses.into_iter().find(|one| (one.channel, one.lane) == (channel, lane)) else {
        return Ok(());
    };
    let mut tx = app.store.begin().await?;
    lane_pauses::set(&mut tx, &LanePause { retry_at: app.now(), ..pause }).await?;
    tx.commit().await?;
    app.pauses.replace(lane_pauses::list(&app.store).await?);
    Ok(())
}

/// Lets a lane go on.
pub(crate) async fn resume(app: &App, channel: Channel, lane: Lane) -> Result<(), StoreError> {
    let mut tx = app.store.begin().await?;
    lane_pauses::clear(&mut tx, channel, lane).await?;
    tx.commit().await?;
    app.pauses.replace(lane_pauses::list(&app.store).await?);
    info!(%channel, %lane, "the lane {lane} of {channel} goes on");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paused_lane_lets_one_probe_through_when_its_time_has_come() {
        let now: Timestamp = "2026-07-18T12:00:00Z".parse().unwrap();
        let retry_at = now + Duration::from_secs(2);
        let pauses = Pauses::default();
        pauses.replace(vec![LanePause {
            channel: Channel::Apns,
            lane: Lane::Standard,
            reason: "InvalidProviderToken".to_owned(),
            paused_at: now,
            retry_at,
            held_by: None,
        }]);
        assert_eq!(pauses.permit(Channel::Apns, Lane::Standard, now), Permit::Closed(retry_at));
        assert_eq!(pauses.permit(Channel::Apns, Lane::Emergency, now), Permit::Open);
        assert_eq!(pauses.permit(Channel::Apns, Lane::Standard, retry_at), Permit::Probe);
        assert_eq!(pauses.permit(Channel::Apns, Lane::Standard, retry_at), Permit::Closed(retry_at));
        pauses.probe_ended(Channel::Apns, Lane::Standard);
        assert_eq!(pauses.permit(Channel::Apns, Lane::Standard, retry_at), Permit::Probe);
        pauses.replace(Vec::new());
        assert_eq!(pauses.permit(Channel::Apns, Lane::Standard, now), Permit::Open);
    }
}
