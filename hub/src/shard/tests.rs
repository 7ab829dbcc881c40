//! A shard on its own: the test is the tail, the log and the clients, so that every order of events can be made.

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::{
    Attributes, Claims, Clock as _, DeliveryId, Lane, ManualClock, PublicationId, ReceiptKey, Timestamp,
    Topic,
};
use protocol::centrifuge::fossil;
use protocol::ws::{Decoder, Event, Input, Opcode, Side, masked_frame};
use serde_json::{Value, json};
use service::Lifecycle;
use service::address::AddressPrefix;
use service::token::{ForeignVerifier, TokenSigner};
use streams::{Entry, Epoch, NewPublication, PartitionState};
use tokio::sync::mpsc;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Arrival, Message, Shared, spawn};
use crate::Config;
use crate::authority::Authority;
use crate::census::Census;
use crate::confirm::Ticket;
use crate::history::{Applied, Budget, Histories, PartitionHistory};
use crate::paces::Paces;
use crate::presence::Presence;
use crate::publication::{Batch, Item, Live};
use crate::revocations::Revocations;
use crate::session::Pings;
use crate::socket::Handover;
use crate::wire::Wire;

mod order;

/// One shard with one partition.
struct Stand {
    inbox: mpsc::Sender<Message>,
    histories: Histories,
    census: Census,
    tickets: mpsc::Receiver<Ticket>,
    probes: mpsc::Receiver<u16>,
    signer: TokenSigner,
    receipts: ReceiptKey,
    clock: Arc<ManualClock>,
    life: Lifecycle,
}

/// The far end of a socket.
struct Peer {
    stream: UnixStream,
    decoder: Decoder,
    heard: VecDeque<Value>,
    closed: Option<u16>,
}

fn epoch(name: &str) -> Epoch {
    Epoch(name.into())
}

impl Stand {
    fn new(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config { resync_spread_ms: 20, ..Config::default() };
        change(&mut config);
        let start: Timestamp = "2026-07-15T20:00:00Z".parse().unwrap();
        let clock = Arc::new(ManualClock::new(start));
        let budget = Budget::share(&config.history, 1);
        let histories = Histories::new([PartitionHistory::new(epoch("one"), 0, budget)]);
        let signer = TokenSigner::from_pem(&TokenSigner::generate_pem()).unwrap();
        let receipts = ReceiptKey::new([1; 32]);
        let (confirmations, tickets) = mpsc::channel(1);
        let (submissions, _submitted) = mpsc::channel(1);
        let (asked, probes) = mpsc::channel(4);
        let census = Census::new(100, 100, 100);
        let paces = Paces::new(&config.door, &config.limits);
        let revocations = Revocations::new(&config.revocations);
        let shared = Shared {
            config: Arc::new(config),
            authority: Arc::new(Authority {
                tokens: signer.verifier(),
                issuer: "i".into(),
                audience: "a".into(),
                foreign: ForeignVerifier::default(),
                personal_topic: false,
                insecure: false,
                receipt_key: receipts.clone(),
                revocations: revocations.clone(),
            }),
            census: census.clone(),
            paces,
            histories: histories.clone(),
            presence: Presence::new(&"node".into(), &crate::config::Presence::default()),
            clock: Arc::clone(&clock) as Arc<dyn domain::Clock>,
            node: "node".into(),
            confirmations,
            scrape: service::Scrape::new(),
            submissions,
            probes: asked,
        };
        let life = Lifecycle::new();
        let inbox = spawn(0, shared, &life).unwrap();
        Self { inbox, histories, census, tickets, probes, signer, receipts, clock, life }
    }

    fn peer(&self) -> Peer {
        self.peer_on(Wire::JsonSocket, None, &[])
    }

