//! `crash`: writes, kills, restarts, and asks a client that resumed whether anything committed is missing.

use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result};
use domain::Channel;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::api::{Api, ApiError};
use crate::crowd::{self, Member};
use crate::follower::{Follower, Seen};
use crate::programme::{Event, Programme, announce};
use crate::report::Report;
use crate::spawn::{Binaries, Installation};
use crate::tally;

/// Events that are written to, each by a writer of its own.
const WRITERS: u32 = 4;
/// Users that each announcement is for.
const AUDIENCE: usize = 20;
/// Milliseconds between the start of a round and its kill: anywhere in here.
const KILL_AFTER_MS: Range<u64> = 5..800;
/// Milliseconds into a start-up at which it is killed again, in one round of four.
const KILL_AGAIN_AFTER_MS: Range<u64> = 1..300;
/// How long the client may take to have everything after the last write.
const CATCH_UP: Duration = Duration::from_mins(1);
/// After how long an announcement of this run is of no more use.
const EXPIRES_IN: Duration = Duration::from_secs(30);
/// How long the sweeper may take, after that, to end what is open.
const SWEEP: Duration = Duration::from_mins(2);

/// How to run it.
#[derive(Debug, clap::Args)]
pub(crate) struct Plan {
    /// Kills.
    #[arg(long, default_value_t = 20)]
    pub rounds: u32,
    /// Repeats the choices of an earlier run: the seed that it printed.
    #[arg(long)]
    pub seed: Option<u64>,
}

/// A change that the API answered with success: the event's id and its version.
type Acknowledged = Arc<Mutex<Vec<(i64, i64)>>>;

/// Runs it on an installation of its own.
///
/// # Errors
/// When something cannot even be tried; what does not hold is in the report.
pub(crate) async fn run(binaries: &Binaries, plan: &Plan) -> Result<Report> {
    let seed = plan.seed.unwrap_or_else(rand::random);
    let mut report = Report::new("crash");
    report.figure("seed", seed);
    report.figure("rounds", plan.rounds);
    let mut rng = StdRng::seed_from_u64(seed);
    let mut installation = Installation::start(binaries).await?;
    let api = installation.organizer().await?;
    let members = crowd::gather(&api, AUDIENCE, &format!("{:08x}", rng.random::<u32>())).await?;
    let programme = Arc::new(Programme::create(&api, WRITERS).await?);
    let follower = Follower::start(installation.socket_url(), "festival").await?;
    let acknowledged = Acknowledged::default();
    let over = CancellationToken::new();
    let mut writers = JoinSet::new();
    for event in programme.events() {
        let writer = write(api.clone(), Arc::clone(&programme), event.clone(), Arc::clone(&acknowledged));
        let over = over.clone();
        writers.spawn(async move { over.run_until_cancelled(writer).await });
    }
    let mut announcements = Vec::new();
    let mut victims = Vec::new();
    for round in 0..plan.rounds {
        if victims.is_empty() {
            victims.extend(0..installation.processes()); // in random order, and everybody has a turn
            victims.shuffle(&mut rng);
        }
        let victim = victims.pop().context("there is no process to kill")?;
        announcements.extend(announce_to(&api, &members, round).await);
        kill(&mut installation, victim, &mut rng)
            .await
            .with_context(|| format!("round {round} of seed {seed}"))?;
    }
    over.cancel();
    writers.join_all().await;
    let stored = stored_events(&api, &programme).await?;
    wait_for(&follower, &stored).await;
    let found = follower.stop().await;
    let acknowledged = std::mem::take(&mut *acknowledged.lock().expect("no holder of this lock panics"));
    check_changes(&mut report, &acknowledged, &stored, &found);
    check_deliveries(&mut report, &api, &announcements).await?;
    installation.stop().await?;
    Ok(report)
}

/// Moves one event again and again; what the API confirms is noted.
async fn write(api: Api, programme: Arc<Programme>, mut event: Event, acknowledged: Acknowledged) {
    loop {
        match programme.move_event(&api, &mut event).await {
            Ok(()) => {
                let mut acknowledged = acknowledged.lock().expect("no holder of this lock panics");
                acknowledged.push((event.id, event.version));
            }
            // nobody knows whether it was done, or it was done by the request before: look
            Err(_) => {
                while programme.refresh(&api, &mut event).await.is_err() {
                    sleep(Duration::from_millis(20)).await;
                }
            }
        }
    }
}

