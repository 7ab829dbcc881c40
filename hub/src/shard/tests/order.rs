//! Whatever publications, subscriptions, unsubscriptions and slow readers come together, and in whatever order: each
//! subscriber has every publication of its topics once, in order, from the position of its answer on.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const TOPICS: [&str; 3] = ["festival", "venue:1", "event:2"];
const PEERS: usize = 3;

/// What is published, and what each subscriber has heard.
struct Scene {
    stand: Stand,
    peers: Vec<Member>,
    /// The offsets of each topic.
    published: BTreeMap<&'static str, Vec<u64>>,
    last: u64,
    /// In the history, and not yet in the shard.
    pending: Vec<Live>,
}

struct Member {
    peer: Peer,
    next_command: u64,
    /// Subscribed, as the client sees it when all its commands are answered.
    follows: [bool; TOPICS.len()],
    /// The topic and whether it was a subscribe, by command.
    asked: BTreeMap<u64, (usize, bool)>,
    /// Of each topic: the position from which the subscription is live, and what was heard since.
    live: [Option<(u64, Vec<u64>)>; TOPICS.len()],
}

impl Scene {
    fn new() -> Self {
        let stand = Stand::new(|config| {
            config.limits.queue_bytes_max = 67_108_864;
            config.limits.commands_burst = 100_000;
        });
        let member = |_| Member {
            peer: stand.connected(""),
            next_command: 2,
            follows: Default::default(),
            asked: BTreeMap::new(),
            live: Default::default(),
        };
        let peers = (0..PEERS).map(member).collect();
        Self { stand, peers, published: BTreeMap::new(), last: 0, pending: Vec::new() }
    }

    fn publish(&mut self, topic: usize, urgent: bool) {
        let topic = TOPICS[topic];
        let before = self.published.entry(topic).or_default();
        self.last += 1;
        let data = Bytes::from(json!({ "text": "x".repeat(1_500) }).to_string());
        let item = Item { offset: self.last, data, attributes: None };
        let entry = Entry {
            partition: 0,
            offset: self.last,
            prev: before.last().copied().unwrap_or_default(),
            first: before.is_empty(),
            publication: NewPublication {
                id: PublicationId(Uuid::from_u128(u128::from(self.last))),
                topic: Topic::new(topic).unwrap(),
                data: item.data.clone(),
                lane: Lane::Standard,
                change: None,
                attributes: None,
                at: self.stand.clock.now(),
            },
        };
        before.push(self.last);
        let now = self.stand.clock.now();
        let applied = self.stand.histories.write(0).apply(&entry, item.clone(), now);
        let Ok(Applied::Now { turn, base }) = applied else { panic!("it follows") };
        self.pending.push(Live::new(entry.publication.topic, turn, item, base).urgent(urgent));
    }

    fn hand_over(&mut self) {
        let publications = std::mem::take(&mut self.pending);
        self.stand.hand_over(publications);
    }

    /// Every member hears to the end; what is wrong fails.
    fn finish(mut self) {
        self.hand_over();
        for member in &mut self.peers {
            while !member.has_all(&self.published) {
                member.peer.read();
                member.listen(&self.published);
            }
        }
    }
}

impl Member {
    fn toggle(&mut self, topic: usize) {
        let id = self.next_command;
        self.next_command += 1;
        let begins = !self.follows[topic];
        self.follows[topic] = begins;
        self.asked.insert(id, (topic, begins));
        let command = if begins { "subscribe" } else { "unsubscribe" };
        self.peer.say(&[json!({ "id": id, command: { "channel": TOPICS[topic] } })]);
    }

    /// Takes what has come.
    fn listen(&mut self, published: &BTreeMap<&'static str, Vec<u64>>) {
        while let Some(message) = self.peer.heard.pop_front() {
            if let Some(id) = message["id"].as_u64() {
                let (topic, begins) = self.asked.remove(&id).expect("it was asked, and answered once");
                let result = if begins { "subscribe" } else { "unsubscribe" };
                assert!(message.get(result).is_some(), "{message}");
                let position = message["subscribe"]["offset"].as_u64().unwrap_or_default();
                self.live[topic] = begins.then(|| (position, Vec::new()));
            } else {
                let push = &message["push"];
                let topic = TOPICS.iter().position(|topic| push["channel"] == **topic).unwrap();
                let offset = push["pub"]["offset"].as_u64().unwrap_or_else(|| panic!("{message}"));
                let (position, heard) = self.live[topic].as_mut().expect("only who follows hears");
                let next = published[TOPICS[topic]].iter().filter(|one| *one > position).nth(heard.len());
                assert_eq!(next, Some(&offset), "without gap, duplicate or reorder");
                heard.push(offset);
            }
        }
        assert_eq!(self.peer.closed, None);
    }

    fn has_all(&self, published: &BTreeMap<&'static str, Vec<u64>>) -> bool {
        let complete = |(topic, live): (&&str, &Option<(u64, Vec<u64>)>)| {
            live.as_ref().is_none_or(|(position, heard)| {
                let all = published.get(topic).into_iter().flatten();
                all.filter(|one| *one > position).count() == heard.len()
            })
        };
        self.asked.is_empty() && TOPICS.iter().zip(&self.live).all(complete)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn each_subscriber_has_everything_once_and_in_order(
        steps in proptest::collection::vec((0..8_u8, 0..PEERS, 0..TOPICS.len(), 1..24_usize, any::<bool>()), 1..60),
    ) {
        let mut scene = Scene::new();
        for (kind, peer, topic, count, flag) in steps {
            match kind {
                0..=3 => {
                    for number in 0..count {
                        scene.publish((topic + number % 2) % TOPICS.len(), flag && number % 3 == 0);
                    }
                    if flag {
                        scene.hand_over();
                    }
                }
                4..=6 => scene.peers[peer].toggle(topic),
                _ => {
                    scene.hand_over();
                    let member = &mut scene.peers[peer];
                    while member.peer.read_some() {}
                    member.listen(&scene.published);
                }
            }
        }
        scene.finish();
    }
}

/// Goal: what is urgent does not wait for what is not, although that came first and the reader is slow.
#[test]
fn what_is_urgent_overtakes_what_waits_of_other_topics() {
    let mut scene = Scene::new();
    for topic in 0..2 {
        scene.peers[0].toggle(topic);
        scene.peers[0].peer.read();
        scene.peers[0].listen(&scene.published);
    }
    for _ in 0..1_000 {
        scene.publish(1, false);
    }
    scene.hand_over();
    scene.publish(0, true);
    let emergency = scene.last;
    scene.hand_over();
    let mut before = 0;
    let heard =
        |scene: &Scene, topic: usize| scene.peers[0].live[topic].as_ref().map_or(0, |live| live.1.len());
    while heard(&scene, 0) == 0 {
        scene.peers[0].peer.read();
        before = heard(&scene, 1);
        scene.peers[0].listen(&scene.published);
    }
    assert!(before < 500, "{before} of 1000 came before emergency {emergency}");
    scene.finish();
}