    fn peer_on(&self, wire: Wire, door: Option<Uuid>, first: &[u8]) -> Peer {
        let (near, far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        far.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let arrival = Arrival {
            socket: Handover::Bridged(near),
            wire,
            first_bytes: Bytes::copy_from_slice(first),
            door,
            pings: Pings::Protocol,
            guest: None,
            admission: self.census.admit(AddressPrefix(0)).unwrap(),
        };
        self.tell(Message::Accept(Box::new(arrival)));
        Peer {
            stream: far,
            decoder: Decoder::new(Side::Client, 1 << 20),
            heard: VecDeque::new(),
            closed: None,
        }
    }

    fn connected(&self, token: &str) -> Peer {
        let mut peer = self.peer();
        peer.say(&[json!({ "id": 1, "connect": { "token": token } })]);
        assert!(peer.hear().get("connect").is_some());
        peer
    }

    fn token(&self, user: i64) -> String {
        let now = self.clock.now().as_second();
        self.signer.sign(&Claims {
            iss: "i".into(),
            aud: "a".into(),
            sub: user.to_string(),
            sid: String::new(),
            roles: Vec::new(),
            iat: now,
            exp: now + 600,
            topics: Vec::new(),
        })
    }

    fn tell(&self, message: Message) {
        self.inbox.blocking_send(message).unwrap();
    }

    /// Puts entry `offset` of `festival` into the history, without the shard's knowledge.
    fn apply(&self, offset: u64) -> Live {
        self.apply_item(Item { offset, data: Bytes::from(offset.to_string()), attributes: None })
    }

    fn apply_item(&self, item: Item) -> Live {
        let offset = item.offset;
        let publication = NewPublication {
            id: PublicationId(uuid::Uuid::from_u128(u128::from(offset))),
            topic: Topic::festival(),
            data: item.data.clone(),
            lane: Lane::Standard,
            change: None,
            attributes: None,
            at: self.clock.now(),
        };
        let entry = Entry { partition: 0, offset, prev: offset - 1, first: offset == 1, publication };
        let applied = self.histories.write(0).apply(&entry, item.clone(), self.clock.now());
        let Ok(Applied::Now { turn, base }) = applied else { panic!("it was applied before") };
        Live::new(Topic::festival(), turn, item, base)
    }

    fn hand_over(&self, publications: Vec<Live>) {
        self.tell(Message::Batch(Arc::new(Batch { partition: 0, publications, read_at: Instant::now() })));
    }

    fn publish(&self, offset: u64) {
        let live = self.apply(offset);
        self.hand_over(vec![live]);
    }

    /// The log was lost: another epoch begins.
    fn lose(&self, name: &str) {
        let state = PartitionState { epoch: epoch(name), last: 0, trimmed: 0 };
        let turn = self.histories.write(0).restart(&state);
        self.tell(Message::Void { partition: 0, turn });
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        self.life.abort().cancel();
    }
}

impl Peer {
    fn say(&mut self, commands: &[Value]) {
        let text: Vec<_> = commands.iter().map(ToString::to_string).collect();
        let frame = masked_frame(Opcode::Text, text.join("\n").as_bytes(), [9, 9, 9, 9]);
        self.stream.write_all(&frame).unwrap();
    }

    /// The next message; panics when the connection closes instead.
    fn hear(&mut self) -> Value {
        while self.heard.is_empty() {
            assert_eq!(self.closed, None, "closed instead");
            self.read();
        }
        self.heard.pop_front().unwrap()
    }

    /// The next line of a body; read byte by byte, because what follows is another's.
    fn hear_line(&mut self) -> Value {
        let mut line = Vec::new();
        let mut byte = [0];
        while byte != *b"\n" {
            self.stream.read_exact(&mut byte).expect("the shard is silent");
            line.push(byte[0]);
        }
        serde_json::from_slice(&line).unwrap()
    }

    fn hear_close(&mut self) -> u16 {
        while self.closed.is_none() {
            self.read();
        }
        self.closed.unwrap()
    }

    fn read(&mut self) {
        assert!(self.read_from(), "the shard is silent");
    }

    /// Reads what is there, if anything.
    fn read_some(&mut self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let something = self.read_from();
        self.stream.set_nonblocking(false).unwrap();
        something
    }

    fn read_from(&mut self) -> bool {
        let mut buffer = [0; 4096];
        let count = match self.stream.read(&mut buffer) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return false,
            read => read.unwrap(),
        };
        assert!(count > 0, "the socket was dropped");
        let mut input = Input::new(&mut buffer[..count]);
        while let Some(event) = self.decoder.next(&mut input).unwrap() {
            match event {
                Event::Text(text) => {
                    self.heard
                        .extend(text.split('\n').map(|line| serde_json::from_str::<Value>(line).unwrap()));
                }
                Event::Close(close) => self.closed = close.map(|close| close.code),
                other => panic!("{other:?}"),
            }
        }
        true
    }
}

