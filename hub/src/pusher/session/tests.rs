//! Conversations without sockets.

use std::sync::Arc;

use domain::{ReceiptKey, Timestamp};
use protocol::pusher::Signer;
use serde_json::{Value, json};
use service::token::{ForeignVerifier, TokenSigner};
use streams::Epoch;
use tokio::sync::mpsc;

use super::*;
use crate::authority::Authority;
use crate::census::Census;
use crate::config::{self, Config};
use crate::history::{Budget, Histories, PartitionHistory};
use crate::metrics::ShardMetrics;
use crate::paces::Paces;
use crate::presence::Presence;
use crate::pusher::{News, claim_classes};
use crate::revocations::Revocations;
use crate::world::Patience;

/// A session, what it works with, and what it has caused.
struct Stand {
    session: Session,
    topics: Topics,
    config: Config,
    authority: Authority,
    histories: Histories,
    presence: Presence,
    news: mpsc::Receiver<News>,
    uptime_ms: u64,
}

impl Stand {
    fn new(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        let json = r#"{"apps":{"1":{"key":"k","secret":"0123456789abcdef"}},"client_events_per_second":1}"#;
        config.pusher = serde_json::from_str(json).unwrap();
        change(&mut config);
        claim_classes(&mut config);
        let (sender, news) = mpsc::channel(8);
        let pusher = Pusher::new(config.pusher.clone(), "node", sender);
        let place = pusher.apps.by_key("k").unwrap().admit().unwrap();
        let guest = Guest { pusher, place };
        let budget = Budget::share(&config.history, 1);
        Self {
            session: Session::new(Uuid::from_u128((1 << 64) + 2), guest, &config.limits, 0),
            topics: Topics::default(),
            authority: Authority {
                tokens: TokenSigner::from_pem(&TokenSigner::generate_pem()).unwrap().verifier(),
                issuer: "i".into(),
                audience: "a".into(),
                foreign: ForeignVerifier::default(),
                personal_topic: false,
                insecure: false,
                receipt_key: ReceiptKey::new([1; 32]),
                revocations: Revocations::new(&config.revocations),
            },
            histories: Histories::new([PartitionHistory::new(Epoch("e".into()), 0, budget)]),
            presence: Presence::new(&"node".into(), &config::Presence::default()),
            config,
            news,
            uptime_ms: 0,
        }
    }

    /// Says something; gives what is answered, and why the connection ends if it does.
    fn say(&mut self, message: &Value) -> (Vec<Value>, Option<DisconnectCode>) {
        let (census, paces) = (Census::new(9, 9, 9), Paces::new(&self.config.door, &self.config.limits));
        let metrics = ShardMetrics::new();
        let mut world = World {
            config: &self.config,
            authority: &self.authority,
            census: &census,
            paces: &paces,
            histories: &self.histories,
            presence: &self.presence,
            topics: &mut self.topics,
            metrics: &metrics,
            connection: 0,
            now: Timestamp::from_microsecond(0).unwrap(),
            uptime_ms: self.uptime_ms,
            node: "node",
            patience: Patience::Wait,
        };
        let mut out = Out::new();
        let end = self.session.receive(message.to_string().as_bytes(), &mut world, &mut out).err();
        let text = String::from_utf8(out.messages).unwrap();
        (text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), end)
    }

    fn subscribe(&mut self, channel: &str, data: Option<&str>) -> String {
        let auth = Signer::new("k", "0123456789abcdef").channel_auth(SocketId(1, 2), channel, data);
        let data = json!({ "channel": channel, "auth": auth, "channel_data": data });
        let (said, _) = self.say(&json!({ "event": "pusher:subscribe", "data": data }));
        said[0]["event"].as_str().unwrap().to_owned()
    }
}

#[test]
fn subscriptions_are_counted_and_end() {
    let mut stand = Stand::new(|config| config.limits.topics_per_connection_max = 2);
    assert_eq!(stand.subscribe("venue.5", None), "pusher_internal:subscription_succeeded");
    let member = r#"{"user_id":"7"}"#;
    assert_eq!(stand.subscribe("presence-room", Some(member)), "pusher_internal:subscription_succeeded");
    assert_eq!(stand.subscribe("festival", None), "pusher:subscription_error", "it is one too many");
    let pusher = Arc::clone(&stand.session.pusher);
    assert_eq!((pusher.counts.count("1", "venue.5"), stand.topics.subscriptions()), (1, 2));
    let room = Topic::new("presence-room").unwrap();
    assert_eq!(stand.presence.count(&room).users, 1);
    stand.say(&json!({ "event": "pusher:unsubscribe", "data": { "channel": "presence-room" } }));
    assert_eq!((stand.presence.count(&room).users, stand.topics.subscriptions()), (0, 1));
    stand.session.leave(&mut stand.topics);
    assert_eq!((pusher.counts.count("1", "venue.5"), stand.topics.subscriptions()), (0, 0));
}

#[test]
fn events_of_clients_travel_with_who_must_not_hear_them() {
    let mut stand = Stand::new(|_| {});
    stand.subscribe("private-room", None);
    let event = json!({ "event": "client-wave", "channel": "private-room", "data": "hi" });
    assert_eq!(stand.say(&event).0, [Value::Null; 0]);
    let Ok(News::Publish(publication)) = stand.news.try_recv() else { panic!("nothing is published") };
    assert_eq!(&*publication.data, br#"{"event":"client-wave","data":"hi"}"#);
    let attributes = domain::Attributes::decode(publication.attributes.as_deref().unwrap()).unwrap();
    assert_eq!((attributes.exclude.as_deref(), attributes.ephemeral), (Some("1.2"), true));
    assert_eq!(stand.say(&event).0[0]["data"]["code"], 4301, "the second of a second is too many");
    stand.uptime_ms = 1_000;
    assert!(stand.say(&event).0.is_empty());
}

#[test]
fn whoever_talks_too_much_is_let_go() {
    let mut stand = Stand::new(|config| (config.limits.commands_burst, config.limits.refusals_max) = (1, 1));
    let ping = json!({ "event": "pusher:ping" });
    stand.session.ping();
    assert_eq!(stand.say(&ping).0[0]["event"], "pusher:pong");
    assert!(!stand.session.ping_unanswered(), "whatever comes shows that somebody is there");
    assert_eq!(stand.say(&ping).0[0]["data"]["message"], "too many messages");
    assert_eq!(stand.say(&ping).1, Some(DisconnectCode::TooManyRequests));
}
