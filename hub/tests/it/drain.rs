//! A node that ends: every transport is told, and whoever goes elsewhere has lost nothing.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::client::{Client, refused};
use crate::harness::{Ground, PATIENCE, TestHub};
use crate::streams::{Framing, Stream, http, url};

/// Messages that are published while the node ends.
const MESSAGES: u64 = 150;

#[tokio::test]
async fn every_transport_is_told_to_come_back() {
    let hub = TestHub::with(|config| config.drain_window_ms = 100).await;
    let connect = json!({ "id": 1, "connect": {} }).to_string();
    let mut streams = Vec::new();
    for (path, framing, body) in [
        ("/connection/http_stream", Framing::Lines, &*connect),
        ("/connection/sse", Framing::Events, &*connect),
        ("/connection/uni_http_stream", Framing::Lines, "{}"),
        ("/connection/uni_sse", Framing::Events, "{}"),
    ] {
        let response = http().post(url(hub.address, path)).body(body.to_owned()).send().await.unwrap();
        let mut stream = Stream::new(response, framing);
        stream.said().await;
        streams.push((path, stream));
    }
    let mut socket = hub.client(0).await;
    hub.life.drain().cancel();
    for (path, stream) in &mut streams {
        let rest = stream.rest().await;
        let last = rest.last().unwrap_or_else(|| panic!("{path} ends without a word"));
        let told = last.get("push").unwrap_or(last);
        assert_eq!(told["disconnect"], json!({ "code": 3001, "reason": "shutdown" }), "{path}: {last}");
        let again = http().post(url(hub.address, path)).body("{}").send().await.unwrap();
        assert_eq!(
            (again.status().as_u16(), again.headers()["retry-after"].is_empty()),
            (503, false),
            "{path}"
        );
    }
    assert_eq!(socket.closed().await, (3001, "shutdown".to_owned()));
    assert_eq!(refused(hub.address, &[], "").await, 503);
}

/// Goal: a node ends while messages flow; its clients come back by themselves, as SDKs do, and have every message once.
#[tokio::test]
async fn whoever_comes_back_elsewhere_has_lost_nothing() {
    let ground = Ground::on_redis().await;
    let twin = ground.twin().await;
    let ending = TestHub::on(ground, |config| config.drain_window_ms = 600).await;
    let staying = TestHub::on(twin, |_| {}).await;
    let nodes = [ending.address, staying.address];
    let mut clients = Vec::new();
    for _ in 0..12 {
        clients.push(Follower::begin(nodes).await);
    }
    let following = clients.into_iter().map(|client| tokio::time::timeout(PATIENCE, client.follow()));
    let following = futures_util::future::join_all(following);
    let publishing = async {
        for number in 1..=MESSAGES {
            staying.ground.publish("festival", json!(number)).await;
            if number == MESSAGES / 5 {
                ending.life.drain().cancel();
            }
            tokio::time::sleep(Duration::from_millis(4)).await; // the flow lasts as long as the window
        }
    };
    let (ends, ()) = tokio::join!(following, publishing);
    let expected: Vec<u64> = (1..=MESSAGES).collect();
    for end in ends {
        let (heard, moves) = end.expect("every message comes");
        assert_eq!(heard, expected, "no gap, no duplicate, in order");
        assert_eq!(moves, 1, "it was told once to go, and went");
    }
}

/// Follows the festival as an SDK does: when the connection ends it comes back, to another node if one refuses.
struct Follower {
    nodes: [SocketAddr; 2],
    client: Client,
    epoch: Value,
    offset: u64,
    heard: Vec<u64>,
    moves: u32,
}

impl Follower {
    async fn begin(nodes: [SocketAddr; 2]) -> Self {
        let mut client = Client::open(nodes[0]).await;
        client.connect("").await;
        let result = client.subscribe("festival").await;
        let (epoch, offset) = (result["epoch"].clone(), result["offset"].as_u64().unwrap_or(0));
        Self { nodes, client, epoch, offset, heard: Vec::new(), moves: 0 }
    }

    async fn follow(mut self) -> (Vec<u64>, u32) {
        while self.heard.last() != Some(&MESSAGES) {
            match self.client.next_or_end().await {
                Ok(publication) => self.hear(&publication.data, publication.offset),
                Err((code, _)) => {
                    assert_eq!(code, 3001);
                    self.come_back().await;
                }
            }
        }
        (self.heard, self.moves)
    }

    async fn come_back(&mut self) {
        self.moves += 1;
        for address in self.nodes.into_iter().cycle() {
            let stream = TcpStream::connect(address).await.unwrap();
            let Some(client) = Client::try_over(stream).await else { continue };
            self.client = client;
            self.client.connect("").await;
            let result = self.client.recover("festival", &self.epoch, self.offset).await;
            assert_eq!(result["recovered"], true, "{result}");
            for publication in result["publications"].as_array().into_iter().flatten() {
                self.hear(&publication["data"], publication["offset"].as_u64().unwrap());
            }
            return;
        }
    }

    fn hear(&mut self, data: &Value, offset: u64) {
        self.heard.push(data.as_u64().unwrap());
        self.offset = offset;
    }
}
