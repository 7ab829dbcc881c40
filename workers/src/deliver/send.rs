//! From a recorded attempt to bytes: through a gateway, or for sockets through the change log.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use domain::{Action, Attributes, DeliveryId, NotificationId, PublicationId, Timestamp, Topic};
use serde_json::{Value, json};
use store::StoreError;
use store::deliveries::Sending;
use store::notifications::{self, Notification};
use streams::NewPublication;
use tracing::warn;
use uuid::Uuid;

use crate::app::App;
use crate::failure::chain;
use crate::gateway::{Outcome, Outgoing, Verdict};

/// The notifications of one page, loaded once each.
#[derive(Default)]
pub(super) struct Notifications {
    loaded: HashMap<NotificationId, Arc<Notification>>,
}

impl Notifications {
    /// Loads what `sending` is about.
    pub(super) async fn load(&mut self, app: &App, sending: &[Sending]) -> Result<(), StoreError> {
        for one in sending {
            if !self.loaded.contains_key(&one.notification_id)
                && let Some(found) = notifications::find(&app.store, one.notification_id).await?
            {
                self.loaded.insert(one.notification_id, Arc::new(found.notification));
            }
        }
        Ok(())
    }

    /// The notification of a delivery.
    pub(super) fn of(&self, sending: &Sending) -> Arc<Notification> {
        let found = self.loaded.get(&sending.notification_id);
        Arc::clone(found.expect("a delivery's notification cannot go before the delivery"))
    }
}

/// The delivery as its gateway takes it.
pub(super) fn outgoing(app: &App, sending: &Sending, notification: &Notification) -> Outgoing {
    let language = sending.language;
    let other = language.other();
    let (bounce_local, unsubscribe_token) = if sending.device_id.is_none() {
        let key = &app.receipt_key;
        (domain::bounce_local(key, sending.id), domain::unsubscribe_token(key, sending.user_id))
    } else {
        (String::new(), String::new())
    };
    Outgoing {
        delivery_id: sending.id,
        notification_id: notification.id,
        thread_id: notification.thread_id,
        kind: notification.kind,
        lane: notification.lane,
        target: sending.target.clone(),
        target_kind: if sending.target_kind.is_empty() {
            "email".to_owned()
        } else {
            sending.target_kind.clone()
        },
        platform: sending.platform,
        registered_at: sending.registered_at,
        language,
        title: notification.title.pick(language).to_owned(),
        body: notification.body.pick(language).to_owned(),
        title_other: notification.title.pick(other).to_owned(),
        body_other: notification.body.pick(other).to_owned(),
        data: notification.data.clone(),
        receipt_code: app.receipt_key.code(sending.id),
        bounce_local,
        unsubscribe_token,
        expires_at: sending.expires_at,
        attempt: sending.attempt,
    }
}

/// Publishes deliveries on their recipients' own topics, all in one append. Publication ids are made from the deliveries', so
/// that an append which is repeated reaches nobody twice.
pub(super) async fn publish(app: &App, sending: &[(Sending, Arc<Notification>)]) -> Outcome {
    let publications: Vec<NewPublication> =
        sending.iter().map(|(one, about)| publication(app, one, about)).collect();
    let (verdict, reason) = match app.log.append(&publications).await {
        Ok(_) => (Verdict::Accepted, "appended"),
        Err(cause) => {
            warn!(
                cause = chain(&cause),
                deliveries = sending.len(),
                "socket deliveries could not be published; they are repeated"
            );
            (Verdict::Refused(Action::Retry), "log_unavailable")
        }
    };
    Outcome {
        verdict,
        provider_id: None,
        status_code: None,
        reason: reason.to_owned(),
        retry_after: None,
        bytes_left: true,
    }
}

/// What a socket receives of a delivery.
pub(crate) fn socket_message(
    id: DeliveryId,
    receipt_code: &str,
    notification: &Notification,
    expires_at: Timestamp,
) -> Value {
    json!({
        "type": "notification",
        "notification_id": notification.id,
        "thread_id": notification.thread_id,
        "delivery_id": id,
        "receipt_code": receipt_code,
        "kind": notification.kind,
        "lane": notification.lane,
        "title": notification.title,
        "body": notification.body,
        "data": notification.data,
        "expires_at": expires_at,
    })
}

fn publication(app: &App, sending: &Sending, notification: &Notification) -> NewPublication {
    let code = app.receipt_key.code(sending.id);
    let data = socket_message(sending.id, &code, notification, sending.expires_at);
    let attributes = Attributes { delivery: Some(sending.id), ..Attributes::default() };
    NewPublication {
        id: PublicationId(Uuid::new_v5(&sending.id.0, b"socket")),
        topic: Topic::user(sending.user_id),
        data: Bytes::from(data.to_string()),
        lane: notification.lane,
        change: None,
        attributes: attributes.encode().map(Bytes::from),
        at: app.now(),
    }
}
