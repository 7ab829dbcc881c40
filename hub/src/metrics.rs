//! What the hub counts. Labels come from enums and start at 0. A shard counts in memory of its own, which is folded into
//! the metrics when somebody reads them: on the way of a message counting is an addition.

mod numbers;
mod shard;

use std::sync::Arc;

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, describe_histogram, gauge};
use protocol::centrifuge::command::Request;
use protocol::codes::DisconnectCode;
use service::Scrape;

use crate::presence::Presence;
use crate::pusher::Pusher;
use crate::wire::Wire;
pub(crate) use shard::ShardMetrics;

/// Open sockets, by `shard`.
const CONNECTIONS: &str = "hub_connections";
/// Subscriptions of open sockets, by `shard`.
const SUBSCRIPTIONS: &str = "hub_subscriptions";
/// Upgrades, by `outcome`: `accepted`, `refused_limit`, `refused_pace` and, of one address,
/// `refused_address` and `refused_address_pace`, `refused_origin`, `refused_request`, `draining`, `failed`.
const UPGRADES: &str = "hub_upgrades_total";
/// Commands of clients, by `kind`.
const COMMANDS: &str = "hub_commands_total";
/// Commands answered with an error, by `code`.
const REFUSALS: &str = "hub_refusals_total";
/// Sockets that ended, by `shard` and `code`: the disconnect code, a WebSocket close code of ours, or `left` when the client went.
const DISCONNECTS: &str = "hub_disconnects_total";
/// Publications encoded, by `wire` and `form`: once for each pair that somebody here follows it with.
const ENCODED: &str = "hub_publications_encoded_total";
/// Entries of the change log that were applied.
const APPLIED: &str = "hub_log_entries_total";
/// Entries of the change log whose payload was not JSON.
const DAMAGED: &str = "hub_log_entries_damaged_total";
/// Publications for sockets, by `shard` and `outcome`: `sent` at once, `queued` for a full socket, `shed` (dropped with its
/// subscription), `queue_full` (the socket was closed as slow), `closed` (the socket failed).
const DELIVERIES: &str = "hub_deliveries_total";
/// Subscriptions that were ended because their connection reads too slowly, by `shard`.
const SHEDS: &str = "hub_sheds_total";
/// Bytes that wait for sockets, by `shard`.
const QUEUED: &str = "hub_queued_bytes";
/// Bytes written to sockets, by `shard`.
const WRITTEN: &str = "hub_written_bytes_total";
/// From the read of a publication until every subscriber of a shard has it written or queued, in seconds, by `shard`.
const FAN_OUT: &str = "hub_fanout_seconds";
/// Entries between the end of the change log and what was applied, when last looked at, summed over partitions.
const LAG: &str = "hub_tail_lag_entries";
/// Reads of the change log that failed.
const READ_FAILURES: &str = "hub_tail_failures_total";
/// Times that a partition's log was trimmed past or lost under the tail.
const LOSSES: &str = "hub_tail_losses_total";
/// Bytes kept in memory for recovery.
const HISTORY_BYTES: &str = "hub_history_bytes";
/// Topics remembered for recovery.
const HISTORY_TOPICS: &str = "hub_history_topics";
/// Subscriptions begun, by `result`: `recovered`, `unrecovered`, `ahead` (refused for now), `not_asked`.
const RECOVERIES: &str = "hub_recoveries_total";
/// Entries of the change log for the nodes, by `outcome`: `taken`, `unknown` (for another version).
const CONTROLS: &str = "hub_controls_total";
/// Revocations that are remembered.
const REVOCATIONS: &str = "hub_revocations";
/// Requests of back ends, by `outcome`: `done`, `refused`.
const API_REQUESTS: &str = "hub_api_requests_total";
/// Confirmations of deliveries, by `outcome`: `stored`, `failed`, `queue_full`.
const CONFIRMATIONS: &str = "hub_confirmations_total";

/// Connections of Pusher's clients.
const PUSHER_CONNECTIONS: &str = "hub_pusher_connections";
/// Places of clients in topics that know who is there, on all nodes, as this node knows them.
const PRESENCE: &str = "hub_presence_members";
/// Events for back ends of Pusher's applications, by `outcome`: `told`, `repeated` (a POST failed), `dropped`.
const WEBHOOKS: &str = "hub_webhook_events_total";

