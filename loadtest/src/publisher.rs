//! Publishes at fixed times, over a few connections that stay open, without waiting for answers.
//!
//! A topic's publications take one connection, so that the server has them in their order. Answers are read and counted
//! meanwhile; what was refused fails the run.

mod request;

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use memchr::memmem;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, recv, send, socket_with, sockopt};
use rustix::net::{RecvFlags, SendFlags};

pub(crate) use request::Way;

use crate::generator::Wire;
use crate::http1::Head;
use crate::machine::{nanos, now_ns, sleep_until};
use crate::payload::Mark;
use crate::schedule::Schedule;

/// Bytes of answers read at once.
const READ_BYTES: usize = 1 << 16;
/// How long an upgrade, and the last answers, may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Between two looks for answers.
const LOOK_NS: u64 = 1_000_000;

/// What is published.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    /// What a topic's name begins with; its number follows.
    pub prefix: String,
    /// How many topics there are; publications take turns among them.
    pub topics: u32,
    /// Bytes of a payload.
    pub bytes: usize,
    /// Publications at each point of the schedule.
    pub at_once: u32,
}

/// A publication on its way out.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// Its topic's name.
    pub topic: String,
    /// What it says: JSON.
    pub payload: String,
}

/// Open connections to a server, and how far every topic is.
#[derive(Debug)]
pub(crate) struct Publisher {
    way: Way,
    lines: Vec<Line>,
    content: Content,
    /// The next number of each topic.
    next: Vec<u32>,
    turn: u32,
}

/// How publishing went.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Published {
    /// Publications handed to the kernel.
    pub count: u64,
    /// When the first and the last one were due.
    pub first_due_ns: u64,
    /// See `first_due_ns`.
    pub last_due_ns: u64,
    /// The longest that one was late when it was handed over.
    pub late_max_ns: u64,
}

#[derive(Debug)]
struct Line {
    socket: OwnedFd,
    answers: Vec<u8>,
    pings: usize,
    /// Requests (or frames) that want an answer, and publications in them.
    sent: u64,
    number: u32,
}

impl Publisher {
    /// Opens `lines` connections.
    ///
    /// # Errors
    /// When the server does not take them.
    pub(crate) fn open(way: Way, lines: u32, content: Content) -> Result<Self> {
        let next = vec![0; content.topics as usize];
        let lines = (0..lines.clamp(1, content.topics))
            .map(|_| Line::open(&way).context("the publisher does not get in"))
            .collect::<Result<_>>()?;
        Ok(Self { way, lines, content, next, turn: 0 })
    }

    /// Publishes at each point of the schedule, all that is due at once.
    ///
    /// # Errors
    /// When a connection breaks.
    pub(crate) fn run(&mut self, schedule: &Schedule) -> Result<Published> {
        let mut published = Published { first_due_ns: schedule.due_ns(0), ..Published::default() };
        let mut next = 0;
        while next < schedule.count() {
            sleep_until(schedule.due_ns(next));
            let now = now_ns();
            let due = schedule.due(next, now);
            next = due.end;
            published.late_max_ns = published.late_max_ns.max(now.saturating_sub(schedule.due_ns(due.start)));
            let mut by_line: Vec<Vec<Message>> = vec![Vec::new(); self.lines.len()];
            for point in due {
                published.last_due_ns = schedule.due_ns(point);
                for _ in 0..self.content.at_once {
                    let (line, message) = self.message(published.last_due_ns);
                    by_line[line].push(message);
                    published.count += 1;
                }
            }
            for (line, messages) in by_line.iter().enumerate().filter(|(_, messages)| !messages.is_empty()) {
                self.lines[line].send(&self.way, messages)?;
            }
            for line in &mut self.lines {
                line.read(&self.way)?;
            }
        }
        Ok(published)
    }

