//! `soak`: a crowd that lives. Clients of both protocols connect, subscribe, publish, cut themselves off and recover at
//! random for as long as one likes; at the end the books of all are compared, who is present is asked, and the
//! server's memory has to have stayed where it was.

mod books;
mod line;
mod listener;
mod member;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use domain::{Claims, Clock as _, Role};
use futures_util::{StreamExt as _, stream};
use protocol::centrifuge::Dialect;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use service::{SystemClock, TokenSigner};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use self::books::{Book, Log, compare, compare_logs};
use self::line::Line;
use self::listener::Listener;
use self::member::{Board, Member, Stage};
use crate::process;
use crate::report::Report;
use crate::settings::SOAK_APP;
use crate::spawn::{Binaries, Installation};
use crate::stand::SOCKET_PATH;

/// How many clients connect at the same time.
const CONNECTING_MAX: usize = 100;
/// How often the server's memory is looked at.
const SAMPLE_EVERY: Duration = Duration::from_secs(2);
/// How long the last publications may take to reach everybody.
const SETTLE: Duration = Duration::from_mins(1);
/// How long presence may show somebody who has left.
const LEAVING: Duration = Duration::from_secs(5);
/// Between two looks at something that is waited for.
const POLL: Duration = Duration::from_millis(50);
/// Memory may grow by so many percent from the middle third of the run to the last one…
const GROWTH_PERCENT_MAX: u64 = 5;
/// …and by so many bytes, whatever its size: pages of the allocator.
const GROWTH_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Seconds that the members' tokens are valid beyond the run.
const TOKEN_MARGIN_SECS: u64 = 3_600;

/// How to run it.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Plan {
    /// Clients; each is a user of its own.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    pub users: u32,
    /// Minutes that they live.
    #[arg(long, default_value_t = 30.0)]
    pub minutes: f64,
    /// Clients that share a topic.
    #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    pub crowd: u32,
    /// Publications a second, of all clients together.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub rate: u32,
    /// Seconds after which a client cuts itself off, on average.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub cut_seconds: u32,
    /// Part of the clients that speak Pusher's protocol; of the others one half speaks Centrifuge's in JSON, the other in
    /// Protobuf. Pusher recovers nothing, so its clients hear what is published while they are there, and publish nothing.
    #[arg(long, default_value_t = 0.25, value_parser = share)]
    pub pusher_share: f64,
    /// Repeats the choices of an earlier run: the seed that it printed.
    #[arg(long)]
    pub seed: Option<u64>,
}

/// Runs it on an installation of its own.
///
/// # Errors
/// When something cannot even be tried; what does not hold is in the report.
pub(crate) async fn run(binaries: &Binaries, plan: &Plan) -> Result<Report> {
    let files_max = process::open_files_max()?;
    let wanted = u64::from(plan.users) + 100;
    ensure!(files_max > wanted, "{wanted} files are more than the {files_max} of this shell: ulimit -n");
    let seed = plan.seed.unwrap_or_else(rand::random);
    let mut report = Report::new("soak");
    report.figure("seed", seed);
    report.figure("users", plan.users);
    report.figure("minutes", plan.minutes);
    let installation = Installation::start(binaries).await?;
    let tokens = Tokens::read(&installation, plan)?;
    let url = installation.socket_url();
    let board = Arc::new(Board::new(plan.users.div_ceil(plan.crowd)));
    let (stage, stages) = watch::channel(Stage::Live);
    let mut members = enter_all(&url, &tokens, plan, seed, (&board, &stages)).await?;
    let mut listeners = listen_all(&url, plan, seed, (&board, &stages));
    let memory = live(&installation, plan).await?;
    stage.send_replace(Stage::Settle);
    let settled = settle(&board).await;
    report.check("everybody has caught up", settled.is_ok(), settled.unwrap_or_else(|behind| behind));

    let mut probe = Line::open(&url, Dialect::Json, &tokens.of(0), plan.users as usize).await?;
    check_presence(&mut report, &mut probe, plan, "everybody", |_| true).await;
    stage.send_replace(Stage::Thin);
    check_presence(&mut report, &mut probe, plan, "half of them", Member::stays).await;
    stage.send_replace(Stage::End);
    let mut books = Vec::new();
    while let Some(book) = members.join_next().await {
        books.push(book.context("a member has panicked")?);
    }
    let mut logs = Vec::new();
    while let Some(log) = listeners.join_next().await {
        logs.push(log.context("a client of Pusher's has panicked")?);
    }
    describe(&mut report, &board, &books, plan);
    describe_listeners(&mut report, &logs, &books, plan);
    describe_memory(&mut report, &memory);
    installation.stop().await?;
    Ok(report)
}

