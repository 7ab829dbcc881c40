//! The life of one client: it follows its topic through every loss of its connection, as an SDK does, publishes, and
//! cuts itself off at random.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use protocol::centrifuge::Dialect;
use rand::Rng as _;
use rand::rngs::StdRng;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::Plan;
use super::books::{Book, Mark};
use super::line::{Given, Line, Said};
use crate::client::{ClientError, Position};
use crate::histogram::Histogram;

/// Between two attempts to connect.
pub(super) const RECONNECT_DELAY_MS: std::ops::Range<u64> = 20..200;
/// How long a client that cut itself off stays away.
pub(super) const AWAY_MS: std::ops::Range<u64> = 0..3_000;
/// Of so many absences, one says goodbye first and one only leaves the topic for a while.
const MANNERS: u32 = 4;
/// Codes from here on mean that the client has to subscribe again.
const RESUBSCRIBE_FROM: u32 = 2_500;

/// What all members do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// They live.
    Live,
    /// They only listen.
    Settle,
    /// Half of them are gone.
    Thin,
    /// All leave.
    End,
}

/// What the members share.
#[derive(Debug)]
pub(super) struct Board {
    start: Instant,
    /// From publishing to hearing, over connections that were there all the time.
    pub latency: Histogram,
    /// The last offset that anybody heard, by topic.
    tops: Vec<AtomicU64>,
    /// Where each member is: topic and offset.
    places: std::sync::Mutex<HashMap<u32, (u32, u64)>>,
}

/// One client.
#[derive(Debug)]
pub(super) struct Member {
    number: u32,
    url: String,
    token: String,
    rng: StdRng,
}

/// A client that is connected and subscribed.
#[derive(Debug)]
pub(super) struct Inside {
    member: Member,
    dialect: Dialect,
    plan: Plan,
    board: Arc<Board>,
    book: Book,
    position: Position,
    line: Option<Line>,
    /// Ids of subscribe commands, and of publications with what they say.
    subscribing: Option<u32>,
    publishing: HashMap<u32, Mark>,
    published: u32,
}

/// What a member publishes.
#[derive(Debug, Deserialize)]
pub(super) struct Message {
    /// The number of who published it.
    pub by: u32,
    /// Its number among theirs.
    pub n: u32,
    /// When that was, by the board's clock.
    pub at_us: u64,
}

/// Why a member stops listening for a moment.
enum Turn {
    Publish,
    Absence,
    Stage,
}

/// The topic's name on the wire.
pub(super) fn topic_name(topic: u32) -> String {
    format!("soak:{topic}")
}

impl Board {
    pub(super) fn new(topics: u32) -> Self {
        Self {
            start: Instant::now(),
            latency: Histogram::default(),
            tops: (0..topics).map(|_| AtomicU64::new(0)).collect(),
            places: std::sync::Mutex::default(),
        }
    }

    /// Members that have not heard what others of their topic have.
    pub(super) fn behind(&self) -> usize {
        let places = self.places.lock().expect("no holder of this lock panics");
        let top = |topic: u32| self.tops[topic as usize].load(Ordering::Relaxed);
        places.values().filter(|(topic, offset)| *offset < top(*topic)).count()
    }

    /// A publication was heard: everybody of the topic has to get as far.
    fn heard(&self, topic: u32, offset: u64) {
        self.tops[topic as usize].fetch_max(offset, Ordering::Relaxed);
    }

    /// A member has moved on, by a publication or by the answer to a subscription, which may lie beyond the last one.
    fn moved(&self, member: u32, topic: u32, offset: u64) {
        self.places.lock().expect("no holder of this lock panics").insert(member, (topic, offset));
    }

