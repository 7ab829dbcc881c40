//! `smoke`: the whole path, asserted. People with sockets, phones and mailboxes; events that move; one emergency.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use domain::{Channel, DeliveryState};
use serde_json::json;
use tokio::time::{Instant, timeout};

use crate::api::Api;
use crate::client::Client;
use crate::crowd::{self, Member, Platform, Sockets};
use crate::histogram::Histogram;
use crate::programme::{Programme, announce};
use crate::report::Report;
use crate::standins::Received;
use crate::tally::{self, Tally};

/// How long a moved event may take to be seen before the run gives up on it.
const MOVE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the sweeper may take after the expiry to end what is open.
const SWEEP: Duration = Duration::from_mins(1);

/// What to do.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Scale {
    /// People: each with a socket, a phone and a mailbox.
    #[arg(long, default_value_t = 1_000)]
    pub users: usize,
    /// How often an event is moved.
    #[arg(long, default_value_t = 200)]
    pub moves: u32,
    /// Milliseconds in which 99 of 100 moves have to be seen, from the API's commit. 0: only measured.
    #[arg(long, default_value_t = 20)]
    pub move_p99_ms_max: u32,
    /// Seconds after which the emergency is of no more use: what is then unproven ends as expired.
    #[arg(long, default_value_t = 30)]
    pub expires_seconds: u64,
}

/// Where everything is.
#[derive(Debug)]
pub(crate) struct Target {
    /// The API, as an organizer.
    pub api: Api,
    /// Where sockets connect.
    pub socket_url: String,
    /// The stand-ins' control address.
    pub standins: crate::standins::Control,
}

/// Runs it.
///
/// # Errors
/// When something cannot even be tried; what does not hold is in the report.
pub(crate) async fn run(target: &Target, scale: &Scale) -> Result<Report> {
    ensure!(scale.users > 0, "a crowd has at least one member");
    let mut report = Report::new("smoke");
    let run = format!("{:08x}", rand::random::<u32>());
    report.figure("run", &run);
    let began = Instant::now();
    let members = crowd::gather(&target.api, scale.users, &run).await?;
    report.figure("users", members.len());
    report.figure("gathering_seconds", began.elapsed().as_secs_f64());
    let began = Instant::now();
    let sockets = Sockets::open(&target.socket_url, &members).await?;
    report.figure("connecting_seconds", began.elapsed().as_secs_f64());
    moves(&mut report, target, scale).await?;
    emergency(&mut report, target, scale, &members, sockets).await?;
    Ok(report)
}

/// Moves an event again and again, one move at a time, and measures when a socket has it.
async fn moves(report: &mut Report, target: &Target, scale: &Scale) -> Result<()> {
    let programme = Programme::create(&target.api, 1).await?;
    let mut event = programme.events()[0].clone();
    let mut client = Client::connect(&target.socket_url, None, 0).await?;
    client.subscribe(&programme.topic(0), None).await?;
    let (whole, after_answer) = (Histogram::default(), Histogram::default());
    for _ in 0..scale.moves {
        let began = Instant::now();
        let heard = next_version(&mut client, event.version + 1);
        let (answer, heard) = tokio::join!(
            async {
                let answer = programme.move_event(&target.api, &mut event).await;
                (answer, Instant::now())
            },
            timeout(MOVE_TIMEOUT, heard)
        );
        answer.0.context("an event cannot be moved")?;
        let seen_at = heard.context("a moved event was not seen")??;
        whole.record(seen_at - began);
        after_answer.record(seen_at.saturating_duration_since(answer.1));
    }
    let (whole, after_answer) = (whole.quantiles(), after_answer.quantiles());
    report.figure("move_seen_after_request", whole);
    report.figure("move_seen_after_answer", after_answer);
    if scale.move_p99_ms_max > 0 && scale.moves > 0 {
        // the request begins before the commit: what holds from it holds from the commit
        report.check(
            format!("99 of 100 moves are seen within {} ms of the request", scale.move_p99_ms_max),
            whole.p99_ms <= f64::from(scale.move_p99_ms_max),
            format!("{:.2} ms", whole.p99_ms),
        );
    }
    client.close().await;
    Ok(())
}

/// Waits for that version of the event; older ones may still be on their way. Gives the instant of its arrival.
async fn next_version(client: &mut Client, wanted: i64) -> Result<Instant> {
    loop {
        let publication = client.next().await?;
        let seen_at = Instant::now();
        let message: serde_json::Value = serde_json::from_str(publication.data.get())?;
        let version =
            message["event"]["version"].as_i64().context("a message without the event's version")?;
        ensure!(version <= wanted, "version {version} was seen instead of {wanted}");
        if version == wanted {
            return Ok(seen_at);
        }
    }
}

