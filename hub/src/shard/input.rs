//! From the sockets to the sessions: reading, frames, commands, and what sessions say to it.

use std::io::ErrorKind;

use protocol::centrifuge::Dialect;
use protocol::centrifuge::reply::Answer;
use protocol::codes::{DisconnectCode, ErrorCode};
use protocol::ws::{self, Event, Input};
use rand::Rng as _;

use tracing::warn;
use uuid::Uuid;

use super::connection::{Connection, Deadlines, Dirty, NEVER, Paused, State, Tick};
use super::converse::{Flow, converse};
use super::outgoing::Outgoing;
use super::{Arrival, Key, READ_BYTES, Shard};
use crate::confirm::Ticket;
use crate::conversation::Conversation;
use crate::metrics::{CloseReason, Confirmed, confirmed};
use crate::publish;
use crate::pusher;
use crate::session::{Expiry, Session};
use crate::world::{Patience, World};

/// What a session of this shard works with; a macro, because the connection is borrowed at the same time.
macro_rules! world {
    ($shard:ident, $key:ident, $patience:expr) => {
        World {
            config: &$shard.shared.config,
            authority: &$shard.shared.authority,
            census: &$shard.shared.census,
            paces: &$shard.shared.paces,
            histories: &$shard.shared.histories,
            presence: &$shard.shared.presence,
            topics: &mut $shard.topics,
            metrics: &$shard.metrics,
            connection: $key.index,
            now: $shard.shared.clock.now(),
            node: &$shard.shared.node,
            uptime_ms: u64::try_from($shard.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            patience: $patience,
        }
    };
}

pub(super) use world;

/// Reads of one socket before the others have their turn.
const READS_PER_TURN: usize = 4;

/// What an event of the socket means.
enum Heard {
    Nothing,
    Commands(Flow),
    Ping(Vec<u8>),
    NativePong,
    End(CloseReason),
    PeerClosed,
}

impl Shard {
    /// Takes a new socket in.
    pub(super) fn accept(&mut self, arrival: Arrival) {
        let Arrival { socket, wire, first_bytes, door, pings, guest, admission } = arrival;
        let now_ms = self.uptime_ms();
        let config = &self.shared.config;
        self.generation = self.generation.wrapping_add(1);
        let client = uuid::Builder::from_random_bytes(self.rng.random()).into_uuid();
        let connect = self.tick_in(config.stale_after_ms);
        let index = self.connections.insert(Connection {
            generation: self.generation,
            socket,
            wire,
            session: match guest {
                Some(guest) => {
                    let session = pusher::Session::new(client, guest, &config.limits, now_ms);
                    Conversation::Pusher(Box::new(session))
                }
                None => Conversation::Centrifuge(Session::new((client, door), pings, config, now_ms)),
            },
            decoder: ws::Decoder::new(ws::Side::Server, config.limits.message_bytes_max),
            outgoing: Outgoing::default(),
            left: 0,
            state: State::Open,
            paused: None,
            dirty: Dirty::No,
            watched_expiry: Expiry::NEVER,
            deadlines: Deadlines { connect, ping: NEVER, pong: NEVER, write: NEVER, armed: NEVER },
            _admission: admission,
        });
        let key = self.key(index);
        if let Err(error) = self.readiness.watch(&self.connections[index].socket, index) {
            warn!("a socket cannot be watched: {error}");
            return self.remove(key);
        }
        self.arm(key);
        if self.drain.is_some() {
            self.close(key, DisconnectCode::Shutdown.into());
        }
        self.greet(key);
        if let Some(door) = door {
            self.doors.insert(door, key);
        }
        if wire.is_socket() {
            self.feed(key, &mut first_bytes.to_vec());
        } else {
            self.take_frame(key, &first_bytes);
        }
        self.flush(key);
    }

    /// Says what comes before any command.
    fn greet(&mut self, key: Key) {
        let Some(connection) = self.connections.get(key.index as usize) else { return };
        if let (Conversation::Pusher(session), true) = (&connection.session, connection.is_open()) {
            self.out.wire = connection.wire;
            session.greet(&mut self.out);
            self.settle(key, Flow::Done, None);
        }
    }

    /// Takes commands that came another way than through the connection itself. A connection that is gone is not
    /// an error: the one who sent them finds out by itself.
    pub(super) fn take_commands(&mut self, door: Uuid, frame: &[u8]) {
        if let Some(key) = self.doors.get(&door).copied() {
            self.take_frame(key, frame);
        }
    }

    fn take_frame(&mut self, key: Key, frame: &[u8]) {
        let frame_bytes_max = self.shared.config.limits.message_bytes_max as usize;
        let Some(connection) = self.connections.get_mut(key.index as usize) else { return };
        if connection.generation != key.generation || !connection.is_open() {
            return;
        }
        if let Some(paused) = &mut connection.paused {
            let waiting: usize = paused.frames.iter().map(Vec::len).sum();
            if waiting + frame.len() > frame_bytes_max {
                return self.close(key, DisconnectCode::TooManyRequests.into());
            }
            paused.frames.push(frame.to_vec());
            return;
        }
        self.out.wire = connection.wire;
        let mut world = world!(self, key, Patience::Wait);
        let flow = converse(&mut connection.session, frame, &mut world, &mut self.out);
        self.settle(key, flow, None);
    }

    /// Reads what `key` has said, to the end if it has `ended`, and answers.
    pub(super) fn read(&mut self, key: Key, ended: bool) {
        let mut buffer = std::mem::take(&mut self.read_buffer);
        let mut turns = 0..READS_PER_TURN;
        while let Some(connection) = self.get(key) {
            if connection.paused.is_some() {
                break; // it is read again when it goes on
            }
            if turns.next().is_none() {
                self.unread.push(key);
                break;
            }
            let shown = connection.socket.shows_its_end();
            match connection.socket.read(&mut buffer[..READ_BYTES]) {
                Ok(0) => self.lose(key, CloseReason::Left),
                Ok(count) => {
                    if connection.wire.is_socket() {
                        self.feed(key, &mut buffer[..count]);
                    } // otherwise nothing is said this way
                    if shown && count < READ_BYTES && !ended {
                        break; // that was all: the kernel tells of more
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.lose(key, CloseReason::Left),
            }
        }
        self.read_buffer = buffer;
        self.flush(key);
    }

    /// Takes bytes of the socket.
    fn feed(&mut self, key: Key, bytes: &mut [u8]) {
        let mut input = Input::new(bytes);
        loop {
            let heard = {
                let Some(connection) = self.connections.get_mut(key.index as usize) else { return };
                if connection.generation != key.generation || connection.is_deaf() {
                    return;
                }
                if let Some(paused) = &mut connection.paused {
                    paused.raw.extend_from_slice(input.rest());
                    return;
                }
                let open = connection.is_open();
                match connection.decoder.next(&mut input) {
                    Ok(None) => return,
                    Err(violation) => Heard::End(CloseReason::Violation(violation.close_code())),
                    Ok(Some(Event::Close(_))) => Heard::PeerClosed,
                    Ok(Some(_)) if !open => Heard::Nothing,
                    Ok(Some(Event::Text(text))) if connection.wire.dialect() == Dialect::Json => {
                        self.out.wire = connection.wire;
                        let mut world = world!(self, key, Patience::Wait);
                        let frame = text.as_bytes();
                        Heard::Commands(converse(&mut connection.session, frame, &mut world, &mut self.out))
                    }
                    Ok(Some(Event::Binary(frame))) if connection.wire.dialect() == Dialect::Protobuf => {
                        self.out.wire = connection.wire;
                        let mut world = world!(self, key, Patience::Wait);
                        Heard::Commands(converse(&mut connection.session, frame, &mut world, &mut self.out))
                    }
                    Ok(Some(Event::Text(_) | Event::Binary(_))) => {
                        Heard::End(DisconnectCode::InappropriateProtocol.into())
                    }
                    Ok(Some(Event::Ping(payload))) => Heard::Ping(ws::frame(ws::Opcode::Pong, payload)),
                    Ok(Some(Event::Pong(_))) => Heard::NativePong,
                }
            };
            if !self.react(key, heard) {
                return;
            }
        }
    }

    /// Acts on what was heard; whether more may follow.
    fn react(&mut self, key: Key, heard: Heard) -> bool {
        let Some(connection) = self.get(key) else { return false };
        match heard {
            Heard::Nothing => {}
            Heard::Commands(flow) => self.settle(key, flow, None),
            Heard::Ping(pong) => {
                connection.outgoing.push(pong.into());
                self.mark(key);
                self.limit_answers(key);
            }
            Heard::NativePong => connection.session.native_pong(),
            Heard::End(reason) => {
                if connection.is_open() {
                    self.close(key, reason);
                } else {
                    self.remove(key);
                }
                return matches!(reason, CloseReason::Disconnect(_));
            }
            Heard::PeerClosed => {
                if let State::Closing { peer_closed, .. } = &mut connection.state {
                    *peer_closed = true;
                    self.mark(key);
                } else {
                    self.close(key, CloseReason::Left);
                }
                return false;
            }
        }
        true
    }

    /// Carries out what a session has decided. `held_until` is the deadline of a command that was held before.
    fn settle(&mut self, key: Key, flow: Flow, held_until: Option<Tick>) {
        self.say(key);
        let until = held_until.unwrap_or_else(|| self.tick_in(self.shared.config.hold_ms));
        match flow {
            Flow::Done => {}
            Flow::Close(code) => return self.close(key, code.into()),
            Flow::Hold { frame, partition, offset } => {
                let Some(connection) = self.get(key) else { return };
                let (raw, frames) = (Vec::new(), Vec::new());
                connection.paused = Some(Box::new(Paused { frame, raw, frames, partition, offset, until }));
                self.holds.push(key);
                // when the queue of questions is full, the answer to an earlier one serves this one too
                let _ = self.shared.probes.try_send(partition);
                self.arm(key);
            }
        }
        self.watch(key);
    }

    /// Sends what the session at work has said, and its confirmations on their way.
    pub(super) fn say(&mut self, key: Key) {
        for confirmation in std::mem::take(&mut self.out.confirmations) {
            let ticket = Ticket { shard: self.number, key, confirmation };
            if self.shared.confirmations.try_send(ticket).is_err() {
                confirmed(Confirmed::QueueFull, 1);
                self.metrics.refusal(ErrorCode::TooManyRequests);
                if let Some(command) = confirmation.command {
                    self.out.answer(command, Answer::refusal(ErrorCode::TooManyRequests));
                }
            }
        }
        for submission in std::mem::take(&mut self.out.submissions) {
            let command = submission.command;
            let ticket = publish::Ticket { shard: self.number, key, submission };
            if self.shared.submissions.try_send(ticket).is_err() {
                self.metrics.refusal(ErrorCode::TooManyRequests);
                self.out.answer(command, Answer::refusal(ErrorCode::TooManyRequests));
            }
        }
        if self.out.messages.is_empty() {
            return;
        }
        let chunk = self.out.wire.pack(&self.out.messages);
        self.out.messages.clear();
        self.out.messages.shrink_to(READ_BYTES);
        let Some(connection) = self.get(key) else { return };
        connection.outgoing.push(chunk);
        self.mark(key);
        self.limit_answers(key);
    }

    /// Goes on with a held command.
    pub(super) fn resume(&mut self, key: Key, patience: Patience) {
        let Some(connection) = self.connections.get_mut(key.index as usize) else { return };
        let Some(paused) = connection.paused.take() else { return };
        let Paused { frame, mut raw, frames, until, .. } = *paused;
        self.out.wire = connection.wire;
        let mut world = world!(self, key, patience);
        let flow = converse(&mut connection.session, &frame, &mut world, &mut self.out);
        self.settle(key, flow, Some(until));
        self.feed(key, &mut raw);
        for frame in frames {
            self.take_frame(key, &frame);
        }
        self.unread.push(key); // it was not read meanwhile
        self.mark(key);
    }

    /// A client's publication is in the change log, or is not: the client is answered.
    pub(super) fn published(&mut self, receipt: publish::Receipt) {
        let Some(connection) = self.get(receipt.key) else { return };
        if !connection.is_open() {
            return;
        }
        self.out.wire = connection.wire;
        let answer = receipt.refused.map_or(Answer::Publish, Answer::refusal);
        self.out.answer(receipt.command, answer);
        self.say(receipt.key);
    }

    /// A confirmation has become durable, or has not: the client is answered.
    pub(super) fn confirmed(&mut self, ticket: Ticket, stored: bool) {
        let Some(command) = ticket.confirmation.command else { return };
        let Some(connection) = self.get(ticket.key) else { return };
        if !connection.is_open() {
            return;
        }
        let answer = if stored { Answer::Rpc(None) } else { Answer::refusal(ErrorCode::Internal) };
        self.out.wire = connection.wire;
        self.out.answer(command, answer);
        self.say(ticket.key);
    }
}