    /// Something that was published at `at_us` has come.
    pub(super) fn late(&self, at_us: u64) {
        self.latency.record(Duration::from_micros(self.now_us().saturating_sub(at_us)));
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

impl Member {
    pub(super) fn new(number: u32, url: String, token: String, rng: StdRng) -> Self {
        Self { number, url, token, rng }
    }

    /// Whether member `number` is there to the end.
    pub(super) fn stays(number: u32) -> bool {
        number % 4 < 2 // of both dialects
    }

    /// Connects and subscribes for the first time.
    pub(super) async fn enter(
        self,
        dialect: Dialect,
        plan: Plan,
        board: Arc<Board>,
    ) -> Result<Inside, ClientError> {
        let topic = self.number % plan.users.div_ceil(plan.crowd);
        let mut inside = Inside {
            member: self,
            dialect,
            plan,
            board,
            book: Book::of(topic),
            position: Position { epoch: String::new(), offset: 0 },
            line: None,
            subscribing: None,
            publishing: HashMap::new(),
            published: 0,
        };
        inside.connect().await?;
        while inside.subscribing.is_some() {
            inside.listen().await?;
        }
        Ok(inside)
    }
}

impl Inside {
    /// Lives through all stages; gives its book.
    pub(super) async fn live(mut self, mut stages: watch::Receiver<Stage>) -> Book {
        let (mut publish_at, mut absent_at) = (self.next_publication(), self.next_absence());
        loop {
            let stage = *stages.borrow_and_update();
            match stage {
                Stage::Thin if !Member::stays(self.member.number) => break,
                Stage::End => break,
                _ => {}
            }
            let is_live = stage == Stage::Live;
            if self.line.is_none() && self.connect().await.is_err() {
                sleep(Duration::from_millis(self.member.rng.random_range(RECONNECT_DELAY_MS))).await;
                continue;
            }
            let turn = tokio::select! {
                heard = self.listen() => { // cancel-safe: a frame is taken whole or not at all
                    if heard.is_err() {
                        self.book.lost += 1;
                        self.forget_line();
                    }
                    continue;
                }
                () = sleep_until(publish_at), if is_live => Turn::Publish,
                () = sleep_until(absent_at), if is_live => Turn::Absence,
                changed = stages.changed() => if changed.is_ok() { Turn::Stage } else { break },
            };
            match turn {
                Turn::Publish => {
                    publish_at = self.next_publication();
                    if self.publish().await.is_err() {
                        self.forget_line();
                    }
                }
                Turn::Absence => {
                    self.be_absent().await;
                    absent_at = self.next_absence();
                }
                Turn::Stage => {}
            }
        }
        self.book
    }

    async fn connect(&mut self) -> Result<(), ClientError> {
        let Member { number, url, token, .. } = &self.member;
        let mut line = Line::open(url, self.dialect, token, *number as usize).await?;
        self.subscribing = Some(line.subscribe(&topic_name(self.book.topic), self.since().as_ref()).await?);
        self.line = Some(line);
        Ok(())
    }

    /// The position to recover from; none before the first subscription.
    fn since(&self) -> Option<Position> {
        (!self.position.epoch.is_empty()).then(|| self.position.clone())
    }

    /// Reads one frame and notes what it says.
    async fn listen(&mut self) -> Result<(), ClientError> {
        let Some(line) = &mut self.line else { return Ok(()) };
        for said in line.next().await? {
            match said {
                Said::Published(offset, data) => self.take(offset, &data, true),
                Said::Answered(id, Ok(Given::Subscription(position, recovered, missed)))
                    if Some(id) == self.subscribing =>
                {
                    self.subscribed(position, recovered, missed);
                }
                Said::Answered(id, answer) => self.answered(id, answer.is_ok()),
                Said::Unsubscribed(code) if code >= RESUBSCRIBE_FROM => self.subscribe_again().await?,
                Said::Unsubscribed(_) => self.book.refused += 1,
            }
        }
        Ok(())
    }

    fn subscribed(&mut self, position: Position, recovered: bool, missed: Vec<(u64, Vec<u8>)>) {
        self.subscribing = None;
        let was_recovering = self.since().is_some();
        if was_recovering && !recovered {
            self.book.unrecovered += 1;
        }
        self.position.epoch = position.epoch;
        if missed.is_empty() {
            self.position.offset = position.offset;
        }
        self.book.recovered += missed.len() as u64;
        for (offset, data) in missed {
            self.take(offset, &data, false);
        }
        self.board.moved(self.member.number, self.book.topic, self.position.offset);
    }

    fn take(&mut self, offset: u64, data: &[u8], is_live: bool) {
        let Ok(message) = serde_json::from_slice::<Message>(data) else {
            self.book.refused += 1;
            return;
        };
        if self.book.note(offset, (message.by, message.n)) && is_live {
            self.board.late(message.at_us);
        }
        self.position.offset = self.position.offset.max(offset);
        self.board.heard(self.book.topic, offset);
        self.board.moved(self.member.number, self.book.topic, self.position.offset);
    }

    fn answered(&mut self, id: u32, is_done: bool) {
        match (self.publishing.remove(&id), is_done) {
            (Some(mark), true) => self.book.confirmed.push(mark),
            (_, true) => {}
            (_, false) => self.book.refused += 1,
        }
    }

    async fn subscribe_again(&mut self) -> Result<(), ClientError> {
        let since = self.since();
        if let Some(line) = &mut self.line {
            self.subscribing = Some(line.subscribe(&topic_name(self.book.topic), since.as_ref()).await?);
        }
        Ok(())
    }

    async fn publish(&mut self) -> Result<(), ClientError> {
        if self.subscribing.is_some() {
            return Ok(()); // an SDK waits until it is subscribed
        }
        let Some(line) = &mut self.line else { return Ok(()) };
        self.published += 1;
        let mark = (self.member.number, self.published);
        let message =
            json!({ "by": mark.0, "n": mark.1, "at_us": self.board.now_us(), "text": "مرحبا بالجميع" });
        let id = line.publish(&topic_name(self.book.topic), &message.to_string()).await?;
        self.publishing.insert(id, mark);
        Ok(())
    }

    /// Goes away for a while: breaks the connection, closes it, or leaves the topic.
    async fn be_absent(&mut self) {
        let away = Duration::from_millis(self.member.rng.random_range(AWAY_MS));
        let manner = self.member.rng.random_range(0..MANNERS);
        let Some(mut line) = self.line.take() else { return };
        if manner == 0 && self.subscribing.is_none() {
            self.book.pauses += 1;
            if line.unsubscribe(&topic_name(self.book.topic)).await.is_ok() {
                self.line = Some(line);
                self.pause(away).await;
                return;
            }
        } else if manner == 1 {
            line.close().await;
        }
        self.book.cuts += 1;
        self.forget_line();
        sleep(away).await;
    }

    /// Listens on, because publications may be on their way and pings want answers; then subscribes again.
    async fn pause(&mut self, away: Duration) {
        let until = Instant::now() + away;
        let done = loop {
            tokio::select! {
                heard = self.listen() => if heard.is_err() { break heard },
                () = sleep_until(until) => break self.subscribe_again().await,
            }
        };
        if done.is_err() {
            self.book.lost += 1;
            self.forget_line();
        }
    }

    /// Nobody knows what became of the commands that were under way.
    fn forget_line(&mut self) {
        self.line = None;
        self.subscribing = None;
        self.publishing.clear();
    }

    fn next_publication(&mut self) -> Instant {
        let mean = f64::from(self.plan.users) / f64::from(self.plan.rate);
        self.after(mean)
    }

    fn next_absence(&mut self) -> Instant {
        let mean = f64::from(self.plan.cut_seconds);
        self.after(mean)
    }

    /// Anywhere between at once and twice `mean_secs`.
    fn after(&mut self, mean_secs: f64) -> Instant {
        Instant::now() + Duration::from_secs_f64(self.member.rng.random_range(0.0..2.0) * mean_secs)
    }
}