/// Tells everybody to leave, and follows every delivery to its end.
async fn emergency(
    report: &mut Report,
    target: &Target,
    scale: &Scale,
    members: &[Member],
    sockets: Sockets,
) -> Result<()> {
    let before = target.standins.received().await?;
    let everybody = json!({ "kind": "everyone" });
    let text = ("Leave by the north gate", "Walk, do not run. Follow the stewards.");
    let expires_in = Duration::from_secs(scale.expires_seconds);
    let began = Instant::now();
    let published = announce(&target.api, "emergency", &everybody, text, expires_in).await?;
    let id = published.data["id"].as_i64().context("the announcement has no id")?;
    let count = members.len() as u64;
    let (reached, watched) = tokio::join!(
        sockets.wait(count, expires_in),
        tally::watch(&target.api, id, expires_in + SWEEP, |tally| tally.recipients >= count
            && tally.open() == 0)
    );
    let watched = watched?;
    report.figure("emergency_on_sockets_seconds", reached.as_secs_f64());
    report.figure("emergency_ended_seconds", began.elapsed().as_secs_f64());
    report.figure("emergency_states", watched.last.text());
    report.figure("looks_at_the_counts", watched.looks);
    let first_wrong = watched.wrong.first().map_or_else(|| format!("{} looks", watched.looks), Clone::clone);
    report.check("the counts add up at every look", watched.wrong.is_empty(), first_wrong);
    report.equal("deliveries without a final state", watched.last.open(), 0);
    check_sockets(report, sockets, members.len()).await;
    check_states(report, &watched.last, members);
    check_standins(report, &before, &target.standins.received().await?, &watched.last);
    Ok(())
}

async fn check_sockets(report: &mut Report, sockets: Sockets, members: usize) {
    let heard = sockets.close().await;
    report.equal(
        "sockets that got the emergency",
        heard.iter().filter(|one| !one.distinct.is_empty()).count(),
        members,
    );
    report.equal("notifications that came twice", heard.iter().map(|one| one.repeated).sum::<u64>(), 0);
    report.equal("receipts refused", heard.iter().map(|one| one.refusals).sum::<u64>(), 0);
    let closed: Vec<&String> = heard.iter().filter_map(|one| one.closed.as_ref()).collect();
    let reason =
        closed.first().map_or_else(|| "0".to_owned(), |reason| format!("{}: {reason}", closed.len()));
    report.check("no socket was closed", closed.is_empty(), reason);
}

/// The states of each channel, against what its recipients were made to do.
fn check_states(report: &mut Report, last: &Tally, members: &[Member]) {
    let of = |channel: Channel, state: DeliveryState| {
        last.by_channel
            .get(channel.as_str())
            .and_then(|states| states.get(state.as_str()))
            .copied()
            .unwrap_or(0)
    };
    let platform = |platform| members.iter().filter(move |member| member.platform == platform);
    let gone = |platform_is| platform(platform_is).filter(|member| member.is_gone).count() as u64;
    let (iphones, androids) =
        (platform(Platform::Ios).count() as u64, platform(Platform::Android).count() as u64);
    let people = members.len() as u64;
    report.equal("sockets proven", of(Channel::Socket, DeliveryState::Delivered), people);
    // who proved it on the socket before their phone's turn came is not pushed to any more
    for (name, channel, all, gone) in [
        ("iPhones", Channel::Apns, iphones, gone(Platform::Ios)),
        ("Androids", Channel::Fcm, androids, gone(Platform::Android)),
    ] {
        let failed = of(channel, DeliveryState::Failed);
        let superseded = of(channel, DeliveryState::Superseded);
        let unproven = of(channel, DeliveryState::Expired);
        report.equal(&format!("{name} taken, gone or superseded"), unproven + failed + superseded, all);
        let range = format!("{failed} of {gone}, {superseded} superseded");
        report.check(format!("{name} that are gone"), failed <= gone && failed + superseded >= gone, range);
    }
    let mails = of(Channel::Email, DeliveryState::Accepted) + of(Channel::Email, DeliveryState::Superseded);
    report.check("mails accepted or superseded", mails >= people, mails.to_string());
}

/// What arrived at the providers: as much as the states say.
fn check_standins(report: &mut Report, before: &Received, after: &Received, last: &Tally) {
    let taken = |channel: Channel, state: DeliveryState| {
        let states = last.by_channel.get(channel.as_str());
        states.and_then(|states| states.get(state.as_str())).copied().unwrap_or(0)
    };
    report.equal(
        "pushes taken by APNs",
        after.apns - before.apns,
        taken(Channel::Apns, DeliveryState::Expired),
    );
    report.equal("pushes taken by FCM", after.fcm - before.fcm, taken(Channel::Fcm, DeliveryState::Expired));
    let mails = after.mails - before.mails;
    let accepted = taken(Channel::Email, DeliveryState::Accepted);
    report.check("mails taken by the mail server", mails >= accepted, format!("{mails} of {accepted}"));
}
