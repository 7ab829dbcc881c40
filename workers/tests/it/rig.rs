//! A running set of workers, and what a test does to it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use domain::{
    Announced, AnnouncementId, Audience, Change, ChangeId, ChangeKind, Channel, Clock, DeliveryId,
    DeliveryState, Lane, Language, LocalizedText, NotificationId, ReceiptKey, Timestamp, UserId,
};
use serde_json::Value;
use service::{Lifecycle, SystemClock};
use store::Store;
use store::devices::{self, NewDevice, Platform, TokenKind};
use store::notifications;
use store::outbox;
use store::users::{self, NewUser};
use streams::{ChangeLog, Cursor, Epoch, NewItem, QueueName, ReadBatch, WorkQueue};
use tokio::time::Instant;
use workers::{Config, Deps, Escalation, Gateways, Retry};

use crate::gateway::Scripted;

/// Declares `embedded::name` and `servers::name` for each `async fn name(rig: Rig)`.
macro_rules! on_both_backends {
    ($($name:ident),+ $(,)?) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(crate::rig::Rig::embedded().await).await;
            })+
        }

        mod servers {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(crate::rig::Rig::servers().await).await;
            })+
        }
    };
}

/// The same for measurements, which want an idle machine.
macro_rules! on_both_backends_ignored {
    ($($name:ident),+ $(,)?) => {
        mod embedded_measured {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            #[ignore = "a measurement: wants an idle machine"]
            async fn $name() {
                super::$name(crate::rig::Rig::embedded().await).await;
            })+
        }

        mod servers_measured {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            #[ignore = "a measurement: wants an idle machine"]
            async fn $name() {
                super::$name(crate::rig::Rig::servers().await).await;
            })+
        }
    };
}

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// The system's clock, ahead of its time.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    micros: AtomicU64,
}

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        SystemClock.now() + Duration::from_micros(self.micros.load(Ordering::Relaxed))
    }
}

/// Workers, their backends, and their scripted providers.
pub(crate) struct Rig {
    pub(crate) store: Store,
    pub(crate) log: ChangeLog,
    pub(crate) queue: WorkQueue,
    pub(crate) config: Config,
    pub(crate) apns: Arc<Scripted>,
    pub(crate) fcm: Arc<Scripted>,
    pub(crate) email: Arc<Scripted>,
    pub(crate) clock: Arc<dyn Clock>,
    ahead: Arc<Ahead>,
    pub(crate) key: ReceiptKey,
    life: Lifecycle,
    _directory: tempfile::TempDir,
    _redis: Option<testkit::redis::TestRedis>,
}