fn subscribe(id: u32) -> Value {
    json!({ "id": id, "subscribe": { "channel": "festival" } })
}

fn recover(id: u32, offset: u64) -> Value {
    json!({ "id": id, "subscribe": { "channel": "festival", "recover": true, "offset": offset, "epoch": "one" } })
}

fn data(push: &Value) -> u64 {
    push["push"]["pub"]["data"].as_u64().unwrap_or_else(|| panic!("{push}"))
}

/// Goal: what the first answer has already is not heard again from the inbox, and nothing after it is left out.
#[test]
fn an_answer_and_the_inbox_join_without_gap_or_duplicate() {
    let stand = Stand::new(|_| {});
    let mut peer = stand.connected("");
    let ahead = vec![stand.apply(1), stand.apply(2)]; // in the history, not yet in the shard
    peer.say(&[recover(2, 1)]);
    let reply = peer.hear();
    assert_eq!(reply["subscribe"]["publications"], json!([{ "data": 2, "offset": 2 }]));
    let mut late = ahead;
    late.push(stand.apply(3));
    stand.hand_over(late);
    stand.publish(4);
    assert_eq!([data(&peer.hear()), data(&peer.hear())], [3, 4]);
}

#[test]
fn subscribers_of_a_lost_log_are_told_to_subscribe_again() {
    let stand = Stand::new(|_| {});
    let mut peer = stand.connected("");
    peer.say(&[subscribe(2)]);
    peer.hear();
    stand.publish(1);
    assert_eq!(data(&peer.hear()), 1);
    stand.lose("two");
    stand.publish(1); // of the new epoch: not for those who follow the old one
    let push = peer.hear();
    assert_eq!(
        push,
        json!({ "push": { "channel": "festival", "unsubscribe": { "code": 2500, "reason": "insufficient state" } } })
    );
    peer.say(&[recover(3, 1)]);
    let reply = peer.hear();
    assert_eq!((&reply["subscribe"]["epoch"], &reply["subscribe"]["offset"]), (&json!("two"), &json!(1)));
    assert!(reply["subscribe"].get("recovered").is_none());
    stand.publish(2);
    assert_eq!(data(&peer.hear()), 2);
}

#[test]
fn who_subscribes_again_before_being_told_is_not_told() {
    let stand = Stand::new(|config| config.resync_spread_ms = 1_000);
    let mut peer = stand.connected("");
    peer.say(&[subscribe(2)]);
    peer.hear();
    stand.lose("two");
    peer.say(&[json!({ "id": 3, "unsubscribe": { "channel": "festival" } }), subscribe(4)]);
    assert_eq!(peer.hear()["id"], 3);
    assert_eq!(peer.hear()["subscribe"]["epoch"], "two");
    let window_ends = Instant::now() + Duration::from_millis(1_100);
    for offset in (1..).take_while(|_| Instant::now() < window_ends) {
        stand.publish(offset);
        assert_eq!(data(&peer.hear()), offset);
    }
}

#[test]
fn topics_of_the_token_need_a_new_connection_after_a_loss() {
    let stand = Stand::new(|_| {});
    let mut peer = stand.connected(&stand.token(4));
    stand.lose("two");
    assert_eq!(peer.hear_close(), 3010);
}

/// Goal: a position that another node gave out is waited for, in order, and nothing up to it is heard again.
#[test]
fn a_position_ahead_of_the_node_is_waited_for() {
    let stand = Stand::new(|config| config.hold_ms = 4_000);
    let mut peer = stand.connected("");
    peer.say(&[recover(2, 3), json!({ "id": 3, "rpc": { "method": "time" } })]);
    peer.say(&[json!({ "id": 4, "rpc": { "method": "time" } })]);
    for offset in 1..=4 {
        stand.publish(offset);
    }
    let reply = peer.hear();
    assert_eq!((&reply["id"], &reply["subscribe"]["recovered"]), (&json!(2), &json!(true)), "{reply}");
    let in_answer = reply["subscribe"]["publications"].as_array().map_or(0, Vec::len);
    let rest: Vec<Value> = (0..3 - in_answer).map(|_| peer.hear()).collect();
    let ids: Vec<_> = rest.iter().filter_map(|one| one["id"].as_u64()).collect();
    assert_eq!(ids, [3, 4], "what came after the held command is answered in order");
    let pushed: Vec<u64> = rest.iter().filter(|one| one.get("push").is_some()).map(data).collect();
    assert_eq!(in_answer + pushed.len(), 1, "publication 4 comes once: {reply} {rest:?}");
}

