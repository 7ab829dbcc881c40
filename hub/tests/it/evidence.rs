//! What clients confirm without a reply: by a message, and by the position with which they come back.

use std::time::Duration;

use bytes::Bytes;
use domain::{Attributes, ChangeId, Clock, DeliveryId, Lane, PublicationId, Topic};
use serde_json::{Value, json};
use streams::{NewPublication, QueueName};

use crate::client::Client;
use crate::harness::TestHub;

/// Publishes a notification for user 4; gives its offset.
async fn notify(hub: &TestHub, delivery: DeliveryId) -> u64 {
    let (topic, now) = (Topic::new("user:4").unwrap(), hub.ground.clock.now());
    let attributes = Attributes { delivery: Some(delivery), ..Attributes::default() };
    let publication = NewPublication {
        id: PublicationId::of(ChangeId::at(now, rand::random()), topic.as_str()),
        topic,
        data: Bytes::from_static(b"{}"),
        lane: Lane::Standard,
        change: None,
        attributes: attributes.encode().map(Bytes::from),
        at: now,
    };
    hub.ground.log.append(&[publication]).await.unwrap()[0].offset
}

fn delivery(number: u128) -> DeliveryId {
    DeliveryId(uuid::Uuid::from_u128(number))
}

/// The confirmations that wait for the workers, oldest first.
async fn confirmations(hub: &TestHub, count: usize) -> Vec<Value> {
    let queue = QueueName("receipts".into());
    let mut found = Vec::new();
    while found.len() < count {
        let wait = Duration::from_secs(10);
        let claimed = hub.ground.queue.claim(&queue, 100, Duration::from_mins(1), wait).await.unwrap();
        assert!(!claimed.is_empty(), "waited in vain for {count} confirmations: {found:?}");
        found.extend(claimed.iter().map(|item| serde_json::from_slice::<Value>(&item.body).unwrap()));
    }
    found.sort_by_key(|one| one["delivery_id"].to_string());
    found
}

#[tokio::test]
async fn a_position_confirms_what_lies_before_it_once() {
    let hub = TestHub::new().await;
    let mut client = Client::open(hub.address).await;
    let token = hub.ground.token(4);
    let epoch = client.connect(&token).await["subs"]["user:4"]["epoch"].clone();
    let mut offsets = Vec::new();
    for number in 1..=3 {
        offsets.push(notify(&hub, delivery(number)).await);
        client.publication().await;
    }
    drop(client);
    for _ in 0..2 {
        let mut back = Client::open(hub.address).await;
        let wish = json!({ "user:4": { "recover": true, "epoch": epoch, "offset": offsets[1] } });
        let reply = back.ask("connect", json!({ "token": token, "subs": wish })).await;
        assert_eq!(reply["connect"]["subs"]["user:4"]["recovered"], true, "{reply}");
    }
    let mut last = Client::open(hub.address).await;
    let wish = json!({ "user:4": { "recover": true, "epoch": epoch, "offset": offsets[2] } });
    last.ask("connect", json!({ "token": token, "subs": wish })).await;
    let found = confirmations(&hub, 3).await;
    let expected: Vec<Value> = (1..=3)
        .map(|number| json!({ "delivery_id": delivery(number), "state": "delivered", "source": "position" }))
        .collect();
    let shown: Vec<Value> = found
        .into_iter()
        .map(|mut one| {
            one.as_object_mut().unwrap().remove("at");
            one
        })
        .collect();
    assert_eq!(shown, expected, "each once");
}

/// Goal: nobody confirms for somebody else, or with a position of another incarnation.
#[tokio::test]
async fn positions_in_other_topics_and_epochs_confirm_nothing() {
    let hub = TestHub::new().await;
    let mut watcher = hub.client(4).await;
    let offset = notify(&hub, delivery(1)).await;
    watcher.publication().await;
    let mut client = Client::open(hub.address).await;
    let wish = json!({ "user:4": { "recover": true, "epoch": "another", "offset": offset } });
    client.ask("connect", json!({ "token": hub.ground.token(4), "subs": wish })).await;
    let mut stranger = Client::open(hub.address).await;
    let wish = json!({ "user:4": { "recover": true, "epoch": "", "offset": offset } });
    stranger.ask("connect", json!({ "token": hub.ground.token(5), "subs": wish })).await;
    let code = hub.ground.receipts.code(delivery(2));
    let ack = json!({ "delivery_id": delivery(2), "code": code, "state": "delivered" });
    stranger.ask("rpc", json!({ "method": "ack", "data": ack })).await;
    let found = confirmations(&hub, 1).await;
    assert_eq!((found.len(), &found[0]["source"]), (1, &json!("socket")), "{found:?}");
}

#[tokio::test]
async fn a_message_confirms_as_the_procedure_does_and_errors_close_nothing() {
    let hub = TestHub::new().await;
    let mut client = hub.client(4).await;
    let code = hub.ground.receipts.code(delivery(1));
    for ack in [
        json!({ "delivery_id": delivery(1), "code": "wrong", "state": "delivered" }),
        json!({ "delivery_id": "nonsense" }),
        json!({ "delivery_id": delivery(1), "code": code, "state": "opened" }),
    ] {
        client.send(json!({ "send": { "data": { "ack": ack } } }).to_string()).await;
    }
    assert!(client.ask("rpc", json!({ "method": "time" })).await.get("rpc").is_some(), "nothing is answered");
    let found = confirmations(&hub, 1).await;
    assert_eq!((&found[0]["state"], &found[0]["source"]), (&json!("opened"), &json!("socket")));
    client.send(json!({ "send": { "data": { "hello": 1 } } }).to_string()).await;
    assert_eq!(client.closed().await.0, 3508);
}
