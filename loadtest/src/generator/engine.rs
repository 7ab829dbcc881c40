//! The loop of a generator.

mod dial;

use std::collections::VecDeque;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use anyhow::{Context as _, Result};
use protocol::ws::{Opcode, masked_frame};
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use rustix::time::{ClockId, clock_gettime};

use super::book::{Latencies, Ledger};
use super::client::{Client, Stage};
use super::order::{Ask, Order, Outcome, Status};
use super::wires::{Login, Place, Step};
use crate::frames;
use crate::histogram::of_microseconds;
use crate::http1::Head;
use crate::machine::{now_ns, raise_open_files};
use crate::payload::Marks;

/// Events taken at once.
const EVENTS_MAX: usize = 1_024;
/// Bytes of the one buffer that everything is read into.
const BUFFER_BYTES: usize = 1 << 20;
/// What stands for the standard input among the clients' numbers.
const INPUT: u64 = u64::MAX;
/// Nanoseconds until a client that was not let in tries again, when clients are to come back.
const AGAIN_NS: u64 = 200_000_000;

struct Engine {
    order: Order,
    login: Login,
    epoll: OwnedFd,
    clients: Vec<Client>,
    /// Clients that are to dial, and not before when.
    to_dial: VecDeque<(u64, u32)>,
    under_way: u32,
    /// Connections made so far: the next source port.
    dialed: u32,
    /// Whether clients that fail try again.
    comes_back: bool,
    /// Where each client's first subscription stood when it began.
    places: Vec<Place>,
    ledger: Ledger,
    connects: hdrhistogram::Histogram<u64>,
    marks: Marks,
    status: Status,
    input: Vec<u8>,
}

/// Runs a generator until its input ends.
///
/// # Errors
/// When the order makes no sense, or the kernel fails; a client that fails is counted instead.
pub(crate) fn run() -> Result<()> {
    raise_open_files();
    let order: Order = serde_json::from_slice(&first_line()?).context("the order is not one")?;
    Engine::new(order)?.run()
}

/// The first line of the input, and nothing of what follows it.
fn first_line() -> Result<Vec<u8>> {
    let mut line = Vec::new();
    loop {
        let mut byte = [0];
        match rustix::io::read(std::io::stdin().as_fd(), &mut byte) {
            Ok(1) if byte[0] == b'\n' => return Ok(line),
            Ok(1) => line.push(byte[0]),
            Ok(_) => anyhow::bail!("the input has ended before the order"),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error).context("cannot read the order"),
        }
    }
}

