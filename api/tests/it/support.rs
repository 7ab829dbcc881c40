//! A real API over a real database, and a real HTTP client.

use std::net::SocketAddr;
use std::sync::Arc;

use domain::{Claims, Clock, ManualClock, ReceiptKey, Role, Timestamp, UserId};
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use service::Lifecycle;
use service::token::TokenSigner;
use sha2::{Digest, Sha256};
use store::users::NewUser;
use store::{Engine, Store};

/// `iss` of the tests' tokens.
pub(crate) const ISSUER: &str = "munadi-test";
/// `aud` of the tests' tokens.
pub(crate) const AUDIENCE: &str = "munadi";

/// Runs each test on both engines.
macro_rules! both_engines {
    ($($name:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test] async fn $name() { super::$name(store::Engine::Sqlite).await; })+
        }
        mod on_postgres {
            $(#[tokio::test] async fn $name() { super::$name(store::Engine::Postgres).await; })+
        }
    };
}
pub(crate) use both_engines;

/// A running API.
pub(crate) struct TestApi {
    /// Where it is served.
    pub(crate) url: String,
    /// Its database.
    pub(crate) store: Store,
    /// Its clock, moved by hand.
    pub(crate) clock: Arc<ManualClock>,
    /// Its secret for receipts.
    pub(crate) receipt_key: ReceiptKey,
    client: reqwest::Client,
    signer: TokenSigner,
    lifecycle: Lifecycle,
    database: Arc<Database>,
}

/// What has to live as long as the test.
enum Database {
    File(tempfile::TempDir),
    Server(testkit::postgres::TestDatabase),
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Reply {
    /// Its status.
    pub(crate) status: StatusCode,
    /// Its headers.
    pub(crate) headers: HeaderMap,
    /// Its body; `null` when there is none or it is not JSON.
    pub(crate) body: Value,
}

impl Reply {
    /// The error code, or nothing.
    pub(crate) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    /// A header, or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// `data`, after checking the status.
    #[track_caller]
    pub(crate) fn data(&self, status: u16) -> &Value {
        assert_eq!(self.status.as_u16(), status, "{:#}", self.body);
        assert_eq!(self.body["success"], true);
        &self.body["data"]
    }

    /// Checks status and code of an error.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) {
        assert_eq!((self.status.as_u16(), self.code()), (status, code), "{:#}", self.body);
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.body["success"], false);
        assert_eq!(self.body["status"], status);
        assert!(self.body["message"].is_string() && self.body["request_id"] == *self.header("x-request-id"));
    }
}

impl TestApi {
    /// With the default configuration, but cheap passwords.
    pub(crate) async fn start(engine: Engine) -> Self {
        Self::with(engine, |_| {}).await
    }

    /// With a changed configuration.
    pub(crate) async fn with(engine: Engine, change: impl FnOnce(&mut api::Config)) -> Self {
        let mut config = api::Config::default();
        config.passwords.memory_kib = 8_192;
        config.passwords.passes = 1;
        change(&mut config);
        let (store, database) = open(engine).await;
        store.migrate().await.unwrap();
        let clock = Arc::new(ManualClock::new("2026-07-15T12:00:00Z".parse().unwrap()));
        let signer = TokenSigner::from_pem(&TokenSigner::generate_pem()).unwrap();
        Self::over(config, (store, Arc::new(database)), clock, signer).await
    }

    /// Another process over the same database, with the same keys and clock.
    pub(crate) async fn twin(&self) -> Self {
        let mut config = api::Config::default();
        config.passwords.memory_kib = 8_192;
        config.passwords.passes = 1;
        let ground = (self.store.clone(), Arc::clone(&self.database));
        Self::over(config, ground, Arc::clone(&self.clock), self.signer.clone()).await
    }

    async fn over(
        config: api::Config,
        (store, database): (Store, Arc<Database>),
        clock: Arc<ManualClock>,
        signer: TokenSigner,
    ) -> Self {
        let receipt_key = ReceiptKey::new([5; 32]);
        let lifecycle = Lifecycle::new();
        let deps = api::Deps {
            store: store.clone(),
            signer: signer.clone(),
            verifier: signer.verifier(),
            issuer: ISSUER.to_owned(),
            audience: AUDIENCE.to_owned(),
            receipt_key: receipt_key.clone(),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            webpush: api::Webpush {
                public_key: Some("B".repeat(87)),
                hosts: vec!["*.push.example".parse().unwrap()],
                ..api::Webpush::default()
            },
            previewer: domain::Previewer::new(|_| Vec::new()),
            reminder_choices: vec![5, 10, 30, 60],
        };
        let router = api::start(config, deps, &lifecycle).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let drain = lifecycle.drain().clone();
        lifecycle.spawn("test server", async move {
            let service = router.into_make_service_with_connect_info::<SocketAddr>();
            axum::serve(listener, service).with_graceful_shutdown(drain.cancelled_owned()).await
        });
        let _ = rustls::crypto::ring::default_provider().install_default(); // the first test wins
        let client = reqwest::Client::builder().build().unwrap();
        Self { url, store, clock, receipt_key, client, signer, lifecycle, database }
    }

