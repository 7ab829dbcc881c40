//! A hub of one's own: directory, log, keys, clock, port.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::{
    Change, ChangeId, ChangeKind, Claims, Clock, Lane, ManualClock, PublicationId, ReceiptKey, Revocation,
    Role, Timestamp, Topic, UserId,
};
use hub::{Config, Deps};
use serde_json::Value;
use service::token::TokenSigner;
use service::{Lifecycle, Scrape};
use streams::{ChangeLog, NewPublication, WorkQueue};
use tempfile::TempDir;
use testkit::redis::TestRedis;
use tokio::net::TcpListener;

use crate::client::Client;

/// How long a test waits for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const ISSUER: &str = "https://festival.test";
pub(crate) const AUDIENCE: &str = "munadi";

/// What a test's hub stands on; it outlives the hub, so that another may follow.
pub(crate) struct Ground {
    _dir: TempDir,
    redis: Option<Arc<TestRedis>>,
    pub(crate) log: ChangeLog,
    pub(crate) queue: WorkQueue,
    pub(crate) clock: Arc<ManualClock>,
    signer: TokenSigner,
    pub(crate) receipts: ReceiptKey,
    /// What is folded before metrics are read.
    pub(crate) scrape: Scrape,
}

pub(crate) struct TestHub {
    pub(crate) ground: Arc<Ground>,
    pub(crate) address: SocketAddr,
    pub(crate) life: Lifecycle,
}

impl Ground {
    pub(crate) async fn new() -> Arc<Self> {
        Self::over(None).await
    }

    /// Over a Redis, for several nodes: see [`Ground::twin`].
    pub(crate) async fn on_redis() -> Arc<Self> {
        Self::over(Some(Arc::new(testkit::redis::server().await))).await
    }

    /// Another machine of the same installation: the same Redis, keys and clock over connections of its own.
    pub(crate) async fn twin(&self) -> Arc<Self> {
        let dir = tempfile::tempdir().unwrap();
        let redis = self.redis.clone();
        let (log, queue) = open(&dir, redis.as_deref(), &self.clock).await;
        let (clock, signer, receipts) = (Arc::clone(&self.clock), self.signer.clone(), self.receipts.clone());
        Arc::new(Self { _dir: dir, redis, log, queue, clock, signer, receipts, scrape: Scrape::new() })
    }

    async fn over(redis: Option<Arc<TestRedis>>) -> Arc<Self> {
        let dir = tempfile::tempdir().unwrap();
        let start: Timestamp = "2026-07-15T20:00:00Z".parse().unwrap();
        let clock = Arc::new(ManualClock::new(start));
        let (log, queue) = open(&dir, redis.as_deref(), &clock).await;
        let signer = TokenSigner::from_pem(&TokenSigner::generate_pem()).unwrap();
        let receipts = ReceiptKey::new([7; 32]);
        Arc::new(Self { _dir: dir, redis, log, queue, clock, signer, receipts, scrape: Scrape::new() })
    }

    /// Tells every node, as the relay does.
    pub(crate) async fn revoke(&self, revocation: Revocation) {
        let id = ChangeId::at(self.clock.now(), rand::random());
        let kind = ChangeKind::Revocation { revocation };
        let change = Change { id, at: self.clock.now(), actor: None, mutation: None, kind };
        self.publish(Topic::control().as_str(), change.message()).await;
    }

    /// Appends `data` to `topic`; gives the offset.
    pub(crate) async fn publish(&self, topic: &str, data: Value) -> u64 {
        self.publish_all(topic, [data]).await
    }

    /// Appends many at once; gives the last offset.
    pub(crate) async fn publish_all(&self, topic: &str, data: impl IntoIterator<Item = Value>) -> u64 {
        let topic = Topic::new(topic).unwrap();
        let now = self.clock.now();
        let publications: Vec<_> = data
            .into_iter()
            .map(|data| NewPublication {
                id: PublicationId::of(ChangeId::at(now, rand::random()), topic.as_str()),
                topic: topic.clone(),
                data: Bytes::from(data.to_string()),
                lane: Lane::Standard,
                change: None,
                attributes: None,
                at: now,
            })
            .collect();
        let positions = self.log.append(&publications).await.unwrap();
        positions.last().unwrap().offset
    }