impl Engine {
    fn new(order: Order) -> Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let input = epoll::EventData::new_u64(INPUT);
        epoll::add(&epoll, std::io::stdin().as_fd(), input, epoll::EventFlags::IN)
            .context("no pipe as input")?;
        let clients = order.clients as usize;
        let all = u32::try_from(order.topics_all.len())?;
        Ok(Self {
            login: Login::new(&order)?,
            epoll,
            clients: std::iter::repeat_with(Client::default).take(clients).collect(),
            to_dial: (0..order.clients).map(|local| (0, local)).collect(),
            under_way: 0,
            dialed: 0,
            comes_back: false,
            places: vec![Place::default(); clients],
            ledger: Ledger::new(clients, order.topics_each, order.topics.max(1), all),
            connects: of_microseconds(),
            marks: Marks::default(),
            status: Status { began_ns: now_ns(), ..Status::default() },
            input: Vec::new(),
            order,
        })
    }

    fn run(mut self) -> Result<()> {
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut events = Vec::with_capacity(EVENTS_MAX);
        loop {
            self.dial_some();
            events.clear();
            let wait = self.to_dial.front().map(|_| Timespec { tv_sec: 0, tv_nsec: 1_000_000 });
            let wait = wait.filter(|_| self.under_way < self.order.in_flight);
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), wait.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error).context("epoll fails"),
            }
            for event in &events {
                let (key, flags) = (event.data.u64(), event.flags);
                if key == INPUT {
                    if !self.obey(&mut buffer)? {
                        return Ok(());
                    }
                    continue;
                }
                let local = usize::try_from(key).expect("it is the number of a client");
                if self.clients[local].stage == Stage::Dialing && flags.contains(epoll::EventFlags::OUT) {
                    self.ask(local);
                }
                let ended = epoll::EventFlags::RDHUP | epoll::EventFlags::HUP | epoll::EventFlags::ERR;
                if flags.intersects(epoll::EventFlags::IN | ended) {
                    self.read(local, &mut buffer, flags.intersects(ended));
                }
            }
        }
    }

    /// Reads commands; `false` when there are no more.
    fn obey(&mut self, buffer: &mut [u8]) -> Result<bool> {
        let bytes =
            rustix::io::read(std::io::stdin().as_fd(), &mut *buffer).context("cannot read commands")?;
        self.input.extend_from_slice(&buffer[..bytes]);
        while let Some(end) = self.input.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.input.drain(..=end).collect();
            match serde_json::from_slice(&line).context("a command is not one")? {
                Ask::Status => answer(&self.status())?,
                Ask::Begin => {
                    self.ledger.begin();
                    answer(&self.status())?;
                }
                Ask::Return => {
                    self.come_back();
                    answer(&self.status())?;
                }
                Ask::Outcome => answer(&Outcome {
                    status: self.status(),
                    books: self.ledger.books(),
                    connects: Latencies::of(&self.connects),
                })?,
            }
        }
        Ok(bytes > 0)
    }

    fn status(&self) -> Status {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let cpu =
            Duration::new(u64::try_from(cpu.tv_sec).unwrap_or(0), u32::try_from(cpu.tv_nsec).unwrap_or(0));
        let cpu_us = u64::try_from(cpu.as_micros()).unwrap_or(u64::MAX);
        Status { received: self.ledger.received(), cpu_us, ..self.status.clone() }
    }

    /// Breaks what is left of the connections, and has every client connect again until it is in.
    fn come_back(&mut self) {
        self.comes_back = true;
        self.status = Status { began_ns: now_ns(), ..Status::default() };
        self.connects.reset();
        self.under_way = 0;
        self.to_dial.clear();
        for (local, client) in (0_u32..).zip(&mut self.clients) {
            *client = Client::default();
            self.to_dial.push_back((0, local));
        }
    }

    fn ask(&mut self, local: usize) {
        let request = self.login.request(number(local));
        self.clients[local].stage = Stage::Asking;
        self.send(local, &request);
    }

    /// Sends something short; a socket that does not take it is given up.
    fn send(&mut self, local: usize, bytes: &[u8]) {
        let Some(socket) = &self.clients[local].socket else { return };
        match rustix::io::write(socket, bytes) {
            Ok(written) if written == bytes.len() => {}
            Ok(_) => self.lose(local, "the socket is full"),
            Err(error) => self.lose(local, &format!("cannot write: {error}")),
        }
    }

    /// Reads what there is. A read that does not fill the buffer has emptied the socket, unless the peer has `ended`.
    fn read(&mut self, local: usize, buffer: &mut [u8], ended: bool) {
        loop {
            let client = &mut self.clients[local];
            let Some(socket) = &client.socket else { return };
            let kept = client.rest.take().map_or(0, |rest| {
                buffer[..rest.len()].copy_from_slice(&rest);
                rest.len()
            });
            let read = match rustix::io::read(socket, &mut buffer[kept..]) {
                Ok(0) => return self.lose(local, "the server has closed"),
                Ok(read) => read,
                Err(Errno::AGAIN | Errno::INTR) => {
                    self.keep(local, &buffer[..kept]);
                    return;
                }
                Err(error) => return self.lose(local, &format!("cannot read: {error}")),
            };
            self.ledger.bytes(read);
            let filled = kept + read;
            match self.take(local, &buffer[..filled]) {
                Ok(taken) if filled - taken < BUFFER_BYTES / 2 => self.keep(local, &buffer[taken..filled]),
                Ok(_) => return self.lose(local, "a message is too long"),
                Err(why) => return self.lose(local, &why),
            }
            if filled < buffer.len() && !ended {
                return;
            }
        }
    }

    fn keep(&mut self, local: usize, rest: &[u8]) {
        if !rest.is_empty() {
            self.clients[local].rest = Some(Box::new(rest.to_vec()));
        }
    }

    /// Takes what a client got apart; gives how much of it was whole.
    fn take(&mut self, local: usize, bytes: &[u8]) -> Result<usize, String> {
        let mut taken = 0;
        if self.clients[local].stage == Stage::Asking {
            let Some(head) = Head::first(bytes) else { return Ok(0) };
            if head.second_word() != self.order.wire.status() {
                return Err(format!("refused: {}", head.first_line));
            }
            taken = head.bytes;
            self.enter(local);
        }
        if !self.order.wire.is_socket() {
            // lines of events, in chunks that nobody needs to know of
            let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(taken, |at| (at + 1).max(taken));
            self.take_message(local, &bytes[taken..end])?;
            return Ok(end);
        }
        // frames in a row are looked through at once: marks are found across their headers
        let mut heard = taken;
        while let Some(frame) = frames::first(&bytes[taken..]) {
            taken += frame.bytes;
            match frame.opcode {
                frames::TEXT | frames::BINARY | frames::CONTINUATION => {
                    if self.clients[local].stage == Stage::Live {
                        self.answer_ping(local, frame.payload);
                    } else {
                        self.take_message(local, frame.payload)?;
                        heard = taken;
                    }
                }
                frames::PING => self.send(local, &masked_frame(Opcode::Pong, frame.payload, [0; 4])),
                frames::CLOSE => {
                    self.hear(local, &bytes[heard..taken]);
                    return Err(format!("the server has closed with {}", close_text(frame.payload)));
                }
                _ => {}
            }
        }
        self.hear(local, &bytes[heard..taken]);
        Ok(taken)
    }

    /// The connection is a socket of the dialect now: says what comes next.
    fn enter(&mut self, local: usize) {
        let since =
            self.comes_back.then(|| self.places[local].clone()).filter(|place| !place.epoch.is_empty());
        let greeting = self.login.greeting(number(local), since.as_ref());
        let due = u16::try_from(self.login.answers()).unwrap_or(u16::MAX);
        let client = &mut self.clients[local];
        (client.stage, client.due) = (Stage::Entering, due);
        if !greeting.is_empty() {
            self.send(local, &greeting);
        }
        if due == 0 {
            self.is_in(local);
        }
    }

    /// A message outside of the way that most messages go.
    fn take_message(&mut self, local: usize, message: &[u8]) -> Result<(), String> {
        if message.is_empty() {
            return Ok(());
        }
        self.hear(local, message);
        if self.clients[local].stage != Stage::Entering {
            return Ok(());
        }
        self.answer_ping(local, message);
        let Step { answered, say, place } = self.login.read(number(local), message)?;
        if !say.is_empty() {
            self.send(local, &say);
        }
        if let Some((place, recovered)) = place {
            if self.comes_back && recovered {
                self.status.recovered += 1;
            } else if self.comes_back {
                self.status.unrecovered += 1;
            } else {
                self.places[local] = place;
            }
        }
        let client = &mut self.clients[local];
        client.due = client.due.saturating_sub(u16::try_from(answered).unwrap_or(u16::MAX));
        if client.due == 0 && client.stage == Stage::Entering {
            self.is_in(local);
        }
        Ok(())
    }

    /// Notes the marks in what came.
    fn hear(&mut self, local: usize, bytes: &[u8]) {
        let (first, now) = (self.login.first_topic(number(local)), now_ns());
        for mark in self.marks.find(bytes) {
            self.ledger.heard(local, first, mark, now);
        }
    }

    fn answer_ping(&mut self, local: usize, message: &[u8]) {
        if let Some(pong) = self.order.wire.pong(message) {
            self.send(local, &pong);
        }
    }

    fn is_in(&mut self, local: usize) {
        let now = now_ns();
        let client = &mut self.clients[local];
        client.stage = Stage::Live;
        self.connects.saturating_record((now.saturating_sub(client.dialed_ns) / 1_000).max(1));
        self.under_way = self.under_way.saturating_sub(1);
        self.status.live += 1;
        self.status.done_ns = now;
        if self.is_stalled(local)
            && let Some(socket) = &self.clients[local].socket
        {
            let _ = epoll::delete(&self.epoll, socket); // it is in there: nothing can go wrong
        }
    }

    /// A connection is over.
    fn lose(&mut self, local: usize, why: &str) {
        let client = &mut self.clients[local];
        match client.stage {
            Stage::Over => return,
            Stage::Live => {
                self.status.live -= 1;
                self.status.closed += 1;
            }
            Stage::Waiting | Stage::Dialing | Stage::Asking | Stage::Entering => {
                self.under_way = self.under_way.saturating_sub(1);
                self.status.failed += 1;
            }
        }
        self.status.why.get_or_insert_with(|| why.to_owned());
        *client = Client { stage: Stage::Over, ..Client::default() };
        if self.comes_back {
            client.stage = Stage::Waiting;
            self.to_dial.push_back((now_ns() + AGAIN_NS, number(local)));
        }
    }
}

fn number(local: usize) -> u32 {
    u32::try_from(local).expect("there are fewer clients")
}

fn close_text(payload: &[u8]) -> String {
    match payload {
        [high, low, reason @ ..] => {
            format!("{} {}", u16::from_be_bytes([*high, *low]), String::from_utf8_lossy(reason))
        }
        _ => "no code".to_owned(),
    }
}

/// Answers a command.
#[expect(clippy::print_stdout, reason = "that is how a generator answers")]
fn answer(answer: &impl serde::Serialize) -> Result<()> {
    println!("{}", serde_json::to_string(answer)?);
    Ok(())
}
