//! `[hub.http]`: connections over plain HTTP.

use serde::Deserialize;
use service::Faults;

/// Connections over plain HTTP, for clients that cannot have a WebSocket: `[hub.http]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// Whether `/connection/http_stream` is there, with `/emulation` for its commands.
    pub http_stream: bool,
    /// Whether `/connection/sse` is there, with `/emulation` for its commands.
    pub sse: bool,
    /// Whether the transports that go one way are there: `/connection/uni_websocket`, `/connection/uni_sse` and
    /// `/connection/uni_http_stream`.
    pub one_way: bool,
    /// Responses that go on at a time; more are refused with 503. 1 to 1,000,000, below `http.connections_max`: each
    /// holds an HTTP connection (or a stream of one), and at that limit the whole port waits. Too low: people behind
    /// proxies without WebSocket are turned away.
    pub streams_max: u32,
    /// For the body of a request to arrive, in milliseconds. 100 to 60,000. Too low: weak networks fail. Too high:
    /// half-sent requests pile up.
    pub body_timeout_ms: u64,
    /// How a refused connection in one direction is told: `push` (a response with a disconnect push) or `status` (an
    /// HTTP status: 400, 401, 403, 429 or 503). `EventSource` gives up on a status, and repeats after a response.
    pub one_way_refusals: Refusals,
    /// Requests to `/emulation` at a time that are on their way to another node; more are refused with 503. 1 to
    /// 10,000. Too low: clients repeat their commands when the change log is slow. Too high: memory, when it is.
    pub forwards_max: u32,
}

/// How a client that only listens is told that it may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusals {
    /// By a response with a disconnect push.
    Push,
    /// By an HTTP status.
    Status,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            http_stream: true,
            sse: true,
            one_way: true,
            streams_max: 5_000,
            body_timeout_ms: 10_000,
            one_way_refusals: Refusals::Push,
            forwards_max: 256,
        }
    }
}

impl Http {
    pub(super) fn check(&self, faults: &mut Faults) {
        faults.range("streams_max", self.streams_max, 1..=1_000_000);
        faults.range("body_timeout_ms", self.body_timeout_ms, 100..=60_000);
        faults.range("forwards_max", self.forwards_max, 1..=10_000);
    }
}