/// Access tokens of the members, signed with the installation's own key: no password has to be made.
struct Tokens {
    signer: TokenSigner,
    valid: Duration,
}

impl Tokens {
    fn read(installation: &Installation, plan: &Plan) -> Result<Self> {
        let pem = std::fs::read_to_string(installation.signing_key())?;
        let run = Duration::from_secs_f64(plan.minutes * 60.0);
        Ok(Self { signer: TokenSigner::from_pem(&pem)?, valid: run + Duration::from_secs(TOKEN_MARGIN_SECS) })
    }

    /// The token of member `number`; their user id is one more.
    fn of(&self, number: u32) -> String {
        let now = SystemClock.now().as_second();
        self.signer.sign(&Claims {
            iss: "munadi".to_owned(),
            aud: "festival".to_owned(),
            sub: (number + 1).to_string(),
            sid: format!("soak-{number}"),
            roles: vec![Role::Attendee],
            iat: now,
            exp: now + i64::try_from(self.valid.as_secs()).unwrap_or(i64::MAX / 2),
            topics: Vec::new(),
        })
    }
}

/// Lets every member in and subscribes it, before the first of them publishes: so everybody has to hear everything.
async fn enter_all(
    url: &str,
    tokens: &Tokens,
    plan: &Plan,
    seed: u64,
    (board, stages): (&Arc<Board>, &watch::Receiver<Stage>),
) -> Result<JoinSet<Book>> {
    let mut rng = StdRng::seed_from_u64(seed);
    let entering = (0..plan.users).filter(|number| !plan.is_listener(*number)).map(|number| {
        let dialect = if number.is_multiple_of(2) { Dialect::Json } else { Dialect::Protobuf };
        let member =
            Member::new(number, url.to_owned(), tokens.of(number), StdRng::seed_from_u64(rng.random()));
        member.enter(dialect, plan.clone(), Arc::clone(board))
    });
    let entering: Vec<_> = entering.collect();
    let inside: Vec<_> = stream::iter(entering).buffer_unordered(CONNECTING_MAX).collect().await;
    let mut members = JoinSet::new();
    for member in inside {
        let member = member.context("a member did not get in")?;
        members.spawn(member.live(stages.clone()));
    }
    Ok(members)
}

/// Starts the clients of Pusher's protocol.
fn listen_all(
    url: &str,
    plan: &Plan,
    seed: u64,
    (board, stages): (&Arc<Board>, &watch::Receiver<Stage>),
) -> JoinSet<Log> {
    let host = url.strip_suffix(SOCKET_PATH).unwrap_or(url);
    let mut rng = StdRng::seed_from_u64(!seed);
    let mut listeners = JoinSet::new();
    for number in (0..plan.users).filter(|number| plan.is_listener(*number)) {
        let listener = Listener {
            number,
            topic: number % plan.users.div_ceil(plan.crowd),
            url: format!("{host}/app/{}?protocol=7&client=loadtest&version=1", SOAK_APP.1),
            cut_seconds: plan.cut_seconds,
            board: Arc::clone(board),
            rng: StdRng::seed_from_u64(rng.random()),
        };
        listeners.spawn(listener.live(stages.clone()));
    }
    listeners
}

