//! What the people of a page want: who is reminded at all, what is left out with its cause, and what waits until
//! quiet hours are over.

use std::collections::HashMap;
use std::time::Duration;

use domain::{
    Channel, Lane, NotificationCategory, NotificationKind, Preferences, Timestamp, UserId, Wish, Zone,
};
use store::audience::Recipient;
use store::deliveries::NewDelivery;
use store::notifications::Notification;
use store::{StoreError, preferences};

use crate::app::App;
use crate::config;

/// Steps in which the end of quiet hours is spread: work items of a page at most.
const SPREAD_STEPS: u64 = 20;
/// What caps count over.
const CAP_SPAN: Duration = Duration::from_hours(24);

/// What the people of a page want.
pub(super) struct Wishes<'a> {
    notification: &'a Notification,
    rules: &'a config::Preferences,
    by_user: HashMap<UserId, Preferences>,
    had: HashMap<UserId, u32>,
    /// For a reminder: whom it concerns.
    reminded: Option<HashMap<UserId, bool>>,
}

impl<'a> Wishes<'a> {
    /// Asks for what concerns this notification: of an emergency nothing.
    pub(super) async fn load(
        app: &'a App,
        notification: &'a Notification,
        recipients: &[Recipient],
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let rules = &app.config.preferences;
        let mut wishes =
            Self { notification, rules, by_user: HashMap::new(), had: HashMap::new(), reminded: None };
        if notification.lane == Lane::Emergency {
            return Ok(wishes);
        }
        let users: Vec<UserId> = recipients.iter().map(|one| one.user_id).collect();
        let zone = Zone::utc();
        let kept = preferences::of_users(&app.store, &users).await?;
        wishes.by_user = kept.iter().map(|(user, kept)| (*user, kept.preferences(&zone))).collect();
        let has_cap = |one: &Preferences| one.caps.contains_key(&notification.lane);
        if rules.cap(notification.lane) > 0 || wishes.by_user.values().any(has_cap) {
            let since = now - CAP_SPAN;
            wishes.had =
                preferences::had(&app.store, &users, notification.lane, since, notification.id).await?;
        }
        if notification.kind == NotificationKind::EventReminder {
            // the programme may have changed since it was made
            let stands = store::reminders::stands(&app.store, notification.id).await?;
            let reminded = if stands { wishes.reminded(app, &users).await? } else { HashMap::new() };
            wishes.reminded = Some(reminded);
        }
        Ok(wishes)
    }

    async fn reminded(&self, app: &App, users: &[UserId]) -> Result<HashMap<UserId, bool>, StoreError> {
        let Some(event) = self.notification.event_id else { return Ok(HashMap::new()) };
        let minutes = self.notification.data["minutes"].as_u64().and_then(|one| u32::try_from(one).ok());
        let stars = preferences::star_minutes(&app.store, event, users).await?;
        let chosen = |user: &UserId| {
            let own = self.by_user.get(user).and_then(|one| one.reminder_minutes.as_ref());
            let chosen = stars.get(user).or(own).unwrap_or(&app.config.reminders.minutes);
            minutes.is_some_and(|minutes| chosen.contains(&minutes))
        };
        Ok(users.iter().map(|user| (*user, chosen(user))).collect())
    }

    /// Whether the notification is for them: a reminder only for who chose its time.
    pub(super) fn concerns(&self, user: UserId) -> bool {
        self.reminded.as_ref().is_none_or(|reminded| reminded.get(&user).copied().unwrap_or(false))
    }

    /// Whether the notification comes this way: a digest is a mail.
    pub(super) fn comes_by(&self, channel: Channel) -> bool {
        self.notification.kind != NotificationKind::Digest || channel == Channel::Email
    }

    /// Leaves a delivery out, or lets it wait, as its recipient wants.
    pub(super) fn apply(&self, delivery: &mut NewDelivery) {
        let lane = self.notification.lane;
        if delivery.suppressed.is_some() || lane == Lane::Emergency {
            return;
        }
        let mut wanted = self.by_user.get(&delivery.user_id).cloned().unwrap_or_default();
        wanted.promotions |= !self.rules.promotions_opt_in;
        let wish = Wish {
            category: NotificationCategory::of(self.notification.kind, lane),
            lane,
            channel: delivery.channel,
            had: self.had.get(&delivery.user_id).copied().unwrap_or(0),
            now: delivery.due_at,
            expires_at: delivery.expires_at,
        };
        match wanted.allow(wish, self.rules.cap(lane)) {
            Ok(at) if at == delivery.due_at => {}
            Ok(end) => delivery.due_at = self.spread(delivery.user_id, end, delivery.expires_at),
            Err(unwanted) => delivery.suppressed = Some(unwanted.as_str()),
        }
    }

    /// A moment after `end` of the user's own, but before the deadline.
    fn spread(&self, user: UserId, end: Timestamp, expires_at: Timestamp) -> Timestamp {
        let span = Duration::from_secs(self.rules.quiet_spread_seconds).min(expires_at.since(end) / 2);
        // neighbouring ids go to different steps
        let step = user.0.unsigned_abs().wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let step = u32::try_from(step % SPREAD_STEPS).expect("there are few steps");
        end + span * step / u32::try_from(SPREAD_STEPS).expect("there are few steps")
    }
}
