//! How connections end: told why, waited for, dropped; and all of them when the process drains.

use protocol::codes::DisconnectCode;
use tracing::debug;

use super::connection::{Connection, State};
use super::wheel::TICK_MS;
use super::{Key, Shard};
use crate::metrics::CloseReason;

/// A drain under way.
#[derive(Debug)]
pub(super) struct Drain {
    /// All sockets have to be closed by then.
    until_ms: u64,
    /// Where the next look begins in the slab.
    cursor: usize,
}

impl Connection {
    /// Whether the close is complete on both sides.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.state, State::Closing { peer_closed: true, .. }) && self.outgoing.is_empty()
    }
}

impl Shard {
    /// Begins to close a connection: its session ends, and the peer is told why.
    pub(super) fn close(&mut self, key: Key, reason: CloseReason) {
        let told = match reason {
            CloseReason::Disconnect(code) => (code.code(), code.text()),
            CloseReason::Violation(code) => (code, ""),
            CloseReason::Left => (1000, ""),
        };
        self.close_saying(key, reason, told);
    }

    /// As [`Shard::close`], with a code and words of somebody else's.
    pub(super) fn close_saying(&mut self, key: Key, reason: CloseReason, (code, text): (u16, &str)) {
        let until = self.tick_in(self.shared.config.close_wait_ms);
        let Some(connection) = self.get(key) else { return };
        if !connection.is_open() {
            return;
        }
        // dropping a socket with unread input resets it, and the peer would never see the close frame
        let deaf = matches!(reason, CloseReason::Violation(_));
        // only a WebSocket answers a farewell
        let peer_closed = reason == CloseReason::Left || !connection.wire.is_socket();
        connection.state = State::Closing { until, peer_closed, deaf };
        connection.paused = None;
        if reason == CloseReason::Disconnect(DisconnectCode::Slow) {
            connection.outgoing.cut(connection.wire);
        }
        connection.outgoing.push(connection.wire.farewell(code, text));
        self.part(key, reason);
        self.mark(key);
        self.arm(key);
    }

    /// Drops a connection whose socket is of no more use.
    pub(super) fn lose(&mut self, key: Key, reason: CloseReason) {
        if self.get(key).is_some_and(|connection| connection.is_open()) {
            self.part(key, reason);
        }
        self.remove(key);
    }

    /// Ends the session of a connection.
    fn part(&mut self, key: Key, reason: CloseReason) {
        let Some(connection) = self.connections.get_mut(key.index as usize) else { return };
        if let Some(user) = connection.session.owner() {
            self.users.leave(&user, key.index);
        }
        connection.session.leave(&mut self.topics, &self.shared.census);
        if let Some(door) = connection.session.door() {
            self.doors.remove(&door);
        }
        self.metrics.disconnect(reason);
        debug!(shard = self.number, close.reason = ?reason, "a socket has ended");
    }

    /// Forgets a connection; its socket closes.
    pub(super) fn remove(&mut self, key: Key) {
        if self.get(key).is_none() {
            return;
        }
        // the socket is not watched any more when it is closed, which is when this goes out of scope
        let mut connection = self.connections.remove(key.index as usize);
        self.left -= u64::from(connection.left);
        if let Some(user) = connection.session.owner() {
            self.users.leave(&user, key.index);
        }
        connection.session.leave(&mut self.topics, &self.shared.census);
    }

    /// The process ends: sockets are closed one after the other over the configured window.
    pub(super) fn begin_drain(&mut self) {
        let until_ms = self.uptime_ms() + self.shared.config.drain_window_ms;
        self.drain = Some(Drain { until_ms, cursor: 0 });
        self.drain_some();
    }

    /// Closes as many sockets as this tick's share of the window.
    pub(super) fn drain_some(&mut self) {
        let now_ms = self.uptime_ms();
        let Some(drain) = &mut self.drain else { return };
        let open = self.connections.iter().filter(|(_, connection)| connection.is_open()).count();
        let ticks_left = drain.until_ms.saturating_sub(now_ms) / TICK_MS + 1;
        let share = open.div_ceil(usize::try_from(ticks_left).unwrap_or(usize::MAX));
        let cursor = drain.cursor;
        let chosen: Vec<usize> = self
            .connections
            .iter()
            .filter(|(index, connection)| *index >= cursor && connection.is_open())
            .map(|(index, _)| index)
            .take(share)
            .collect();
        drain.cursor = if chosen.len() < share { 0 } else { chosen.last().map_or(0, |index| index + 1) };
        for index in chosen {
            self.close(self.key(index), DisconnectCode::Shutdown.into());
        }
    }
}
