//! A crowd: users with phones and mailboxes, each with an open socket.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Deserialize;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::api::Api;
use crate::client::Client;
use crate::spawn::ORGANIZER;

/// Users that are made at the same time: each costs the server a password hash.
const REGISTERING_MAX: usize = 8;
/// Sockets that connect at the same time.
const CONNECTING_MAX: usize = 100;

/// Of so many phones, two are gone: one of each platform.
const GONE_EVERY: usize = 50;

/// One member.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// Their id.
    pub user_id: i64,
    /// An iPhone or an Android phone.
    pub platform: Platform,
    /// Whether the provider says that the phone is gone.
    pub is_gone: bool,
    access_token: String,
}

/// What kind of phone it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Platform {
    /// Reached through APNs.
    Ios,
    /// Reached through FCM.
    Android,
}

/// The open sockets of a crowd.
#[derive(Debug)]
pub(crate) struct Sockets {
    tasks: JoinSet<Heard>,
    count: Arc<AtomicU64>,
    over: CancellationToken,
}

/// What one socket heard.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// Notifications, each once.
    pub distinct: HashSet<String>,
    /// Notifications that came again.
    pub repeated: u64,
    /// Receipts that the server refused.
    pub refusals: u64,
    /// Why the socket was closed, when it was.
    pub closed: Option<String>,
}

/// A notification as its recipient's socket hears it.
#[derive(Debug, Deserialize)]
struct Notice {
    #[serde(rename = "type")]
    kind: String,
    notification_id: String,
    delivery_id: String,
    receipt_code: String,
}

/// Registers `count` users, each with a phone: even ones an iPhone, odd ones an Android.
///
/// # Errors
/// When the API refuses one.
pub(crate) async fn gather(api: &Api, count: usize, run: &str) -> Result<Vec<Member>> {
    stream::iter(0..count)
        .map(|number| register(api, run, number))
        .buffer_unordered(REGISTERING_MAX)
        .try_collect()
        .await
}

async fn register(api: &Api, run: &str, number: usize) -> Result<Member> {
    let email = format!("fan-{run}-{number}@example.org");
    let language = if number.is_multiple_of(3) { "en" } else { "ar" };
    let account = json!({ "email": email, "password": ORGANIZER.1, "name": format!("Fan {number}"), "language": language });
    let registered = api.post("/api/v1/auth/register", &account).await.context("cannot register a user")?;
    let access_token = registered.data["access_token"].as_str().context("no access token")?.to_owned();
    let user_id = registered.data["user"]["id"].as_i64().context("no user id")?;
    let platform = if number.is_multiple_of(2) { Platform::Ios } else { Platform::Android };
    let is_gone = number % GONE_EVERY == GONE_EVERY - 1 || number % GONE_EVERY == GONE_EVERY - 2;
    let push_token = push_token(platform, is_gone, run, number);
    let device = json!({
        "installation_id": format!("phone-{run}-{number}"),
        "platform": match platform { Platform::Ios => "ios", Platform::Android => "android" },
        "token_kind": match platform { Platform::Ios => "apns", Platform::Android => "fcm_token" },
        "token": push_token,
        "locale": language,
        "app_version": "1.0.0",
    });
    let own = api.with_token(access_token.clone());
    own.post("/api/v1/devices", &device).await.context("cannot register a phone")?;
    Ok(Member { user_id, platform, is_gone, access_token })
}

/// A token that the stand-in of its provider takes; one that is gone begins with the mark that says so.
fn push_token(platform: Platform, is_gone: bool, run: &str, number: usize) -> String {
    match (platform, is_gone) {
        (Platform::Ios, false) => format!("{run}{number:056x}"),
        (Platform::Ios, true) => format!("dead0410{run}{number:048x}"),
        (Platform::Android, false) => format!("fcm-{run}-{number}"),
        (Platform::Android, true) => format!("unregistered-{run}-{number}"),
    }
}

impl Sockets {
    /// Connects each member once; every socket confirms each notification that it hears.
    ///
    /// # Errors
    /// When one does not get in.
    pub(crate) async fn open(url: &str, members: &[Member]) -> Result<Self> {
        let mut tasks = JoinSet::new();
        let (count, over) = (Arc::new(AtomicU64::new(0)), CancellationToken::new());
        let mut clients = stream::iter(members.iter().enumerate())
            .map(|(number, member)| Client::connect(url, Some(&member.access_token), number))
            .buffer_unordered(CONNECTING_MAX);
        while let Some(client) = clients.next().await {
            let client = client.context("a member's socket did not get in")?;
            tasks.spawn(listen(client, Arc::clone(&count), over.clone()));
        }
        Ok(Self { tasks, count, over })
    }

    /// Notifications heard so far by all sockets.
    pub(crate) fn heard(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Waits until `wanted` notifications were heard, at most `at_most`; gives the time that it took.
    pub(crate) async fn wait(&self, wanted: u64, at_most: Duration) -> Duration {
        let began = Instant::now();
        while self.heard() < wanted && began.elapsed() < at_most {
            sleep(Duration::from_millis(2)).await;
        }
        began.elapsed()
    }

    /// Closes them all; gives what each heard.
    pub(crate) async fn close(self) -> Vec<Heard> {
        self.over.cancel();
        self.tasks.join_all().await
    }
}

async fn listen(mut client: Client, count: Arc<AtomicU64>, over: CancellationToken) -> Heard {
    let mut heard = Heard::default();
    loop {
        let next = tokio::select! {
            () = over.cancelled() => break,
            next = client.next() => next, // cancel-safe: a frame is taken whole or not at all
        };
        let taken = match next {
            Ok(publication) => match serde_json::from_str::<Notice>(publication.data.get()) {
                Ok(notice) if notice.kind == "notification" => {
                    take(&mut client, &mut heard, notice, &count).await
                }
                _ => Ok(()),
            },
            Err(error) => Err(error),
        };
        if let Err(error) = taken {
            heard.closed = Some(error.to_string());
            return heard;
        }
    }
    heard.refusals = client.refusals;
    client.close().await;
    heard
}

async fn take(
    client: &mut Client,
    heard: &mut Heard,
    notice: Notice,
    count: &AtomicU64,
) -> Result<(), crate::client::ClientError> {
    client.acknowledge(&notice.delivery_id, &notice.receipt_code).await?;
    if heard.distinct.insert(notice.notification_id) {
        count.fetch_add(1, Ordering::Relaxed);
    } else {
        heard.repeated += 1;
    }
    Ok(())
}