#[test]
fn a_position_that_stays_ahead_is_a_temporary_error() {
    let mut stand = Stand::new(|config| config.hold_ms = 100);
    let mut peer = stand.connected("");
    peer.say(&[recover(2, 3), json!({ "id": 3, "rpc": { "method": "time" } })]);
    assert_eq!(
        peer.hear(),
        json!({ "id": 2, "error": { "code": 100, "message": "internal server error", "temporary": true } })
    );
    assert_eq!(peer.hear()["id"], 3);
    assert_eq!(stand.probes.blocking_recv(), Some(0), "the log was asked how it stands");
}

#[test]
fn a_position_beyond_the_log_is_void() {
    let mut stand = Stand::new(|config| config.hold_ms = 4_000);
    let mut peer = stand.connected("");
    peer.say(&[recover(2, 3)]);
    stand.probes.blocking_recv().unwrap();
    let probed = |name: &str, last| Message::Probed {
        partition: 0,
        state: PartitionState { epoch: epoch(name), last, trimmed: 0 },
    };
    stand.tell(probed("other", 0)); // of another incarnation: says nothing about this one
    stand.tell(probed("one", 2));
    let reply = peer.hear();
    assert_eq!(reply["subscribe"]["was_recovering"], true);
    assert!(reply["subscribe"].get("recovered").is_none());
}

#[test]
fn confirmations_are_answered_when_they_are_stored_or_cannot_be() {
    let mut stand = Stand::new(|_| {});
    let mut peer = stand.connected("");
    let delivery = DeliveryId(uuid::Uuid::from_u128(9));
    let code = stand.receipts.code(delivery);
    let ack = |id: u32| json!({ "id": id, "rpc": { "method": "ack", "data": { "delivery_id": delivery, "code": code, "state": "opened" } } });
    peer.say(&[ack(2), ack(3)]); // the queue has room for one
    assert_eq!(peer.hear()["error"]["code"], 111);
    let ticket = stand.tickets.blocking_recv().unwrap();
    assert_eq!(ticket.confirmation.delivery, delivery);
    stand.tell(Message::Confirmed { ticket, stored: true });
    assert_eq!(peer.hear(), json!({ "id": 2, "rpc": {} }));
    peer.say(&[ack(4)]);
    let ticket = stand.tickets.blocking_recv().unwrap();
    stand.tell(Message::Confirmed { ticket, stored: false });
    assert_eq!(peer.hear()["error"]["code"], 100);
}

/// Goal: what is sent to a subscriber with deltas builds on what that subscriber has, and on nothing else.
#[test]
fn deltas_build_on_what_the_subscriber_has() {
    let stand = Stand::new(|_| {});
    let text = |offset: u64| format!("{{\"text\":\"{}\",\"at\":{offset}}}", "مرحبا ".repeat(40));
    let say = |offset: u64| {
        let item = Item { offset, data: Bytes::from(text(offset)), attributes: None };
        stand.hand_over(vec![stand.apply_item(item)]);
    };
    say(1);
    let mut peer = stand.connected("");
    let subscribe = json!({ "channel": "festival", "delta": "fossil", "recover": true, "offset": 0 });
    say(2);
    peer.say(&[json!({ "id": 2, "subscribe": subscribe })]);
    let mut known = Vec::new();
    let mut take = |publication: &Value| {
        let data = publication["data"].as_str().expect("payloads are strings");
        known = match publication["delta"].as_bool() {
            Some(true) => fossil::apply(&known, data.as_bytes()).unwrap(),
            _ => data.as_bytes().to_vec(),
        };
        assert_eq!(known, text(publication["offset"].as_u64().unwrap()).as_bytes());
        publication["delta"] == json!(true)
    };
    let answer = peer.hear();
    assert_eq!(answer["subscribe"]["delta"], json!(true));
    let recovered = answer["subscribe"]["publications"].as_array().unwrap();
    assert_eq!(recovered.iter().map(&mut take).collect::<Vec<_>>(), [false, true]);
    say(3);
    assert!(take(&peer.hear()["push"]["pub"]), "it has the publication before");
    let mut late = stand.connected("");
    late.say(&[json!({ "id": 2, "subscribe": { "channel": "festival", "delta": "fossil" } })]);
    late.hear();
    say(4);
    let first = late.hear();
    assert_eq!(first["push"]["pub"].get("delta"), None, "it has nothing yet");
    assert!(take(&peer.hear()["push"]["pub"]));
}