/// Waits until the run is over; gives the resident bytes of the server meanwhile.
async fn live(installation: &Installation, plan: &Plan) -> Result<Vec<u64>> {
    let deadline = Instant::now() + Duration::from_secs_f64(plan.minutes * 60.0);
    let mut samples = Vec::new();
    let mut ticks = interval(SAMPLE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while Instant::now() < deadline {
        ticks.tick().await;
        let resident: Result<u64> = installation.pids().into_iter().map(process::resident_bytes).sum();
        samples.push(resident.context("the server has gone")?);
    }
    Ok(samples)
}

/// Waits until every member is where its topic ends; gives how long it took, or who is behind.
async fn settle(board: &Board) -> Result<String, String> {
    let began = Instant::now();
    loop {
        let behind = board.behind();
        if behind == 0 {
            return Ok(format!("within {} ms", began.elapsed().as_millis()));
        }
        if began.elapsed() > SETTLE {
            return Err(format!("{behind} members are behind after {SETTLE:?}"));
        }
        sleep(POLL).await;
    }
}

/// Asks for every topic who is there, until it is right or too late.
async fn check_presence(
    report: &mut Report,
    probe: &mut Line,
    plan: &Plan,
    who: &str,
    stays: impl Fn(u32) -> bool,
) {
    let topics = plan.users.div_ceil(plan.crowd);
    let mut wrong = Vec::new();
    let deadline = Instant::now() + LEAVING;
    for topic in 0..topics {
        let wanted = (0..plan.users).filter(|number| number % topics == topic && stays(*number)).count();
        loop {
            let (clients, users) = match probe.presence_stats(&member::topic_name(topic)).await {
                Ok(counted) => counted,
                Err(error) => {
                    report.check(format!("presence knows {who}"), false, error.to_string());
                    return;
                }
            };
            if (clients as usize, users as usize) == (wanted, wanted) {
                break;
            }
            if Instant::now() > deadline {
                wrong.push(format!("{clients} clients, {users} users of {wanted} in topic {topic}"));
                break;
            }
            sleep(POLL).await;
        }
    }
    let found = wrong.first().map_or_else(|| format!("{topics} topics"), |first| format!("{first}, …"));
    report.check(format!("presence knows {who} within {LEAVING:?}"), wrong.is_empty(), found);
}

fn describe(report: &mut Report, board: &Board, books: &[Book], plan: &Plan) {
    let sum = |pick: fn(&Book) -> u64| books.iter().map(pick).sum::<u64>();
    report.figure("published", sum(|book| book.confirmed.len() as u64));
    report.figure("heard", sum(|book| book.heard.len() as u64));
    report.figure("latency_live", board.latency.quantiles());
    report.figure("cuts", sum(|book| book.cuts));
    report.figure("unsubscriptions", sum(|book| book.pauses));
    report.figure("recovered_publications", sum(|book| book.recovered));
    report.figure("connections_lost_unasked", sum(|book| book.lost));
    let found = compare(books, plan.users.div_ceil(plan.crowd));
    report.check("something was published and heard", found.publications > 0, found.publications.to_string());
    report.equal("gaps", found.gaps, 0);
    report.equal("duplicates", sum(|book| book.duplicates), 0);
    report.equal("publications out of order", sum(|book| book.reordered) + found.disorder, 0);
    report.equal("confirmed publications that nobody heard", found.unheard, 0);
    report.equal("recoveries refused", sum(|book| book.unrecovered), 0);
    report.equal("commands refused", sum(|book| book.refused), 0);
}

fn describe_listeners(report: &mut Report, logs: &[Log], books: &[Book], plan: &Plan) {
    let sum = |pick: fn(&Log) -> u64| logs.iter().map(pick).sum::<u64>();
    let found = compare_logs(logs, books, plan.users.div_ceil(plan.crowd));
    report.figure("pusher_clients", logs.len());
    report.figure("pusher_heard", found.heard);
    report.figure("pusher_cuts", sum(|log| log.cuts));
    report.figure("pusher_connections_lost_unasked", sum(|log| log.lost));
    report.check(
        "Pusher's clients have heard something",
        logs.is_empty() || found.heard > 0,
        found.heard.to_string(),
    );
    report.equal("gaps between the cuts of Pusher's clients", found.gaps, 0);
    report.equal("publications twice or out of order for them", found.wrong, 0);
    report.equal("attempts of theirs to come in that failed", sum(|log| log.failed), 0);
}

fn describe_memory(report: &mut Report, samples: &[u64]) {
    let third = samples.len() / 3;
    let mean = |part: &[u64]| part.iter().sum::<u64>() / (part.len().max(1) as u64);
    let (middle, last) = (mean(&samples[third..third * 2]), mean(&samples[third * 2..]));
    let mib = |bytes: u64| bytes / (1024 * 1024);
    report.figure("memory_first_mib", mib(samples.first().copied().unwrap_or_default()));
    report.figure("memory_peak_mib", mib(samples.iter().copied().max().unwrap_or_default()));
    report.figure("memory_samples", samples.len());
    let allowed = middle * GROWTH_PERCENT_MAX / 100 + GROWTH_BYTES_MAX;
    let found = format!("{} MiB in the middle third, {} MiB in the last", mib(middle), mib(last));
    report.check("memory is flat", third > 0 && last <= middle + allowed, found);
}

impl Plan {
    /// Whether client `number` speaks Pusher's protocol; those who do are spread over all topics and stages.
    fn is_listener(&self, number: u32) -> bool {
        f64::from(number.wrapping_mul(7_919).wrapping_add(13) % 100) < self.pusher_share * 100.0
    }
}

fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=0.9).contains(&share) { Ok(share) } else { Err("0 to 0.9: somebody has to publish".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_grows_is_told_from_memory_that_wavers() {
        let holds = |samples: &[u64]| {
            let mut report = Report::new("soak");
            describe_memory(&mut report, samples);
            report.holds()
        };
        let mib = 1024 * 1024;
        assert!(holds(&[100 * mib, 200 * mib, 210 * mib, 205 * mib, 212 * mib, 211 * mib]));
        assert!(!holds(&[100 * mib, 100 * mib, 200 * mib, 205 * mib, 250 * mib, 260 * mib]));
        assert!(!holds(&[]));
    }
}