    /// Waits until everything is answered.
    ///
    /// # Errors
    /// When something is not, or was refused.
    pub(crate) fn settle(&mut self) -> Result<()> {
        let deadline = now_ns() + nanos(ANSWER_TIMEOUT);
        for line in &mut self.lines {
            while line.answered(&self.way)? < line.sent {
                ensure!(now_ns() < deadline, "of {} publications {} are not answered", line.sent, {
                    line.sent - line.answered(&self.way)?
                });
                sleep_until(now_ns() + LOOK_NS);
                line.read(&self.way)?;
            }
        }
        Ok(())
    }

    /// The next publication, and the connection that it takes.
    fn message(&mut self, due_ns: u64) -> (usize, Message) {
        let topic = self.turn;
        self.turn = (self.turn + 1) % self.content.topics;
        let number = self.next[topic as usize];
        self.next[topic as usize] += 1;
        let payload = Mark { topic, number, due_ns }.payload(self.content.bytes);
        let line = topic as usize % self.lines.len();
        (line, Message { topic: format!("{}{topic}", self.content.prefix), payload })
    }
}

impl Line {
    fn open(way: &Way) -> Result<Self> {
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        let address: SocketAddr = way.address();
        connect(&socket, &address).with_context(|| format!("nothing listens on {address}"))?;
        let mut line = Self { socket, answers: Vec::new(), pings: 0, sent: 0, number: 0 };
        if let Some((upgrade, login)) = way.login() {
            line.write(&upgrade)?;
            let end = line.wait_for(|answers| Head::first(answers).map(|head| head.bytes))?;
            ensure!(line.answers.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&line.answers));
            line.answers.drain(..end);
            line.write(&login)?;
            line.wait_for(|answers| memmem::find(answers, b"\"connect\":"))?;
            line.answers.clear();
        }
        Ok(line)
    }

    fn wait_for(&mut self, found: impl Fn(&[u8]) -> Option<usize>) -> Result<usize> {
        let deadline = now_ns() + nanos(ANSWER_TIMEOUT);
        loop {
            if let Some(at) = found(&self.answers) {
                return Ok(at);
            }
            ensure!(now_ns() < deadline, "no answer, but {}", String::from_utf8_lossy(&self.answers));
            self.receive()?;
            sleep_until(now_ns() + LOOK_NS);
        }
    }

    fn send(&mut self, way: &Way, messages: &[Message]) -> Result<()> {
        let (bytes, answers) = way.requests(messages, &mut self.number);
        self.sent += answers;
        self.write(&bytes)
    }

    fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            match send(&self.socket, bytes, SendFlags::NOSIGNAL) {
                Ok(written) => bytes = &bytes[written..],
                Err(Errno::INTR) => {}
                Err(error) => return Err(error).context("the publisher's connection broke"),
            }
        }
        Ok(())
    }

    /// Reads what is there, and answers pings.
    fn read(&mut self, way: &Way) -> Result<()> {
        self.receive()?;
        if way.is_socket() {
            let pings = memmem::find_iter(&self.answers, b"\x81\x02{}").count();
            for _ in self.pings..pings {
                self.write(&Wire::CentrifugeJson.pong(b"{}").unwrap_or_default())?;
            }
            self.pings = pings;
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<()> {
        loop {
            self.answers.reserve(READ_BYTES);
            let spare = rustix::buffer::spare_capacity(&mut self.answers);
            match recv(&self.socket, spare, RecvFlags::DONTWAIT) {
                Ok((0, _)) => anyhow::bail!("the server has closed: {}", self.last_words()),
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error).context("the publisher's connection broke"),
            }
        }
    }

    /// Answers so far.
    fn answered(&self, way: &Way) -> Result<u64> {
        let (done, refused) = way.count_answers(&self.answers);
        ensure!(refused == 0, "{refused} publications were refused: {}", self.last_words());
        Ok(done)
    }

    fn last_words(&self) -> String {
        let end = &self.answers[self.answers.len().saturating_sub(500)..];
        String::from_utf8_lossy(end).into_owned()
    }
}
