//! What happens by time: pings, deadlines, expiries, resynchronisations, and the pace of the drain.

use std::cmp::Reverse;
use std::time::Duration;

use bytes::Bytes;
use protocol::codes::DisconnectCode;

use super::connection::{NEVER, State, Tick};
use super::wheel::TICK_MS;
use super::{Key, Shard};
use crate::session::Pings;
use crate::world::Patience;

/// Parts of the interval between pings; each connection has its pings at the beginning of one.
const PING_SLOTS: Tick = 25;
/// A ping of WebSocket's own.
const PING_FRAME: Bytes = Bytes::from_static(b"\x89\x00");

/// So many milliseconds, in ticks.
fn ticks(ms: u64) -> Tick {
    Tick::try_from(ms.div_ceil(TICK_MS)).unwrap_or(NEVER)
}

/// The next tick from `tick` on at which pings are sent: so many at a time, and answered at a time, that waking up for
/// them costs little, and still spread over the whole interval.
fn slot(tick: Tick, every_ms: u64) -> Tick {
    tick.checked_next_multiple_of((ticks(every_ms) / PING_SLOTS).max(1)).unwrap_or(NEVER)
}

impl Shard {
    /// The last tick that has passed.
    pub(super) fn tick_now(&self) -> Tick {
        Tick::try_from(self.uptime_ms() / TICK_MS).unwrap_or(NEVER)
    }

    /// The first tick by which so many milliseconds have passed.
    pub(super) fn tick_in(&self, ms: u64) -> Tick {
        ticks(self.uptime_ms() + ms)
    }

    /// Everything whose time has come.
    pub(super) fn tick(&mut self) {
        let mut due = Vec::new();
        self.wheel.turn(self.tick_now(), &mut due);
        for key in due {
            if let Some(connection) = self.get(key) {
                connection.deadlines.armed = NEVER;
                self.look(key);
                self.arm(key);
            }
        }
        self.expire();
        self.resync();
        self.drain_some();
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
        {
            self.metrics.connections.set(self.connections.len() as f64);
            self.metrics.subscriptions.set(self.topics.subscriptions() as f64);
            self.metrics.queued.set(self.left as f64);
        }
    }

    /// Acts on the deadlines of one connection that have passed.
    fn look(&mut self, key: Key) {
        let now = self.tick_now();
        let config = std::sync::Arc::clone(&self.shared.config);
        let Some(connection) = self.get(key) else { return };
        if let State::Closing { until, .. } = connection.state {
            if until <= now {
                self.remove(key);
            }
            return;
        }
        if connection.paused.as_ref().is_some_and(|paused| paused.until <= now) {
            self.resume(key, Patience::Over);
        }
        let Some(connection) = self.get(key) else { return };
        if connection.deadlines.write <= now {
            self.lose(key, DisconnectCode::WriteError.into());
        } else if connection.deadlines.connect <= now {
            self.close(key, DisconnectCode::Stale.into());
        } else if connection.deadlines.pong <= now {
            connection.deadlines.pong = NEVER;
            if connection.session.ping_unanswered() {
                self.close(key, DisconnectCode::NoPong.into());
            }
        } else if connection.deadlines.ping <= now {
            let (every_ms, timeout_ms) = connection.session.heartbeat_ms(&config);
            connection.deadlines.ping = slot(now.saturating_add(ticks(every_ms)), every_ms);
            connection.deadlines.pong = now.saturating_add(ticks(timeout_ms));
            connection.session.ping();
            let ping = match connection.session.pings() {
                Pings::Protocol | Pings::OneWay => connection.wire.ping(),
                Pings::Native => PING_FRAME,
            };
            connection.outgoing.push(ping);
            self.mark(key);
        }
    }

    /// Sets the timers of a connection that has just connected or has new credentials.
    pub(super) fn watch(&mut self, key: Key) {
        let config = std::sync::Arc::clone(&self.shared.config);
        let Some(connection) = self.get(key) else { return };
        if !connection.session.is_connected() {
            return;
        }
        let every_ms = connection.session.heartbeat_ms(&config).0;
        let half_ms = every_ms / 2;
        let jitter_ms = self.random_below(half_ms + 1);
        let first_ping = slot(self.tick_in(half_ms + jitter_ms), every_ms);
        let Some(connection) = self.get(key) else { return };
        if connection.deadlines.ping == NEVER {
            connection.deadlines.ping = first_ping;
        }
        let has_come = std::mem::replace(&mut connection.deadlines.connect, NEVER) != NEVER;
        let user = connection.session.owner().filter(|_| has_come);
        let expires_at = connection.session.expires_at();
        if connection.watched_expiry != expires_at.into() {
            connection.watched_expiry = expires_at.into();
            if let Some(expires_at) = expires_at {
                self.expiries.push(Reverse((expires_at, key)));
            }
        }
        if let Some(user) = user {
            self.users.enter(&user, key.index);
        }
        self.arm(key);
    }

    /// Ends connections and subscriptions whose credentials ran out and were not renewed in time.
    fn expire(&mut self) {
        let grace = Duration::from_millis(self.shared.config.expiry_grace_ms);
        let now = self.shared.clock.now();
        while let Some(Reverse((expires_at, key))) = self.expiries.peek().copied() {
            if expires_at + grace > now {
                return;
            }
            self.expiries.pop();
            let Some(connection) = self.connections.get_mut(key.index as usize) else { continue };
            let due = connection.generation == key.generation && connection.is_open();
            if !due || connection.session.expires_at() != Some(expires_at) {
                continue;
            }
            self.out.wire = connection.wire;
            match connection.session.expire(now - grace, &mut self.topics, &mut self.out) {
                Ok(()) => {
                    self.say(key);
                    self.watch(key);
                }
                Err(code) => self.close(key, code.into()),
            }
        }
    }

    /// Tells subscribers of a lost log, one by one, to subscribe again.
    fn resync(&mut self) {
        let now_ms = self.uptime_ms();
        while let Some(Reverse((due_ms, key, subscription))) = self.resyncs.peek().copied() {
            if due_ms > now_ms {
                return;
            }
            self.resyncs.pop();
            let Some(connection) = self.connections.get_mut(key.index as usize) else { continue };
            if connection.generation != key.generation || !connection.is_open() {
                continue;
            }
            self.out.wire = connection.wire;
            match connection.session.resync(subscription, &mut self.topics, &mut self.out) {
                Ok(()) => self.say(key),
                Err(code) => self.close(key, code.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pings_keep_their_slot() {
        let first = slot(ticks(12_345), 25_000);
        assert_eq!(
            (first, slot(first + ticks(25_000), 25_000)),
            (260, 760),
            "a second each, and then every 25"
        );
        assert_eq!(slot(7, 100), 7, "short intervals have no slots");
        assert_eq!(slot(NEVER, 25_000), NEVER);
    }
}