    /// The claims of a token for `user` that is good for `seconds`.
    pub(crate) fn claims(&self, user: i64, seconds: i64) -> Claims {
        let now = self.clock.now().as_second();
        Claims {
            iss: ISSUER.into(),
            aud: AUDIENCE.into(),
            sub: UserId(user).to_string(),
            sid: "s".into(),
            roles: vec![Role::Attendee],
            iat: now.min(now + seconds),
            exp: now + seconds,
            topics: Vec::new(),
        }
    }

    pub(crate) fn sign(&self, claims: &Claims) -> String {
        self.signer.sign(claims)
    }

    pub(crate) fn token(&self, user: i64) -> String {
        self.sign(&self.claims(user, 600))
    }
}

async fn open(dir: &TempDir, redis: Option<&TestRedis>, clock: &Arc<ManualClock>) -> (ChangeLog, WorkQueue) {
    let mut config = streams::Config { partitions: 4, ..streams::Config::default() };
    config.embedded.fsync = streams::Fsync::Never;
    if let Some(redis) = redis {
        config.url.clone_from(&redis.url);
        config.key_prefix.clone_from(&redis.key_prefix);
    }
    streams::open(&config, dir.path(), Arc::clone(clock) as Arc<dyn Clock>).await.unwrap()
}

impl TestHub {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::on(Ground::new().await, change).await
    }

    pub(crate) async fn on(ground: Arc<Ground>, change: impl FnOnce(&mut Config)) -> Self {
        let (life, router) = start(&ground, change).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = router.into_make_service_with_connect_info::<SocketAddr>();
        serve(&life, async move { axum::serve(listener, router).await });
        Self { ground, address, life }
    }

    /// A client that is connected as `user`; 0 is nobody.
    pub(crate) async fn client(&self, user: i64) -> Client {
        let mut client = Client::open(self.address).await;
        let token = if user == 0 { String::new() } else { self.ground.token(user) };
        client.connect(&token).await;
        client
    }
}

/// Starts a hub, and waits until it is warm.
pub(crate) async fn start(
    ground: &Arc<Ground>,
    change: impl FnOnce(&mut Config),
) -> (Lifecycle, axum::Router) {
    let mut config = Config { shards: 2, drain_window_ms: 200, resync_spread_ms: 50, ..Config::default() };
    config.tail.wait_ms = 100;
    change(&mut config);
    let life = Lifecycle::new();
    let deps = Deps {
        log: ground.log.clone(),
        queue: ground.queue.clone(),
        tokens: ground.signer.verifier(),
        issuer: ISSUER.into(),
        audience: AUDIENCE.into(),
        receipt_key: ground.receipts.clone(),
        clock: Arc::clone(&ground.clock) as Arc<dyn Clock>,
        descriptors: service::Descriptors::new(100_000, 256).unwrap(),
        scrape: ground.scrape.clone(),
    };
    let router = hub::start(config, deps, &life).await.unwrap();
    eventually("the hub is warm", || life.not_ready().is_empty()).await;
    (life, router)
}

/// Serves until the process would be aborted.
pub(crate) fn serve(life: &Lifecycle, serving: impl Future<Output = std::io::Result<()>> + Send + 'static) {
    let abort = life.abort().clone();
    life.spawn("test.serve", async move {
        tokio::select! {
            result = serving => result,
            () = abort.cancelled() => Ok(()),
        }
    });
}

impl Drop for TestHub {
    fn drop(&mut self) {
        self.life.drain().cancel();
        self.life.abort().cancel();
    }
}

/// Waits until `condition` holds.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