/// Declares a label's values as an enum whose order is that of the handles.
macro_rules! label {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum $name { $($variant,)+ }

        impl $name {
            const ALL: [(Self, &'static str); [$($text),+].len()] = [$((Self::$variant, $text)),+];
        }
    };
}

label! {
    /// What became of an upgrade.
    Upgrade {
        Accepted = "accepted",
        Limit = "refused_limit",
        Pace = "refused_pace",
        Address = "refused_address",
        AddressPace = "refused_address_pace",
        Origin = "refused_origin",
        Request = "refused_request",
        Draining = "draining",
        Failed = "failed",
    }
}

label! {
    /// What a command asks for.
    CommandKind {
        Connect = "connect",
        Subscribe = "subscribe",
        Unsubscribe = "unsubscribe",
        Publish = "publish",
        Presence = "presence",
        PresenceStats = "presence_stats",
        History = "history",
        Ping = "ping",
        Send = "send",
        Rpc = "rpc",
        Refresh = "refresh",
        SubRefresh = "sub_refresh",
        Pong = "pong",
    }
}

label! {
    /// What became of a publication for one socket.
    Delivery {
        Sent = "sent",
        Queued = "queued",
        QueueFull = "queue_full",
        Shed = "shed",
        Closed = "closed",
    }
}

label! {
    /// How a subscription began.
    RecoveryOutcome {
        Recovered = "recovered",
        Unrecovered = "unrecovered",
        Ahead = "ahead",
        NotAsked = "not_asked",
    }
}

label! {
    /// What became of a confirmation.
    Confirmed {
        Stored = "stored",
        Failed = "failed",
        QueueFull = "queue_full",
    }
}

label! {
    /// What became of an entry for the nodes.
    Control {
        Taken = "taken",
        Unknown = "unknown",
    }
}

label! {
    /// What became of an event for a back end.
    Told {
        Done = "told",
        Repeated = "repeated",
        Dropped = "dropped",
    }
}

impl CommandKind {
    /// The kind of a request.
    pub(crate) fn of(request: &Request<'_>) -> Self {
        match request {
            Request::Connect(_) => Self::Connect,
            Request::Subscribe(_) => Self::Subscribe,
            Request::Unsubscribe(_) => Self::Unsubscribe,
            Request::Publish(_) => Self::Publish,
            Request::Presence(_) => Self::Presence,
            Request::PresenceStats(_) => Self::PresenceStats,
            Request::History(_) => Self::History,
            Request::Ping => Self::Ping,
            Request::Send(_) => Self::Send,
            Request::Rpc(_) => Self::Rpc,
            Request::Refresh(_) => Self::Refresh,
            Request::SubRefresh(_) => Self::SubRefresh,
            Request::Empty => Self::Pong,
        }
    }
}

/// Why a socket ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CloseReason {
    /// For a reason of the protocol.
    Disconnect(DisconnectCode),
    /// For a reason of WebSocket's: 1002, 1007 or 1009.
    Violation(u16),
    /// The client went.
    Left,
}

/// The close codes of WebSocket's own that the hub uses.
const VIOLATIONS: [u16; 3] = [1002, 1007, 1009];

/// The handles of the tail.
#[derive(Debug)]
pub(crate) struct TailMetrics {
    pub(crate) applied: Counter,
    pub(crate) damaged: Counter,
    pub(crate) lag: Gauge,
    pub(crate) failures: Counter,
    pub(crate) losses: Counter,
    pub(crate) history_bytes: Gauge,
    pub(crate) history_topics: Gauge,
}

impl TailMetrics {
    /// Looked up once.
    pub(crate) fn new() -> Self {
        Self {
            applied: counter!(APPLIED),
            damaged: counter!(DAMAGED),
            lag: gauge!(LAG),
            failures: counter!(READ_FAILURES),
            losses: counter!(LOSSES),
            history_bytes: gauge!(HISTORY_BYTES),
            history_topics: gauge!(HISTORY_TOPICS),
        }
    }
}

/// Counts an upgrade.
pub(crate) fn upgrade(outcome: Upgrade) {
    counter!(UPGRADES, "outcome" => Upgrade::ALL[outcome as usize].1).increment(1);
}

/// Counts an entry for the nodes.
pub(crate) fn control(outcome: Control) {
    counter!(CONTROLS, "outcome" => Control::ALL[outcome as usize].1).increment(1);
}

/// Says how many revocations are remembered.
pub(crate) fn revocations(count: usize) {
    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
    gauge!(REVOCATIONS).set(count as f64);
}

