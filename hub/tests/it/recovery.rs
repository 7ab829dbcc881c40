//! Clients that were away: nothing missing, nothing twice, or told so.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::client::Client;
use crate::harness::{Ground, TestHub};

fn numbers(result: &Value) -> Vec<u64> {
    let publications = result["publications"].as_array().cloned().unwrap_or_default();
    publications.iter().map(|publication| publication["data"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn fifty_missed_publications_are_recovered_in_order() {
    let hub = TestHub::new().await;
    let mut client = hub.client(0).await;
    let epoch = client.subscribe("festival").await["epoch"].clone();
    hub.ground.publish("festival", json!(0)).await;
    let seen = client.publication().await.offset;
    drop(client);
    for number in 1..=50_u64 {
        hub.ground.publish("festival", json!(number)).await;
        hub.ground.publish("venue:9", json!("noise")).await;
    }
    // an earlier subscriber proves that the node has read them all
    let mut client = hub.client(0).await;
    let recovered = loop {
        let recovered = client.recover("festival", &epoch, seen).await;
        if numbers(&recovered).len() == 50 {
            break recovered;
        }
        client.ask("unsubscribe", json!({ "channel": "festival" })).await;
    };
    assert_eq!((&recovered["recovered"], &recovered["was_recovering"]), (&json!(true), &json!(true)));
    assert_eq!(numbers(&recovered), (1..=50).collect::<Vec<_>>());
    hub.ground.publish("festival", json!(51)).await;
    assert_eq!(client.publication().await.data, json!(51));
}

#[tokio::test]
async fn what_is_too_much_to_recover_is_said() {
    let hub = TestHub::with(|config| config.history.publications_max = 10).await;
    let mut client = hub.client(0).await;
    let epoch = client.subscribe("festival").await["epoch"].clone();
    hub.ground.publish_all("festival", (0..50).map(|number| json!(number))).await;
    let first = client.publication().await.offset;
    for _ in 1..50 {
        client.publication().await;
    }
    let mut late = hub.client(0).await;
    let result = late.recover("festival", &epoch, first).await;
    assert_eq!(result["was_recovering"], true);
    assert!(result.get("recovered").is_none() && result.get("publications").is_none(), "{result}");
    assert_eq!(result["epoch"], epoch);

    let mut strict = hub.client(0).await;
    let request =
        json!({ "channel": "festival", "recover": true, "offset": first, "epoch": epoch, "flag": 2 });
    assert_eq!(strict.ask("subscribe", request).await["error"]["code"], 112);
    let result = strict.recover("festival", &json!("other"), first).await;
    assert!(result.get("recovered").is_none(), "another epoch: {result}");
}

/// Goal: a position that the log has never reached is void, and found so without waiting for it.
#[tokio::test]
async fn a_position_beyond_the_log_is_not_recovered() {
    let hub = TestHub::with(|config| config.hold_ms = 4_000).await;
    let mut client = hub.client(0).await;
    let epoch = client.subscribe("venue:1").await["epoch"].clone();
    let mut late = Client::open(hub.address).await;
    late.send(format!(
        "{}\n{}\n{}",
        json!({ "id": 1, "connect": {} }),
        json!({ "id": 2, "subscribe": { "channel": "venue:1", "recover": true, "offset": 1_000_000, "epoch": epoch } }),
        json!({ "id": 3, "rpc": { "method": "time" } }),
    ))
    .await;
    assert_eq!(late.reply().await["id"], 1);
    let result = late.reply().await;
    assert_eq!(
        (&result["id"], &result["subscribe"]["was_recovering"]),
        (&json!(2), &json!(true)),
        "{result}"
    );
    assert!(result["subscribe"].get("recovered").is_none());
    assert_eq!(late.reply().await["rpc"]["data"]["time"], "2026-07-15T20:00:00Z", "what was held goes on");
}

#[tokio::test]
async fn the_topic_of_ones_own_recovers_with_the_connection() {
    let hub = TestHub::new().await;
    let mut client = Client::open(hub.address).await;
    let connected = client.connect(&hub.ground.token(4)).await;
    let position = &connected["subs"]["user:4"];
    hub.ground.publish("user:4", json!(1)).await;
    client.publication().await;
    let subs = json!({
        "user:4": { "recover": true, "epoch": position["epoch"], "offset": position.get("offset").unwrap_or(&json!(0)) },
        "user:5": { "recover": true },
    });
    let mut back = Client::open(hub.address).await;
    let reply = back.ask("connect", json!({ "token": hub.ground.token(4), "subs": subs })).await;
    assert_eq!(numbers(&reply["connect"]["subs"]["user:4"]), [1]);
    assert!(reply["connect"]["subs"].get("user:5").is_none(), "asking gives no right");
}

/// Goal: a node that was restarted recovers from the log what its predecessor had in memory.
#[tokio::test]
async fn another_hub_on_the_same_log_recovers_too() {
    let ground = Ground::new().await;
    let first = TestHub::on(Arc::clone(&ground), |_| {}).await;
    let mut client = first.client(0).await;
    let epoch = client.subscribe("festival").await["epoch"].clone();
    ground.publish("festival", json!(1)).await;
    let seen = client.publication().await.offset;
    drop(first);
    ground.publish_all("festival", (2..=20).map(|number| json!(number))).await;
    let second = TestHub::on(ground, |_| {}).await;
    let mut client = second.client(0).await;
    let recovered = client.recover("festival", &epoch, seen).await;
    assert_eq!(recovered["recovered"], true);
    assert_eq!(numbers(&recovered), (2..=20).collect::<Vec<_>>());
}

/// Goal: recovery and live stream join without gap or duplicate while publications keep coming.
#[tokio::test]
async fn reconnecting_under_load_misses_nothing_and_repeats_nothing() {
    const LAST: u64 = 1_500;
    let hub = TestHub::with(|config| config.limits.recovery_publications_max = 10_000).await;
    let mut client = hub.client(0).await;
    let epoch = client.subscribe("festival").await["epoch"].clone();
    let ground = Arc::clone(&hub.ground);
    let publishing = async move {
        for number in 1..=LAST {
            ground.publish("festival", json!(number)).await;
            ground.publish("venue:3", json!(number)).await;
        }
    };
    let following = async {
        let (mut seen, mut position, mut lives) = (0, 0, 0);
        while seen < LAST {
            for _ in 0..7 {
                if seen == LAST {
                    break;
                }
                let publication = client.publication().await;
                seen += 1;
                assert_eq!(publication.data, json!(seen), "life {lives}");
                position = publication.offset;
            }
            lives += 1;
            client = hub.client(0).await;
            let recovered = client.recover("festival", &epoch, position).await;
            assert_eq!(recovered["recovered"], true, "{recovered}");
            for number in numbers(&recovered) {
                seen += 1;
                assert_eq!(number, seen, "recovered in life {lives}");
            }
            // what was missed moves the client on from where it was; without anything, it is where the node is
            let last = recovered["publications"].as_array().and_then(|missed| missed.last());
            position = last.unwrap_or(&recovered)["offset"].as_u64().unwrap();
        }
        lives
    };
    let ((), lives) = tokio::join!(publishing, following);
    assert!(lives > 3, "only {lives} lives");
}

#[tokio::test]
async fn history_is_read_in_both_directions() {
    let hub = TestHub::new().await;
    let mut client = hub.client(0).await;
    client.subscribe("festival").await;
    hub.ground.publish_all("festival", (1..=5).map(|number| json!(number))).await;
    let mut offsets = Vec::new();
    for _ in 0..5 {
        offsets.push(client.publication().await.offset);
    }
    let top = client.ask("history", json!({ "channel": "festival" })).await["history"].clone();
    assert_eq!((&top["publications"], &top["offset"]), (&json!([]), &json!(offsets[4])));
    let some = json!({ "channel": "festival", "limit": 2, "since": { "offset": offsets[1], "epoch": top["epoch"] } });
    assert_eq!(numbers(&client.ask("history", some).await["history"]), [3, 4]);
    let back = json!({ "channel": "festival", "limit": -1, "reverse": true });
    assert_eq!(numbers(&client.ask("history", back).await["history"]), [5, 4, 3, 2, 1]);
    let other = json!({ "channel": "festival", "since": { "offset": 1, "epoch": "other" } });
    assert_eq!(client.ask("history", other).await["error"]["code"], 112);
    let senseless = json!({ "channel": "festival", "reverse": true, "since": { "offset": 0 } });
    assert_eq!(client.ask("history", senseless).await["error"]["code"], 107);
    assert_eq!(client.ask("history", json!({ "channel": "user:9" })).await["error"]["code"], 103);
}
