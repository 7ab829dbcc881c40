//! Messages, clocks and waiting for the tests of the channels.

use std::sync::Arc;
use std::time::Duration;

use domain::{
    Action, ChangeId, Channel, DeliveryId, Lane, Language, ManualClock, NotificationId, NotificationKind,
};
use domain::{Timestamp, UserId};
use serde_json::json;
use tokio::task::JoinSet;
use workers::gateway::{Gateway, Outcome, Outgoing, Verdict};

/// When the tests take place.
pub(crate) fn now() -> Timestamp {
    "2026-07-15T20:00:00Z".parse().unwrap()
}

/// A clock that shows [`now`].
pub(crate) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(now()))
}

/// A message in Arabic and English to `target`; its ids derive from `number`.
pub(crate) fn message(number: u8, lane: Lane, target_kind: &str, target: &str) -> Outgoing {
    let notification_id = NotificationId::of(ChangeId::at(now(), [number; 10]));
    Outgoing {
        delivery_id: DeliveryId::of(notification_id, UserId(7), Channel::Apns, target),
        notification_id,
        thread_id: notification_id,
        kind: NotificationKind::EventMoved,
        lane,
        target: target.to_owned(),
        target_kind: target_kind.to_owned(),
        platform: None,
        registered_at: Some(now() - Duration::from_hours(24)),
        language: Language::Ar,
        title: "تغيّر موعد الحفل".to_owned(),
        body: "تبدأ «أم كلثوم» الساعة 21:30 بدلًا من 21:00".to_owned(),
        title_other: "The concert has moved".to_owned(),
        body_other: "\"Umm Kulthum\" starts at 21:30 instead of 21:00".to_owned(),
        data: json!({ "event_id": 17 }),
        receipt_code: "c0de-c0de".to_owned(),
        bounce_local: "b+0123.4567".to_owned(),
        unsubscribe_token: "7.89ab".to_owned(),
        expires_at: now() + Duration::from_hours(2),
        attempt: 1,
    }
}

/// The verdict of an outcome as a word: `accepted` or the action.
pub(crate) fn word(outcome: &Outcome) -> &'static str {
    match outcome.verdict {
        Verdict::Accepted => "accepted",
        Verdict::Refused(action) => Action::as_str(action),
    }
}

/// Sends all messages at once.
pub(crate) async fn send_all(gateway: &Arc<impl Gateway + 'static>, messages: Vec<Outgoing>) -> Vec<Outcome> {
    let mut tasks = JoinSet::new();
    for message in messages {
        let gateway = Arc::clone(gateway);
        tasks.spawn(async move { gateway.send(&message).await });
    }
    tasks.join_all().await
}

/// Waits until `condition` holds, at most ten seconds.
pub(crate) async fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