    /// The instant that the clock shows.
    pub(crate) fn clock_now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A digest of everything in the database. SQLite: its file and its log, byte by byte. PostgreSQL: a dump.
    pub(crate) fn digest(&self) -> Vec<u8> {
        match &*self.database {
            Database::File(directory) => {
                let read = |name: &str| std::fs::read(directory.path().join(name)).unwrap_or_default();
                Sha256::digest([read("munadi.db"), read("munadi.db-wal")].concat()).to_vec()
            }
            Database::Server(database) => {
                let mut dump = std::process::Command::new("pg_dump");
                let output = dump.args(["--data-only", &database.url]).output().unwrap();
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                let text = String::from_utf8(output.stdout).unwrap();
                // newer versions put a random word into the dump, and an insert that fails still takes a number
                let told = |line: &&str| !line.contains("restrict ") && !line.contains("pg_catalog.setval");
                let lines = text.lines().filter(told);
                Sha256::digest(lines.collect::<Vec<_>>().join("\n")).to_vec()
            }
        }
    }

    /// Makes a user and returns their id.
    pub(crate) async fn user(&self, name: &str, roles: &[Role]) -> UserId {
        let user = NewUser {
            email: format!("{name}@example.com"),
            name: name.to_owned(),
            password_hash: None,
            roles: roles.to_vec(),
            language: domain::Language::En,
        };
        let mut tx = self.store.begin().await.unwrap();
        let ids = store::users::insert(&mut tx, &[user], self.clock.now()).await.unwrap();
        tx.commit().await.unwrap();
        ids[0]
    }

    /// An access token of a user, good for ten minutes.
    pub(crate) fn token(&self, user: UserId, roles: &[Role]) -> String {
        self.sign(&self.claims(user, roles))
    }

    /// Makes a user and returns an access token.
    pub(crate) async fn token_of(&self, name: &str, roles: &[Role]) -> String {
        let user = self.user(name, roles).await;
        self.token(user, roles)
    }

    /// The claims of a good token, to be spoiled.
    pub(crate) fn claims(&self, user: UserId, roles: &[Role]) -> Claims {
        let now: Timestamp = self.clock.now();
        Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: user.to_string(),
            sid: "00000000-0000-4000-8000-000000000000".to_owned(),
            roles: roles.to_vec(),
            iat: now.as_second(),
            exp: now.as_second() + 600,
            topics: Vec::new(),
        }
    }

    /// Signs claims.
    pub(crate) fn sign(&self, claims: &Claims) -> String {
        self.signer.sign(claims)
    }

    /// A request to `path`.
    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// `GET path`, with a token or without.
    pub(crate) async fn get(&self, path: &str, token: Option<&str>) -> Reply {
        send(authorized(self.request(Method::GET, path), token)).await
    }

    /// `POST path`.
    pub(crate) async fn post(&self, path: &str, token: Option<&str>, body: &Value) -> Reply {
        send(authorized(self.request(Method::POST, path), token).json(body)).await
    }

    /// `PUT path` with `If-Match`.
    pub(crate) async fn put(&self, path: &str, token: Option<&str>, if_match: &str, body: &Value) -> Reply {
        send(authorized(self.request(Method::PUT, path), token).header("if-match", if_match).json(body)).await
    }

    /// `DELETE path` with `If-Match`.
    pub(crate) async fn delete(&self, path: &str, token: Option<&str>, if_match: &str) -> Reply {
        send(authorized(self.request(Method::DELETE, path), token).header("if-match", if_match)).await
    }
}

impl Drop for TestApi {
    fn drop(&mut self) {
        self.lifecycle.drain().cancel();
    }
}

/// Adds a token.
pub(crate) fn authorized(request: reqwest::RequestBuilder, token: Option<&str>) -> reqwest::RequestBuilder {
    match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    }
}

/// Sends a request and reads the answer.
pub(crate) async fn send(request: reqwest::RequestBuilder) -> Reply {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let body = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or(Value::Null);
    Reply { status, headers, body }
}

async fn open(engine: Engine) -> (Store, Database) {
    let (url, database) = match engine {
        Engine::Sqlite => {
            let directory = tempfile::tempdir().unwrap();
            (format!("sqlite:{}/munadi.db", directory.path().display()), Database::File(directory))
        }
        Engine::Postgres => {
            let database = testkit::postgres::database().await;
            (database.url.clone(), Database::Server(database))
        }
    };
    let config = store::Config { url, ..store::Config::default() };
    (Store::connect(&config).await.unwrap(), database)
}
