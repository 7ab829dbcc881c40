//! A stand-in for Google's push service: token endpoint and FCM v1 in one server over TLS.
//!
//! Refuses what Google refuses (`check`, `oauth`) and plays a script per target: set in process, or named by the
//! word at the beginning of the target (`unregistered-…`, `quota-…`).

mod check;
mod oauth;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use domain::Clock;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::acceptor::{Acceptor, Connections};
use crate::ca::Ca;
use crate::clock::WallClock;
use crate::step::{self, Step};

/// Bytes of a request that are read at all.
const REQUEST_BYTES_MAX: usize = 64 * 1024;

/// How the stand-in behaves.
#[derive(Debug, Clone)]
pub struct FcmOptions {
    /// Where it listens; port 0 takes any.
    pub listen: SocketAddr,
    /// The only project that it knows.
    pub project: String,
    /// Life of an access token.
    pub token_life: Duration,
    /// Messages that the project may send in all, before 429.
    pub quota: usize,
    /// How long each answer takes.
    pub latency: Duration,
    /// Its clock.
    pub clock: Arc<dyn Clock>,
}

impl Default for FcmOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            project: "munadi-rehearsal".to_owned(),
            token_life: Duration::from_hours(1),
            quota: usize::MAX,
            latency: Duration::ZERO,
            clock: Arc::new(WallClock),
        }
    }
}

/// What happens to a message that is valid in every other respect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    /// 200.
    Ok,
    /// HTTP status, its word, the `errorCode` of the details if there are any, and `Retry-After` in seconds.
    Refuse(u16, &'static str, Option<&'static str>, Option<u32>),
    /// 503 although it was taken.
    UnavailableDelivered,
    /// No answer, ever.
    Hang,
    /// The page of a proxy.
    Html502,
    /// The connection breaks.
    Reset,
}

/// A message as it came in.
#[derive(Debug, Clone, Serialize)]
pub struct ReceivedMessage {
    /// Number of the message, from 1.
    pub number: usize,
    /// Number of the connection it came on, from 1.
    pub connection: usize,
    /// `token` or `fid`.
    pub target_kind: String,
    /// The target.
    pub target: String,
    /// The message.
    pub message: Value,
    /// `accepted`, or the reason of the refusal.
    pub outcome: String,
}

/// The running stand-in; dropping it stops it.
pub struct Fcm {
    state: Arc<State>,
    acceptor: Acceptor,
}

struct State {
    options: FcmOptions,
    inner: Mutex<Inner>,
    open: AtomicUsize,
    open_max: AtomicUsize,
}

#[derive(Default)]
struct Inner {
    tokens: oauth::Tokens,
    scripts: HashMap<String, VecDeque<Script>>,
    received: Vec<ReceivedMessage>,
    accepted: usize,
}

