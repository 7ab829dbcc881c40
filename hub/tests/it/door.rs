//! Who is let in, and how fast: each limit of the front door, reached on purpose.

use std::time::Duration;

use serde_json::json;

use crate::client::{Client, refused};
use crate::harness::{PATIENCE, TestHub};

/// Behind a proxy that is believed, so that a test may come from anywhere.
async fn behind_a_proxy(change: impl FnOnce(&mut hub::Config)) -> TestHub {
    TestHub::with(|config| {
        config.door.trusted_proxies = vec!["127.0.0.0/8".to_owned()];
        change(config);
    })
    .await
}

async fn from(hub: &TestHub, address: &str) -> u16 {
    refused(hub.address, &[("x-forwarded-for", address)], "").await
}

#[tokio::test]
async fn one_address_does_not_take_every_place() {
    let hub = TestHub::with(|config| config.door.connections_per_address_max = 2).await;
    let mut one = hub.client(0).await;
    let two = hub.client(0).await;
    assert_eq!(refused(hub.address, &[("x-forwarded-for", "9.9.9.9")], "").await, 503, "nobody is believed");
    drop(two);
    let free = async {
        while refused(hub.address, &[], "").await == 503 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, free).await.expect("the place is given back");
    one.subscribe("festival").await;

    let hub = behind_a_proxy(|config| config.door.connections_per_address_max = 1).await;
    let mut here = Client::open_from(hub.address, "1.2.3.4").await;
    here.connect("").await;
    assert_eq!([from(&hub, "1.2.3.4").await, from(&hub, "1.2.3.5").await], [503, 101]);
    let six = Client::open_from(hub.address, "2001:db8::1").await;
    assert_eq!(from(&hub, "2001:db8::2").await, 503, "of one network");
    drop(six);
}

#[tokio::test]
async fn connections_begin_at_a_pace_and_are_told_when_to_come_back() {
    let hub = behind_a_proxy(|config| {
        config.door.connects_burst_per_address = 2;
        config.door.connects_per_second_per_address = 1;
        config.door.connects_burst = 4;
        config.door.connects_per_second = 1;
    })
    .await;
    let mut answers = Vec::new();
    for address in ["1.1.1.1", "1.1.1.1", "1.1.1.1", "2.2.2.2", "3.3.3.3", "4.4.4.4"] {
        answers.push(from(&hub, address).await);
    }
    assert_eq!(answers, [101, 101, 503, 101, 101, 503], "the address, then the node");
    let url = format!("http://{}/connection/http_stream", hub.address);
    let response = crate::streams::http().post(url).body("{}").send().await.unwrap();
    assert_eq!(response.status(), 503, "other transports come through the same door");
    assert!(response.headers()["retry-after"].to_str().unwrap().parse::<u32>().unwrap() > 0);
}

#[tokio::test]
async fn one_user_shares_one_pace_over_all_connections() {
    let hub = TestHub::with(|config| {
        config.limits.commands_burst_per_user = 10;
        config.limits.commands_per_second_per_user = 1;
    })
    .await;
    let (mut one, mut two, mut other) = (hub.client(4).await, hub.client(4).await, hub.client(5).await);
    let mut answered = [0; 2];
    for _ in 0..10 {
        for (client, answered) in [&mut one, &mut two].into_iter().zip(&mut answered) {
            let reply = client.ask("rpc", json!({ "method": "time" })).await;
            *answered += usize::from(reply.get("rpc").is_some());
            assert!(reply.get("rpc").is_some() || reply["error"]["code"] == 111, "{reply}");
        }
    }
    assert!((8..=12).contains(&(answered[0] + answered[1])) && answered[1] > 0, "{answered:?}");
    for _ in 0..5 {
        assert!(other.ask("rpc", json!({ "method": "time" })).await.get("rpc").is_some());
    }
}

#[tokio::test]
async fn who_only_makes_mistakes_is_closed_for_good() {
    let hub = TestHub::with(|config| config.limits.errors_max = 3).await;
    let mut client = hub.client(0).await;
    for _ in 0..3 {
        let reply = client.ask("subscribe", json!({ "channel": "user:9" })).await;
        assert_eq!(reply["error"]["code"], 103);
    }
    let last = client.ask_or_end("subscribe", json!({ "channel": "user:9" })).await;
    assert_eq!(last.unwrap()["error"]["code"], 103, "the last one is answered, too");
    assert_eq!(client.closed().await, (3509, "too many errors".to_owned()));
}

/// Goal: 10,000 commands within a second are refused, then closed, and nobody else waits for it.
#[tokio::test]
async fn a_flood_ends_and_the_others_notice_nothing() {
    let hub = TestHub::new().await;
    let (mut flooder, mut other) = (hub.client(4).await, hub.client(5).await);
    for batch in 0..100_u32 {
        let commands: Vec<String> = (0..100)
            .map(|number| json!({ "id": 10 + batch * 100 + number, "rpc": { "method": "time" } }).to_string())
            .collect();
        flooder.try_send(commands.join("\n")).await;
        let asked_at = tokio::time::Instant::now();
        assert!(other.ask("rpc", json!({ "method": "time" })).await.get("rpc").is_some());
        assert!(asked_at.elapsed() < Duration::from_secs(1), "{:?}", asked_at.elapsed());
        if batch > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await; // the pace of a flood, not a wait
        }
    }
    let (mut answered, mut refused) = (0, 0);
    let end = loop {
        match flooder.reply_or_end().await {
            Ok(reply) if reply.get("rpc").is_some() => answered += 1,
            Ok(reply) => {
                assert_eq!(
                    (&reply["error"]["code"], &reply["error"]["temporary"]),
                    (&json!(111), &json!(true))
                );
                refused += 1;
            }
            Err(end) => break end,
        }
    };
    assert_eq!(end, (3013, "too many requests".to_owned()));
    assert!((400..1_000).contains(&answered) && refused == 200, "{answered} answered, {refused} refused");
}