/// Counts confirmations.
pub(crate) fn confirmed(outcome: Confirmed, count: u64) {
    counter!(CONFIRMATIONS, "outcome" => Confirmed::ALL[outcome as usize].1).increment(count);
}

/// Counts events for back ends.
pub(crate) fn webhooks(outcome: Told, count: u64) {
    counter!(WEBHOOKS, "outcome" => Told::ALL[outcome as usize].1).increment(count);
}

/// Counts an encoding.
pub(crate) fn encoded(wire: Wire, form: &'static str) {
    counter!(ENCODED, "wire" => wire.name(), "form" => form).increment(1);
}

/// Says what everything means, and registers what has no other beginning at 0.
pub(crate) fn describe() {
    describe_gauge!(CONNECTIONS, "Open sockets, by shard");
    describe_gauge!(SUBSCRIPTIONS, "Subscriptions of open sockets, by shard");
    describe_counter!(UPGRADES, "Upgrades to sockets, by outcome");
    describe_counter!(COMMANDS, "Commands of clients, by kind");
    describe_counter!(REFUSALS, "Commands answered with an error, by code");
    describe_counter!(DISCONNECTS, "Sockets that ended, by code");
    describe_counter!(ENCODED, "Publications encoded, by wire and form");
    describe_counter!(APPLIED, "Entries of the change log that were applied");
    describe_counter!(DAMAGED, "Entries of the change log whose payload was not JSON");
    describe_counter!(DELIVERIES, "Publications for sockets, by outcome");
    describe_counter!(SHEDS, "Subscriptions ended for now, because their connection reads too slowly");
    describe_gauge!(QUEUED, "Bytes that wait for sockets, by shard");
    describe_gauge!(PUSHER_CONNECTIONS, "Connections of Pusher's clients");
    describe_gauge!(PRESENCE, "Places of clients in topics that know who is there, on all nodes");
    describe_counter!(WRITTEN, "Bytes written to sockets");
    describe_histogram!(
        FAN_OUT,
        "Seconds from the read of a publication until a shard's subscribers have it"
    );
    describe_gauge!(LAG, "Entries between the end of the change log and what was applied");
    describe_counter!(READ_FAILURES, "Reads of the change log that failed");
    describe_counter!(LOSSES, "Times that a partition's log was trimmed past or lost under the tail");
    describe_gauge!(HISTORY_BYTES, "Bytes kept in memory for recovery");
    describe_gauge!(HISTORY_TOPICS, "Topics remembered for recovery");
    describe_counter!(RECOVERIES, "Subscriptions begun, by result of the recovery");
    describe_counter!(API_REQUESTS, "Requests of back ends, by outcome");
    describe_counter!(CONTROLS, "Entries of the change log for the nodes, by outcome");
    describe_gauge!(REVOCATIONS, "Revocations that are remembered");
    describe_counter!(CONFIRMATIONS, "Confirmations of deliveries, by outcome");
    describe_counter!(WEBHOOKS, "Events for back ends of Pusher's applications, by outcome");
    for (_, outcome) in Told::ALL {
        counter!(WEBHOOKS, "outcome" => outcome).increment(0);
    }
    for (_, outcome) in Upgrade::ALL {
        counter!(UPGRADES, "outcome" => outcome).increment(0);
    }
    for outcome in ["done", "refused"] {
        counter!(API_REQUESTS, "outcome" => outcome).increment(0);
    }
    for (_, outcome) in Control::ALL {
        counter!(CONTROLS, "outcome" => outcome).increment(0);
    }
    for (_, outcome) in Confirmed::ALL {
        counter!(CONFIRMATIONS, "outcome" => outcome).increment(0);
    }
    for wire in Wire::ALL {
        counter!(ENCODED, "wire" => wire.name(), "form" => "plain").increment(0);
    }
}

/// Keeps what is known of who is where, when somebody reads it.
pub(crate) fn follow(pusher: &Arc<Pusher>, presence: &Presence, scrape: &Scrape) {
    let (pusher, presence) = (Arc::clone(pusher), presence.clone());
    let (guests, members) = (gauge!(PUSHER_CONNECTIONS), gauge!(PRESENCE));
    scrape.add(move || {
        guests.set(f64::from(pusher.apps.iter().map(|app| app.connections()).sum::<u32>()));
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
        members.set(presence.members() as f64);
    });
}

/// Counts a request of a back end.
pub(crate) fn api_request(done: bool) {
    counter!(API_REQUESTS, "outcome" => if done { "done" } else { "refused" }).increment(1);
}
