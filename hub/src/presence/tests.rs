//! Whatever joins, leaves, deaths and repetitions there are, every node knows the truth in the end.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const TIMEOUT_MS: u64 = 1_000;
const BYTES_MAX: usize = 1_200;

fn member(client: &str) -> Member {
    let info = Publisher { user: format!("of {client}"), client: client.to_owned(), ..Publisher::default() };
    Member { info, seen: true, announced: true }
}

fn topic(number: u8) -> Topic {
    Topic::new(format!("room:{number}")).unwrap()
}

/// A node without clocks, tasks and sockets.
struct Node {
    name: Arc<str>,
    local: Local,
    table: Table,
    seats: Vec<(u8, Arc<Member>)>,
    /// How far it has read the log of each node.
    read: BTreeMap<usize, usize>,
    alive: bool,
    /// What its subscribers believe by what they were told of the others' clients.
    told: BTreeSet<(String, String)>,
}

impl Node {
    fn new(number: usize) -> Self {
        let name: Arc<str> = format!("n{number}").into();
        Self {
            local: Local::new(6),
            table: Table::new(&name),
            name,
            seats: Vec::new(),
            read: BTreeMap::new(),
            alive: true,
            told: BTreeSet::new(),
        }
    }

    fn truth(&self) -> BTreeSet<(String, String)> {
        let seat =
            |(number, member): &(u8, Arc<Member>)| (topic(*number).to_string(), member.info.client.clone());
        self.seats.iter().map(seat).collect()
    }

    fn hear(&mut self, signals: &[Signal]) {
        for signal in signals {
            let (topic, client, joined) = signal.told();
            let key = (topic.to_owned(), client.to_owned());
            if joined {
                assert!(self.told.insert(key), "{client} comes twice");
            } else {
                assert!(self.told.remove(&key), "{client} goes without having come");
            }
        }
    }
}

struct World {
    nodes: Vec<Node>,
    /// The log of each node, as JSON.
    logs: Vec<Vec<String>>,
    now_ms: u64,
    clients: u32,
}

impl World {
    fn new(nodes: usize) -> Self {
        let logs = vec![Vec::new(); nodes];
        Self { nodes: (0..nodes).map(Node::new).collect(), logs, now_ms: 0, clients: 0 }
    }

    fn join(&mut self, at: usize, number: u8) {
        self.clients += 1;
        let member = Arc::new(member(&format!("c{}", self.clients)));
        let node = &mut self.nodes[at];
        node.local.enter(&topic(number), &member);
        node.seats.push((number, member));
    }

    fn leave(&mut self, at: usize, pick: usize) {
        let node = &mut self.nodes[at];
        if !node.seats.is_empty() {
            let (number, member) = node.seats.swap_remove(pick % node.seats.len());
            node.local.leave(&topic(number), &member);
        }
    }

    fn tell(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let wants = node.table.take_wants(self.now_ms, 1);
        for entry in node.local.take_entries(wants, true, BYTES_MAX) {
            self.logs[at].push(serde_json::to_string(&entry).unwrap());
        }
    }

    /// `at` reads up to `count` entries of the log of `of`, from `back` entries before where it was.
    fn read(&mut self, at: usize, of: usize, count: usize, back: usize) {
        let node = &mut self.nodes[at];
        let read = node.read.entry(of).or_insert(0);
        let from = read.saturating_sub(back);
        let to = (*read + count).min(self.logs[of].len());
        *read = to;
        for text in &self.logs[of][from..to] {
            let entry = serde_json::from_str(text).unwrap();
            let folded = node.table.fold(&format!("n{of}"), entry, self.now_ms);
            if folded.asked {
                node.local.tell_all();
            }
            if of != at {
                node.hear(&folded.signals);
            }
        }
    }

    fn expire(&mut self, at: usize) {
        let gone = self.nodes[at].table.expire(self.now_ms, TIMEOUT_MS);
        self.nodes[at].hear(&gone);
    }

    fn start(&mut self) {
        let mut node = Node::new(self.nodes.len());
        // what the log says of the time before is not listened to
        node.read = self.logs.iter().map(Vec::len).enumerate().collect();
        self.nodes.push(node);
        self.logs.push(Vec::new());
    }