impl Rig {
    pub(crate) async fn embedded() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", directory.path().join("test.db").display());
        Self::over(url, directory, None).await
    }

    pub(crate) async fn servers() -> Self {
        let database = testkit::postgres::database().await;
        let redis = testkit::redis::server().await;
        Self::over(database.url, tempfile::tempdir().unwrap(), Some(redis)).await
    }

    async fn over(
        database: String,
        directory: tempfile::TempDir,
        redis: Option<testkit::redis::TestRedis>,
    ) -> Self {
        let store =
            Store::connect(&store::Config { url: database, ..store::Config::default() }).await.unwrap();
        store.migrate().await.unwrap();
        let ahead = Arc::new(Ahead::default());
        let clock: Arc<dyn Clock> = ahead.clone();
        let mut streams = streams::Config::default();
        if let Some(redis) = &redis {
            streams.url.clone_from(&redis.url);
            streams.key_prefix.clone_from(&redis.key_prefix);
        }
        let (log, queue) = streams::open(&streams, directory.path(), Arc::clone(&clock)).await.unwrap();
        Self {
            store,
            log,
            queue,
            config: quick(),
            apns: Arc::default(),
            fcm: Arc::default(),
            email: Arc::default(),
            clock,
            ahead,
            key: ReceiptKey::new([7; 32]),
            life: Lifecycle::new(),
            _directory: directory,
            _redis: redis,
        }
    }

    pub(crate) async fn start(&mut self) {
        let gateways = Gateways {
            apns: Some(self.apns.clone()),
            fcm: Some(self.fcm.clone()),
            email: Some(self.email.clone()),
            ..Gateways::default()
        };
        self.start_with(gateways).await;
    }

    /// The same with other providers.
    pub(crate) async fn start_with(&mut self, gateways: Gateways) {
        self.life = Lifecycle::new();
        let deps = Deps {
            store: self.store.clone(),
            log: self.log.clone(),
            queue: self.queue.clone(),
            receipt_key: self.key.clone(),
            clock: Arc::clone(&self.clock),
            gateways,
        };
        workers::start(self.config.clone(), deps, &self.life).await.unwrap();
    }

    /// Moves the clock of everybody.
    pub(crate) fn forward(&self, span: Duration) {
        self.ahead.micros.fetch_add(u64::try_from(span.as_micros()).unwrap(), Ordering::Relaxed);
    }

    /// The life of what was started last; a test takes it to start another process beside it.
    pub(crate) fn life_mut(&mut self) -> &mut Lifecycle {
        &mut self.life
    }

    /// Drops every job where it is, as a crash would.
    pub(crate) async fn kill(&self) {
        self.life.abort().cancel();
        self.life.finished().await;
    }

    /// Ends in order; every job has to end by itself.
    pub(crate) async fn stop(self) {
        self.life.drain().cancel();
        tokio::time::timeout(PATIENCE, self.life.finished())
            .await
            .expect("every job ends when the process drains");
        assert!(!self.life.has_failed());
    }

    /// `number` users, each with an iPhone, an Android phone and a mailbox. Targets are `apns-1`, `fcm-1`, `user1@…`.
    pub(crate) async fn people(&self, number: usize) -> Vec<UserId> {
        let now = self.clock.now();
        let new: Vec<NewUser> = (1..=number)
            .map(|index| NewUser {
                email: format!("user{index}@example.org"),
                name: format!("User {index}"),
                password_hash: None,
                roles: Vec::new(),
                language: Language::Ar,
            })
            .collect();
        let mut tx = self.store.begin().await.unwrap();
        let users = users::insert(&mut tx, &new, now).await.unwrap();
        for (index, user) in users.iter().enumerate() {
            let index = index + 1;
            for (platform, token_kind, name) in
                [(Platform::Ios, TokenKind::Apns, "apns"), (Platform::Android, TokenKind::FcmToken, "fcm")]
            {
                let device = NewDevice {
                    user_id: *user,
                    installation_id: format!("{name}-installation-{index}"),
                    platform,
                    token_kind,
                    token: format!("{name}-{index}"),
                    locale: "en-GB".to_owned(),
                    app_version: "1.0".to_owned(),
                };
                devices::register(&mut tx, &device, now).await.unwrap();
            }
        }
        tx.commit().await.unwrap();
        users
    }

    /// Writes a change to the outbox, as an operation does.
    pub(crate) async fn change(&self, kind: ChangeKind) -> Change {
        self.commit(Change {
            id: ChangeId::at(self.clock.now(), rand::random()),
            at: self.clock.now(),
            actor: None,
            mutation: None,
            kind,
        })
        .await
    }

    pub(crate) async fn commit(&self, change: Change) -> Change {
        let mut tx = self.store.begin().await.unwrap();
        outbox::append(&mut tx, &change).await.unwrap();
        tx.commit().await.unwrap();
        change
    }

    /// Announces something to everybody; it is of use for `lasts`.
    pub(crate) async fn announce(&self, lane: Lane, lasts: Duration) -> NotificationId {
        self.announce_as(lane, lasts, Audience::Everyone, None).await
    }

    /// Announces something, in the place of an earlier notification where one is given.
    pub(crate) async fn announce_as(
        &self,
        lane: Lane,
        lasts: Duration,
        audience: Audience,
        replaces: Option<NotificationId>,
    ) -> NotificationId {
        let id = ChangeId::at(self.clock.now(), rand::random());
        let notification_id = NotificationId::of(id);
        let announced = Announced {
            announcement_id: AnnouncementId(1),
            notification_id,
            lane,
            title: LocalizedText { ar: Some("عاصفة".to_owned()), en: Some("Storm".to_owned()) },
            body: LocalizedText::english("Leave the beach."),
            audience,
            expires_at: self.clock.now() + lasts,
            alert: None,
            thread_id: replaces,
            replaces,
        };
        let kind = ChangeKind::Announcement(announced);
        self.commit(Change { id, at: self.clock.now(), actor: None, mutation: None, kind }).await;
        notification_id
    }

    pub(crate) async fn withdraw(&self, notification_id: NotificationId) {
        self.change(ChangeKind::AnnouncementCancelled {
            announcement_id: AnnouncementId(1),
            notification_id,
            audience: Audience::Everyone,
        })
        .await;
    }

    /// Confirms deliveries as the hub does.
    pub(crate) async fn confirm(&self, deliveries: &[DeliveryId], state: &str) {
        let items: Vec<NewItem> = deliveries
            .iter()
            .map(|id| NewItem {
                id: format!("{id}{state}").into(),
                body: serde_json::json!({
                    "delivery_id": id, "state": state, "at": self.clock.now(), "source": "socket",
                })
                .to_string()
                .into(),
                not_before: None,
            })
            .collect();
        self.queue.push(&QueueName("receipts".into()), &items).await.unwrap();
    }

    pub(crate) async fn counts(&self, id: NotificationId) -> Counts {
        let counts = notifications::counts(&self.store, id).await.unwrap();
        Counts(counts.into_iter().map(|one| ((one.channel, one.state), one.deliveries)).collect())
    }

    /// Waits until the counts satisfy `reached`. From the end of planning on, their sum has to be `deliveries` at every
    /// look.
    pub(crate) async fn until_counts(
        &self,
        id: NotificationId,
        deliveries: u64,
        reached: impl Fn(&Counts) -> bool,
    ) -> Counts {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let planned = notifications::find(&self.store, id)
                .await
                .unwrap()
                .is_some_and(|one| one.planned_at.is_some() && one.cancelled_at.is_none());
            let counts = self.counts(id).await;
            assert!(counts.sum() <= deliveries, "more than there should be: {counts:?}");
            if planned {
                assert_eq!(counts.sum(), deliveries, "audience = sum of states: {counts:?}");
            }
            if reached(&counts) {
                return counts;
            }
            assert!(Instant::now() < deadline, "the counts stay at {counts:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until `reached` holds.
    pub(crate) async fn until(&self, what: &str, mut reached: impl AsyncFnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !reached().await {
            assert!(Instant::now() < deadline, "still waiting: {what}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Everything in the log, by topic, oldest first.
    pub(crate) async fn published(&self) -> HashMap<String, Vec<Value>> {
        let mut published: HashMap<String, Vec<Value>> = HashMap::new();
        for publication in self.publications().await {
            let data = serde_json::from_slice(&publication.data).unwrap();
            published.entry(publication.topic.to_string()).or_default().push(data);
        }
        published
    }

    /// Everything in the log, partition by partition, oldest first.
    pub(crate) async fn publications(&self) -> Vec<streams::Publication> {
        let mut publications = Vec::new();
        for partition in 0..self.log.partitions() {
            let state = self.log.state(partition).await.unwrap();
            let mut after = state.trimmed;
            while after < state.last {
                let cursor = Cursor { partition, epoch: Epoch(state.epoch.0.clone()), after };
                for batch in self.log.read(&[cursor], 1_000, Duration::ZERO).await.unwrap() {
                    let ReadBatch::Entries(entries) = batch else { panic!("the log lost something") };
                    after = entries.last().map_or(after, |entry| entry.offset);
                    publications.extend(entries.into_iter().map(|entry| entry.publication));
                }
            }
        }
        publications
    }

    /// The socket deliveries of a notification, as the recipients' topics carry them.
    pub(crate) async fn socket_messages(&self, id: NotificationId) -> Vec<Value> {
        let published = self.published().await;
        let of_users = published.into_iter().filter(|(topic, _)| topic.starts_with("user:"));
        of_users
            .flat_map(|(_, messages)| messages)
            .filter(|message| message["notification_id"] == id.to_string())
            .collect()
    }
}

/// Deliveries by channel and state.
#[derive(Debug)]
pub(crate) struct Counts(HashMap<(Channel, DeliveryState), u64>);

impl Counts {
    pub(crate) fn sum(&self) -> u64 {
        self.0.values().sum()
    }

    pub(crate) fn of(&self, channel: Channel, state: DeliveryState) -> u64 {
        self.0.get(&(channel, state)).copied().unwrap_or(0)
    }

    /// Deliveries on every channel that something has still to be done for, besides waiting for proof.
    pub(crate) fn under_way(&self) -> u64 {
        use DeliveryState::{Queued, Sending, Unknown, Waiting};
        let open = |state: &DeliveryState| matches!(state, Queued | Waiting | Sending | Unknown);
        self.0.iter().filter(|((_, state), _)| open(state)).map(|(_, number)| number).sum()
    }

    /// Deliveries that have not ended.
    pub(crate) fn open(&self) -> u64 {
        self.0.iter().filter(|((_, state), _)| !state.is_end()).map(|(_, number)| number).sum()
    }
}

/// The delivery id in a message.
pub(crate) fn delivery_id(message: &Value) -> DeliveryId {
    message["delivery_id"].as_str().unwrap().parse().unwrap()
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The times of a test: short.
fn quick() -> Config {
    let mut config = Config { lease_ms: 500, counts_ms: 100, sample_ms: 100, ..Config::default() };
    config.escalation = Escalation::AT_ONCE;
    config.relay.poll_ms = 50;
    config.relay.backoff_max_ms = 200;
    config.planner.read_wait_ms = 50;
    config.planner.poll_ms = 50;
    config.planner.page_users = 10;
    config.deliver.claim_wait_ms = 50;
    config.deliver.record_ms = 10;
    config.deliver.probe_ms = 200;
    config.deliver.probe_max_ms = 1_000;
    config.reminders.every_ms = 100;
    config.preferences.promotions_opt_in = false;
    config.preferences.promotional_cap = 0;
    config.sweeper.every_ms = 100;
    config.sweeper.grace_ms = 0;
    config.sweeper.orphan_ms = 3_000;
    let retry = Retry { floor_ms: 50, factor: 1.5, ceiling_ms: 200, attempts_max: 3 };
    let deliver = &mut config.deliver;
    for rules in [&mut deliver.socket, &mut deliver.apns, &mut deliver.fcm, &mut deliver.email] {
        rules.lease_ms = 1_000;
        rules.send_ms_max = 1_000;
        rules.retry = retry;
        rules.retry_emergency = retry;
    }
    config
}