/// Announces something to the members; nothing when the API is down just now.
async fn announce_to(api: &Api, members: &[Member], round: u32) -> Option<i64> {
    let user_ids: Vec<i64> = members.iter().map(|member| member.user_id).collect();
    let audience = json!({ "kind": "users", "user_ids": user_ids });
    let text = (&*format!("Round {round}"), "The kitchen has moved");
    let published: Result<_, ApiError> = announce(api, "transactional", &audience, text, EXPIRES_IN).await;
    published.ok()?.data["id"].as_i64()
}

/// Kills a process at a random moment and brings it back, in one round of four with a second kill half way.
async fn kill(installation: &mut Installation, victim: usize, rng: &mut StdRng) -> Result<()> {
    sleep(Duration::from_millis(rng.random_range(KILL_AFTER_MS))).await;
    installation.kill(victim).await?;
    if rng.random_ratio(1, 4) {
        installation.begin(victim)?;
        sleep(Duration::from_millis(rng.random_range(KILL_AGAIN_AFTER_MS))).await;
        installation.kill(victim).await?;
    }
    installation.up(victim).await
}

/// The events as the API shows them after the last write.
async fn stored_events(api: &Api, programme: &Programme) -> Result<Vec<Event>> {
    let mut stored = Vec::new();
    for event in programme.events() {
        let mut event = event.clone();
        programme.refresh(api, &mut event).await.context("cannot read an event after the last kill")?;
        stored.push(event);
    }
    Ok(stored)
}

async fn wait_for(follower: &Follower, stored: &[Event]) {
    let deadline = Instant::now() + CATCH_UP;
    while !stored.iter().all(|event| follower.has(event.id, event.version)) && Instant::now() < deadline {
        sleep(Duration::from_millis(20)).await;
    }
}

fn check_changes(report: &mut Report, acknowledged: &[(i64, i64)], stored: &[Event], seen: &Seen) {
    report.figure("changes_acknowledged", acknowledged.len());
    report.figure("changes_seen", seen.versions.values().map(Vec::len).sum::<usize>());
    report.figure("resumes", seen.resumes);
    let missing = acknowledged.iter().filter(|(event, version)| !seen.has(*event, *version)).count();
    report.equal("acknowledged changes missing", missing, 0);
    for event in stored {
        let versions = seen.versions.get(&event.id).map_or(&[][..], Vec::as_slice);
        let first = versions.first().copied().unwrap_or(event.version);
        let dense = versions.iter().copied().eq(first..=event.version);
        let range = format!("{} versions, {first} to {}", versions.len(), event.version);
        report.check(format!("event {}: every version once and in order", event.id), dense, range);
    }
    report.equal("changes seen twice", seen.repeated, 0);
    report.equal("publications out of order", seen.reordered, 0);
    report.equal("resumes that were not recovered", seen.unrecovered, 0);
    report.check(
        "the client had to resume",
        seen.resumes > 0 || acknowledged.is_empty(),
        seen.resumes.to_string(),
    );
    report.check("changes were acknowledged", !acknowledged.is_empty(), acknowledged.len().to_string());
}

/// Every delivery ends: a socket, a phone and a mailbox for each member, for each announcement.
async fn check_deliveries(report: &mut Report, api: &Api, announcements: &[i64]) -> Result<()> {
    let wanted = (AUDIENCE * 3) as u64;
    report.figure("announcements", announcements.len());
    report.check("announcements were accepted", !announcements.is_empty(), announcements.len().to_string());
    for id in announcements {
        let done = |tally: &tally::Tally| tally.deliveries == wanted && tally.open() == 0;
        let watched = tally::watch(api, *id, EXPIRES_IN + SWEEP, done).await?;
        report.check(
            format!("announcement {id}: {wanted} deliveries, all ended"),
            done(&watched.last),
            format!("{} of {} open: {}", watched.last.open(), watched.last.deliveries, watched.last.text()),
        );
        report.check(
            format!("announcement {id}: counts add up"),
            watched.wrong.is_empty(),
            watched.wrong.first().map_or_else(|| format!("{} looks", watched.looks), Clone::clone),
        );
        let mails =
            watched.last.by_channel.get(Channel::Email.as_str()).map_or(0, |states| states.values().sum());
        report.equal(&format!("announcement {id}: mails"), mails, AUDIENCE as u64);
    }
    Ok(())
}