    fn alive(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|at| self.nodes[*at].alive).collect()
    }

    /// Everybody who lives tells and reads everything, until the dead have timed out.
    fn settle(&mut self) {
        for _ in 0..12 {
            self.now_ms += TIMEOUT_MS / 4;
            for at in self.alive() {
                self.tell(at);
            }
            for at in self.alive() {
                (0..self.logs.len()).for_each(|of| self.read(at, of, usize::MAX / 2, 0));
            }
            self.alive().into_iter().for_each(|at| self.expire(at));
        }
    }
}

proptest! {
    #[test]
    fn every_node_knows_the_truth_in_the_end(
        steps in proptest::collection::vec((0..12_u8, any::<u8>(), any::<u8>(), 0..4_u8), 0..150),
    ) {
        let mut world = World::new(3);
        for (kind, one, two, number) in steps {
            let alive = world.alive();
            let at = alive[usize::from(one) % alive.len()];
            let of = usize::from(two) % world.nodes.len();
            match kind {
                0..=2 => world.join(at, number),
                3 | 4 => world.leave(at, usize::from(two)),
                5 | 6 => world.tell(at),
                7 => world.read(at, of, usize::from(number) + 1, 0),
                8 => world.read(at, of, usize::from(number), usize::from(two) % 7),
                9 => {
                    world.now_ms += 400 * u64::from(number);
                    world.expire(at);
                }
                10 => world.nodes[at].table.doubt(),
                _ if alive.len() > 1 && number == 0 => world.nodes[at].alive = false,
                _ if world.nodes.len() < 6 && number == 1 => world.start(),
                _ => {}
            }
        }
        world.settle();
        let alive = world.alive();
        for at in &alive {
            let others: BTreeSet<_> =
                alive.iter().filter(|of| *of != at).flat_map(|of| world.nodes[*of].truth()).collect();
            let node = &world.nodes[*at];
            let (mut known, mut own) = (BTreeSet::new(), BTreeSet::new());
            for topic in (0..4).map(topic) {
                let key = |member: &Arc<Member>| (topic.to_string(), member.info.client.clone());
                known.extend(node.table.of(&topic).map(key));
                own.extend(node.local.of(&topic).map(key));
            }
            prop_assert_eq!(&known, &others, "{} knows the others", node.name);
            prop_assert_eq!(&node.told, &others, "its subscribers were told the same");
            prop_assert_eq!(own, node.truth());
        }
    }
}

#[test]
fn changes_that_are_many_make_entries_of_a_bounded_size() {
    let mut local = Local::new(1_000);
    for number in 0..200 {
        local.enter(&topic(1), &Arc::new(member(&format!("c{number}"))));
    }
    let entries = local.take_entries(Vec::new(), false, BYTES_MAX);
    assert!(entries.len() > 10);
    for entry in &entries {
        assert!(serde_json::to_vec(entry).unwrap().len() <= BYTES_MAX);
    }
    assert_eq!(entries.iter().map(|entry| entry.changes.len()).sum::<usize>(), 200);
}

/// Goal: while nothing of the log comes back, nobody is given up; they may be as well as we are.
#[test]
fn silence_means_nothing_while_the_log_is_silent() {
    let mut world = World::new(2);
    world.join(0, 1);
    world.tell(0);
    world.tell(1);
    for at in [0, 1] {
        (0..2).for_each(|of| world.read(at, of, 9, 0));
    }
    for _ in 0..20 {
        world.now_ms += TIMEOUT_MS;
        world.expire(1);
    }
    assert_eq!(world.nodes[1].table.of(&topic(1)).count(), 1);
    for _ in 0..6 {
        world.now_ms += TIMEOUT_MS / 4;
        world.tell(1);
        world.read(1, 1, 9, 0);
        world.expire(1);
    }
    assert_eq!(
        world.nodes[1].table.of(&topic(1)).count(),
        0,
        "our own word comes back, the other's does not"
    );
}

#[tokio::test]
async fn all_who_are_nobody_are_one_user() {
    let presence = Presence::new(&"node".into(), &config::Presence::default());
    let seat = |user: &str, client: &str, seen| {
        let info = Publisher { user: user.to_owned(), client: client.to_owned(), ..Publisher::default() };
        presence.enter(&topic(1), Member { info, seen, announced: false })
    };
    let seats = [seat("", "a", true), seat("", "b", true), seat("ali", "c", true), seat("ali", "d", true)];
    let _hidden = seat("mona", "e", false);
    assert_eq!(presence.count(&topic(1)), Headcount { clients: 4, users: 2 });
    assert_eq!(presence.list(&topic(1)).unwrap().len(), 4);
    drop(seats);
    assert_eq!(presence.count(&topic(1)), Headcount::default());
}