impl Fcm {
    /// Starts the stand-in with a certificate of `ca`.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn start(ca: &Ca, options: FcmOptions) -> anyhow::Result<Self> {
        let state = Arc::new(State {
            inner: Mutex::default(),
            open: AtomicUsize::new(0),
            open_max: AtomicUsize::new(0),
            options,
        });
        let tls = TlsAcceptor::from(ca.server_config(&[b"h2", b"http/1.1"]));
        let shared = Arc::clone(&state);
        let acceptor = Acceptor::start(state.options.listen, move |stream, number| {
            serve(Arc::clone(&shared), tls.clone(), stream, number)
        })
        .await?;
        Ok(Self { state, acceptor })
    }

    /// The base URL for clients.
    pub fn base_url(&self) -> String {
        format!("https://{}", self.acceptor.address)
    }

    /// The JSON key file of a service account that may send; its `token_uri` points here.
    pub fn service_account(&self) -> Value {
        json!({
            "type": "service_account",
            "project_id": self.state.options.project,
            "private_key_id": "0123456789abcdef0123456789abcdef01234567",
            "private_key": oauth::ACCOUNT_KEY.private_pem,
            "client_email": self.state.email(),
            "client_id": "100000000000000000001",
            "token_uri": format!("{}/token", self.base_url()),
        })
    }

    /// Plays `steps` for messages to `target`, one each; the last one stays.
    pub fn script(&self, target: &str, steps: impl IntoIterator<Item = Script>) {
        self.state.lock().scripts.insert(target.to_owned(), steps.into_iter().collect());
    }

    /// Answers the next requests for an access token with these statuses and words.
    pub fn fail_tokens(&self, failures: &[(u16, &'static str)]) {
        self.state.lock().tokens.fail(failures.iter().rev().copied().collect());
    }

    /// Makes every access token invalid.
    pub fn revoke_tokens(&self) {
        self.state.lock().tokens.revoke();
    }

    /// Requests for an access token so far.
    pub fn token_requests(&self) -> usize {
        self.state.lock().tokens.requests()
    }

    /// What was received after the message numbered `after`, refused ones too.
    pub fn received(&self, after: usize) -> Vec<ReceivedMessage> {
        self.state.lock().received.iter().skip(after).cloned().collect()
    }

    /// Its connections.
    pub fn connections(&self) -> &Connections {
        &self.acceptor.connections
    }

    /// Messages being answered at once, at most.
    pub fn open_max(&self) -> usize {
        self.state.open_max.load(Ordering::SeqCst)
    }

    /// Messages by outcome.
    pub fn counts(&self) -> Value {
        let inner = self.state.lock();
        let mut outcomes: HashMap<&str, usize> = HashMap::new();
        for message in &inner.received {
            *outcomes.entry(message.outcome.as_str()).or_default() += 1;
        }
        json!({
            "received": inner.received.len(),
            "outcomes": outcomes,
            "token_requests": inner.tokens.requests(),
            "connections": self.connections().total(),
            "connections_open": self.connections().open(),
        })
    }
}

impl State {
    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().expect("no holder of this lock panics")
    }

    fn email(&self) -> String {
        format!("munadi@{}.iam.gserviceaccount.com", self.options.project)
    }

    async fn answer(&self, connection: usize, token_uri: &str, request: Request<Incoming>) -> Step {
        let (head, body) = request.into_parts();
        let Ok(body) = Limited::new(body, REQUEST_BYTES_MAX).collect().await else {
            return Step::Answer(json_answer(413, &json!({})));
        };
        let body = body.to_bytes();
        if head.method != Method::POST {
            return Step::Answer(error(404, "NOT_FOUND", None, None));
        }
        if head.uri.path() == "/token" {
            return Step::Answer(self.token(token_uri, &body));
        }
        let open = self.open.fetch_add(1, Ordering::SeqCst) + 1;
        self.open_max.fetch_max(open, Ordering::SeqCst);
        let bearer = head.headers.get("authorization").and_then(|value| value.to_str().ok());
        let step = self.send(connection, head.uri.path(), bearer.unwrap_or_default(), &body);
        tokio::time::sleep(self.options.latency).await;
        self.open.fetch_sub(1, Ordering::SeqCst);
        step
    }

    fn token(&self, token_uri: &str, form: &[u8]) -> Response<Full<Bytes>> {
        let now = self.options.clock.now();
        let life = self.options.token_life;
        match self.lock().tokens.exchange(form, (&self.email(), token_uri), life, now) {
            Ok(token) => json_answer(
                200,
                &json!({ "access_token": token, "expires_in": life.as_secs(), "token_type": "Bearer" }),
            ),
            Err((status, word)) => json_answer(status, &json!({ "error": word, "error_description": word })),
        }
    }

    fn send(&self, connection: usize, path: &str, authorization: &str, body: &[u8]) -> Step {
        let now = self.options.clock.now();
        let mut inner = self.lock();
        let token = authorization.strip_prefix("Bearer ").unwrap_or_default();
        if !inner.tokens.is_valid(token, now) {
            return Step::Answer(error(401, "UNAUTHENTICATED", None, None));
        }
        if path != format!("/v1/projects/{}/messages:send", self.options.project) {
            return Step::Answer(error(404, "NOT_FOUND", None, None));
        }
        let wanted = match check::check(body) {
            Ok(wanted) => wanted,
            Err(violation) => return Step::Answer(json_answer(400, &violation.body())),
        };
        let script = if inner.accepted >= self.options.quota {
            Script::Refuse(429, "RESOURCE_EXHAUSTED", Some("QUOTA_EXCEEDED"), Some(30))
        } else {
            inner.next(&wanted.target)
        };
        let number = inner.received.len() + 1;
        let (outcome, step) = play(script, &self.options.project, number);
        inner.accepted += usize::from(outcome == "accepted");
        inner.received.push(ReceivedMessage {
            number,
            connection,
            target_kind: wanted.target_kind.to_owned(),
            target: wanted.target,
            message: wanted.message,
            outcome: outcome.to_owned(),
        });
        step
    }
}

