//! What a mail relay hands in.

use std::time::Duration;

use domain::{
    Audience, ChangeId, Channel, DeliveryId, EvidenceKind, Lane, Language, LocalizedText, NotificationId,
    NotificationKind, Role, UserId, bounce_local,
};
use reqwest::Method;
use serde_json::json;
use store::deliveries::{self, NewDelivery};
use store::evidence::{self, NewEvidence, RecordOutcome};
use store::notifications::{self, Notification};
use store::recipients::NewRecipient;
use store::{Engine, audience};

use crate::support::{TestApi, both_engines, send};

both_engines!(
    a_report_becomes_evidence_and_a_dead_address_is_set_aside,
    nobody_can_bounce_what_is_not_theirs,
);

/// A report as a mail system writes it, to `to`.
fn report(to: &str, action: &str, status: &str) -> String {
    format!(
        "Return-Path: <>\r\nTo: {to}\r\nSubject: Report\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; \
         report-type=delivery-status; boundary=\"B\"\r\n\r\n--B\r\nContent-Type: text/plain\r\n\r\nSorry.\r\n--B\r\n\
         Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\nFinal-Recipient: rfc822; \
         x@example.org\r\nAction: {action}\r\nStatus: {status}\r\n\r\n--B--\r\n"
    )
}

/// A mail that was sent to that person.
async fn mail_to(api: &TestApi, name: &str) -> DeliveryId {
    let user = api.user(name, &[Role::Attendee]).await;
    let address = format!("{name}@example.com");
    let now = api.clock_now();
    let notification_id = NotificationId::of(ChangeId::at(now, [u8::try_from(user.0).unwrap(); 10]));
    let notification = Notification {
        id: notification_id,
        kind: NotificationKind::Announcement,
        lane: Lane::Standard,
        title: LocalizedText::english("Rain"),
        body: LocalizedText::english("It rains."),
        data: json!({}),
        audience: Audience::Users { user_ids: vec![user] },
        event_id: None,
        announcement_id: None,
        thread_id: notification_id,
        created_at: now,
        expires_at: now + Duration::from_hours(1),
    };
    let id = DeliveryId::of(notification.id, user, Channel::Email, &address);
    let delivery = NewDelivery {
        id,
        notification_id: notification.id,
        user_id: user,
        channel: Channel::Email,
        device_id: None,
        target: address,
        lane: Lane::Standard,
        language: Language::En,
        suppressed: None,
        queued_at: now,
        due_at: now,
        expires_at: notification.expires_at,
    };
    let mut tx = api.store.begin().await.unwrap();
    notifications::insert(&mut tx, &notification).await.unwrap();
    let person = NewRecipient {
        notification_id,
        user_id: user,
        language: Language::En,
        venue_id: None,
        notified_at: now,
    };
    deliveries::insert(&mut tx, &[person], &[delivery]).await.unwrap();
    tx.commit().await.unwrap();
    id
}

/// Hands a mail in, as a relay's pipe does.
async fn hand_in(api: &TestApi, recipient: Option<&str>, mail: String) -> String {
    let mut request = api.request(Method::POST, "/api/v1/mail/bounces");
    if let Some(recipient) = recipient {
        request = request.query(&[("recipient", recipient)]);
    }
    let answer = send(request.header("content-type", "message/rfc822").body(mail)).await;
    answer.data(200)["result"].as_str().unwrap().to_owned()
}

/// Whether mail to that person is held back.
async fn is_quarantined(api: &TestApi, name: &str) -> bool {
    let everyone = audience::page(&api.store, &Audience::Everyone, UserId(0), 100).await.unwrap();
    let address = format!("{name}@example.com");
    everyone.iter().find(|one| one.email == address).unwrap().email_quarantined
}

async fn a_report_becomes_evidence_and_a_dead_address_is_set_aside(engine: Engine) {
    let api = TestApi::start(engine).await;
    let [dead, full, policy, read] = [
        mail_to(&api, "dead").await,
        mail_to(&api, "full").await,
        mail_to(&api, "policy").await,
        mail_to(&api, "read").await,
    ];
    let to = |delivery| format!("{}@bounces.example", bounce_local(&api.receipt_key, delivery));

    assert_eq!(hand_in(&api, None, report(&to(dead), "delayed", "4.4.1")).await, "nothing");
    assert_eq!(hand_in(&api, None, report(&to(dead), "failed", "5.1.1")).await, "recorded");
    assert_eq!(hand_in(&api, None, report(&to(dead), "failed", "5.1.1")).await, "repeated");
    assert!(is_quarantined(&api, "dead").await);
    // a relay that keeps the address from the headers says it itself, in its own case
    let told = to(policy).to_uppercase();
    assert_eq!(hand_in(&api, Some(&told), report("undisclosed", "failed", "5.7.1")).await, "recorded");
    assert!(!is_quarantined(&api, "policy").await, "our reputation is nobody's address");
    assert_eq!(hand_in(&api, None, report(&to(read), "delivered", "2.0.0")).await, "recorded");
    assert_eq!(hand_in(&api, None, report(&to(full), "failed", "5.2.2")).await, "recorded");
    assert!(!is_quarantined(&api, "full").await, "a mailbox may be full once");
    for delivery in [dead, full, policy] {
        assert_eq!(state(&api, delivery).await, "bounced");
    }
    assert_eq!(state(&api, read).await, "delivered");
}

async fn state(api: &TestApi, delivery: DeliveryId) -> String {
    let mut tx = api.store.begin().await.unwrap();
    // telling a weaker fact changes nothing and answers with the state
    let fact = NewEvidence {
        delivery_id: delivery,
        kind: EvidenceKind::Accepted,
        source: "test".to_owned(),
        code: "asked".to_owned(),
        at: api.clock_now(),
    };
    match evidence::record(&mut tx, &fact, api.clock_now()).await.unwrap() {
        RecordOutcome::Applied { state } => state.to_string(),
        other => panic!("{other:?}"),
    }
}

async fn nobody_can_bounce_what_is_not_theirs(engine: Engine) {
    let api = TestApi::start(engine).await;
    let delivery = mail_to(&api, "amina").await;
    let local = bounce_local(&api.receipt_key, delivery);
    let forged = format!(
        "{}{}@bounces.example",
        &local[..local.len() - 1],
        if local.ends_with('0') { '1' } else { '0' }
    );
    assert_eq!(hand_in(&api, None, report(&forged, "failed", "5.1.1")).await, "not_ours");
    assert_eq!(hand_in(&api, None, report("amina@example.com", "failed", "5.1.1")).await, "not_ours");
    assert_eq!(
        hand_in(&api, Some(&local), "To: x\r\nSubject: Away\r\n\r\nI am away.\r\n".to_owned()).await,
        "nothing"
    );
    assert!(!is_quarantined(&api, "amina").await);
}