#[test]
fn filters_leave_out_what_does_not_pass_and_positions_go_on() {
    let stand = Stand::new(|_| {});
    let say = |offset: u64, stage: &str| {
        let tags = [("stage".to_owned(), stage.to_owned())].into();
        let attributes = Some(Arc::new(Attributes { tags, ..Attributes::default() }));
        let item = Item { offset, data: Bytes::from(offset.to_string()), attributes };
        stand.hand_over(vec![stand.apply_item(item)]);
    };
    say(1, "north");
    say(2, "south");
    let mut peer = stand.connected("");
    let filter = json!({ "cmp": "eq", "key": "stage", "val": "north" });
    let subscribe = json!({ "channel": "festival", "recover": true, "offset": 0, "tf": filter });
    peer.say(&[json!({ "id": 2, "subscribe": subscribe })]);
    let answer = peer.hear();
    let recovered = answer["subscribe"]["publications"].as_array().unwrap();
    assert_eq!(recovered.len(), 1);
    assert_eq!(recovered[0]["tags"], json!({ "stage": "north" }));
    say(3, "south");
    say(4, "north");
    assert_eq!(peer.hear()["push"]["pub"]["data"], json!(4));
    peer.say(&[json!({ "id": 3, "subscribe": { "channel": "venue:1", "tf": { "cmp": "eq" } } })]);
    assert_eq!(peer.hear()["error"]["code"], json!(107));
}

/// Goal: a connection that can only be written to takes its commands by its door, one after the other.
#[test]
fn commands_come_by_the_door() {
    let stand = Stand::new(|_| {});
    let door = Uuid::from_u128(7);
    let mut peer = stand.peer_on(Wire::JsonLines, Some(door), b"{\"id\":1,\"connect\":{}}");
    let connected = peer.hear_line();
    assert_eq!(connected["connect"]["session"], json!(door.to_string()));
    assert_eq!(connected["connect"]["node"], json!("node"));
    let frame =
        Bytes::from_static(b"{\"id\":2,\"subscribe\":{\"channel\":\"festival\"}}\n{\"id\":3,\"rpc\":{}}");
    stand.tell(Message::Commands { door: Uuid::from_u128(8), frame: frame.clone() });
    stand.tell(Message::Commands { door, frame });
    assert!(peer.hear_line().get("subscribe").is_some());
    assert_eq!(peer.hear_line()["error"]["code"], json!(108));
    stand.publish(1);
    assert_eq!(peer.hear_line()["push"]["pub"]["data"], json!(1));
    stand.life.drain().cancel();
    let mut rest = String::new();
    peer.stream.read_to_string(&mut rest).unwrap();
    assert!(rest.starts_with("{\"push\":{\"disconnect\":{\"code\":3001,"), "{rest}");
}

/// Goal: what piles up behind a held command has a bound, and the client is told that it sends too much.
#[test]
fn commands_that_pile_up_end_the_connection() {
    let stand = Stand::new(|config| {
        config.hold_ms = 4_000;
        config.limits.message_bytes_max = 4_096;
    });
    let door = Uuid::from_u128(7);
    let mut peer = stand.peer_on(Wire::JsonLines, Some(door), b"{\"id\":1,\"connect\":{}}");
    assert!(peer.hear_line().get("connect").is_some());
    let frame = |command: &Value| Bytes::from(command.to_string());
    stand.tell(Message::Commands { door, frame: frame(&recover(2, 5)) }); // the node is at 0
    let long = json!({ "id": 3, "rpc": { "method": "time", "data": "x".repeat(3_000) } });
    for _ in 0..2 {
        stand.tell(Message::Commands { door, frame: frame(&long) });
    }
    assert_eq!(peer.hear_line()["push"]["disconnect"]["code"], json!(3013));
}