impl Inner {
    fn next(&mut self, target: &str) -> Script {
        match self.scripts.get_mut(target) {
            Some(steps) if steps.len() > 1 => steps.pop_front().unwrap_or(Script::Ok),
            Some(steps) => steps.front().copied().unwrap_or(Script::Ok),
            None => marked(target),
        }
    }
}

/// The script that the target's first word asks for, so that other processes can script too.
fn marked(target: &str) -> Script {
    match target.split('-').next().unwrap_or_default() {
        "unregistered" => Script::Refuse(404, "NOT_FOUND", Some("UNREGISTERED"), None),
        "sender_mismatch" => Script::Refuse(403, "PERMISSION_DENIED", Some("SENDER_ID_MISMATCH"), None),
        "invalid" => Script::Refuse(400, "INVALID_ARGUMENT", Some("INVALID_ARGUMENT"), None),
        "quota" => Script::Refuse(429, "RESOURCE_EXHAUSTED", Some("QUOTA_EXCEEDED"), Some(2)),
        "internal" => Script::Refuse(500, "INTERNAL", Some("INTERNAL"), None),
        "unavailable" => Script::UnavailableDelivered,
        "permission" => Script::Refuse(403, "PERMISSION_DENIED", None, None),
        "third_party" => Script::Refuse(401, "UNAUTHENTICATED", Some("THIRD_PARTY_AUTH_ERROR"), None),
        "hang" => Script::Hang,
        "html_502" => Script::Html502,
        "reset" => Script::Reset,
        _ => Script::Ok,
    }
}

fn play(script: Script, project: &str, number: usize) -> (&'static str, Step) {
    match script {
        Script::Ok => {
            let name = format!("projects/{project}/messages/{number}");
            ("accepted", Step::Answer(json_answer(200, &json!({ "name": name }))))
        }
        Script::Refuse(status, word, code, retry_after) => {
            (code.unwrap_or(word), Step::Answer(error(status, word, code, retry_after)))
        }
        Script::UnavailableDelivered => {
            ("accepted", Step::Answer(error(503, "UNAVAILABLE", Some("UNAVAILABLE"), None)))
        }
        Script::Hang => ("hang", Step::Hang),
        Script::Html502 => {
            let page = Response::builder().status(502).header("content-type", "text/html");
            let page = page.body(Full::from("<html><title>502 Bad Gateway</title></html>"));
            ("html_502", Step::Answer(page.expect("the parts are valid")))
        }
        Script::Reset => ("reset", Step::Reset),
    }
}

fn error(status: u16, word: &str, code: Option<&str>, retry_after: Option<u32>) -> Response<Full<Bytes>> {
    let mut body = json!({ "error": { "code": status, "message": word, "status": word } });
    if let Some(code) = code {
        let kind = "type.googleapis.com/google.firebase.fcm.v1.FcmError";
        body["error"]["details"] = json!([{ "@type": kind, "errorCode": code }]);
    }
    let mut response = json_answer(status, &body);
    if let Some(seconds) = retry_after {
        response.headers_mut().insert("retry-after", seconds.into());
    }
    response
}

fn json_answer(status: u16, body: &Value) -> Response<Full<Bytes>> {
    Response::builder()
        .status(status)
        .header("content-type", "application/json; charset=UTF-8")
        .body(Full::from(body.to_string()))
        .expect("the parts are valid")
}

async fn serve(state: Arc<State>, tls: TlsAcceptor, stream: TcpStream, number: usize) -> anyhow::Result<()> {
    step::serve(tls, stream, move |origin, request| {
        let state = Arc::clone(&state);
        async move { state.answer(number, &format!("{origin}/token"), request).await }
    })
    .await
}
