//! The generators of a run: started, asked, added up.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{Instant, sleep};

use crate::cores::{self, Cores};
use crate::generator::{Ask, Order, Outcome, Status};
use crate::machine::raise_open_files;
use crate::target::Target;

/// Between two looks at how far the generators are.
const LOOK: Duration = Duration::from_millis(50);
/// Descriptors that a generator needs besides its clients'.
const DESCRIPTORS_SPARE: u64 = 100;
/// Lines of a generator are no longer.
const WITHOUT_PROGRESS: Duration = Duration::from_secs(30);

/// What the clients of all generators are to do.
#[derive(Debug, Clone)]
pub(crate) struct Roll {
    /// How many there are.
    pub clients: u32,
    /// How many topics there are.
    pub topics: u32,
    /// How many of them each client follows.
    pub topics_each: u32,
    /// Topics that all follow besides.
    pub topics_all: Vec<String>,
    /// Processes that they are spread over; more where descriptors run out.
    pub processes: u32,
    /// Handshakes under way at a time, of all together.
    pub in_flight: u32,
    /// Clients that stop reading when they are in.
    pub stalled: u32,
}

/// Running generators. Dropped, they are killed.
#[derive(Debug)]
pub(crate) struct Crew {
    members: Vec<Member>,
    clients: u32,
}

#[derive(Debug)]
struct Member {
    _child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Crew {
    /// Starts them; they dial at once.
    ///
    /// # Errors
    /// When a process cannot be started.
    pub(crate) async fn start(target: &Target, roll: &Roll, cores: &Cores) -> Result<Self> {
        let most = u32::try_from(raise_open_files().saturating_sub(DESCRIPTORS_SPARE)).unwrap_or(u32::MAX);
        ensure!(most > 0, "this shell allows too few open files: ulimit -n");
        let sides = u32::try_from(target.addresses.len())?;
        // as many for each of the server's processes
        let processes =
            roll.processes.max(roll.clients.div_ceil(most)).next_multiple_of(sides).min(roll.clients);
        let source = rand::random_range(2..=250);
        let mut crew = Self { members: Vec::new(), clients: roll.clients };
        let share = |index: u32| roll.clients / processes + u32::from(index < roll.clients % processes);
        let mut first = 0;
        for index in 0..processes {
            let clients = share(index);
            let order = Order {
                address: target.addresses[(index % sides) as usize],
                path: target.path.clone(),
                wire: target.wire,
                first,
                clients,
                prefix: target.prefix.clone(),
                topics: roll.topics,
                topics_each: roll.topics_each,
                topics_all: roll.topics_all.clone(),
                token: target.token.clone(),
                source,
                in_flight: roll.in_flight.div_ceil(processes).max(1),
                stalled: if index == 0 { roll.stalled } else { 0 },
            };
            first += clients;
            crew.members.push(Member::start(&order, cores).await.context("cannot start a generator")?);
        }
        Ok(crew)
    }

    /// How many clients there are.
    pub(crate) fn clients(&self) -> u32 {
        self.clients
    }

    /// Asks every generator the same; gives the sum of the answers.
    ///
    /// # Errors
    /// When one has died.
    pub(crate) async fn ask(&mut self, ask: Ask) -> Result<Status> {
        let mut sum = Status { began_ns: u64::MAX, ..Status::default() };
        for member in &mut self.members {
            member.say(&ask).await?;
        }
        for member in &mut self.members {
            let status: Status = serde_json::from_str(&member.hear().await?)?;
            sum.add(&status);
        }
        Ok(sum)
    }

    /// Waits until every client is in. As long as some come in, there is time.
    ///
    /// # Errors
    /// When some do not get in.
    pub(crate) async fn until_live(&mut self) -> Result<Status> {
        let (mut live, mut since) = (0, Instant::now());
        loop {
            let status = self.ask(Ask::Status).await?;
            if status.live >= self.clients {
                return Ok(status);
            }
            let why = status.why.as_deref().unwrap_or("nothing was heard of them");
            ensure!(
                status.live + status.failed < self.clients,
                "{} clients are not in: {why}",
                status.failed
            );
            if status.live > live {
                (live, since) = (status.live, Instant::now());
            }
            let missing = self.clients - status.live;
            ensure!(since.elapsed() < WITHOUT_PROGRESS, "{missing} clients do not come in: {why}");
            sleep(LOOK).await;
        }
    }

    /// Waits until `wanted` publications have come, or none for `patience`.
    ///
    /// # Errors
    /// When a generator has died.
    pub(crate) async fn until_received(&mut self, wanted: u64, patience: Duration) -> Result<Status> {
        let (mut received, mut since) = (0, Instant::now());
        loop {
            let status = self.ask(Ask::Status).await?;
            if status.received > received {
                (received, since) = (status.received, Instant::now());
            }
            if status.received >= wanted || since.elapsed() > patience {
                return Ok(status);
            }
            sleep(LOOK).await;
        }
    }

    /// What all of them have heard.
    ///
    /// # Errors
    /// When one has died.
    pub(crate) async fn outcomes(&mut self) -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::new();
        for member in &mut self.members {
            member.say(&Ask::Outcome).await?;
            outcomes.push(serde_json::from_str(&member.hear().await?).context("a generator speaks oddly")?);
        }
        Ok(outcomes)
    }
}

impl Member {
    async fn start(order: &Order, cores: &Cores) -> Result<Self> {
        let mut child =
            cores::command(&cores.generator, std::env::current_exe()?)?.arg("generate").start()?;
        let mut input = child.stdin.take().context("it has no input")?;
        let output = child.stdout.take().context("it has no output")?;
        input.write_all((serde_json::to_string(order)? + "\n").as_bytes()).await?;
        Ok(Self { _child: child, input, lines: BufReader::new(output).lines() })
    }

    async fn say(&mut self, ask: &Ask) -> Result<()> {
        let line = serde_json::to_string(ask)? + "\n";
        self.input.write_all(line.as_bytes()).await.context("a generator has died")
    }

    async fn hear(&mut self) -> Result<String> {
        self.lines.next_line().await?.context("a generator has died")
    }
}

/// A child that is spoken to.
trait Start {
    fn start(&mut self) -> std::io::Result<Child>;
}

impl Start for Command {
    fn start(&mut self) -> std::io::Result<Child> {
        self.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn()
    }
}
