//! What the workers count: names, their meaning, and the functions that count.

use std::time::Duration;

use domain::{Action, AnnouncementId, Channel, DeliveryState, Lane, Reach};
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use store::audience::TargetFate;
use store::coverage::Board;
use store::deliveries::{Move, Settled};
use store::evidence::RecordOutcome;
use streams::QueueStats;

use crate::channels::webhook::Told;
use crate::gateway::{Outcome, Verdict};

/// Age of the oldest change in the outbox, in seconds; 0 when it is empty.
pub const RELAY_LAG: &str = "workers_relay_lag_seconds";
/// Rows in the outbox.
pub const OUTBOX_ROWS: &str = "workers_outbox_rows";
/// Publications appended to the change log by the relay.
pub const RELAYED: &str = "workers_relay_publications_total";
/// Passes of the relay that failed.
pub const RELAY_FAILURES: &str = "workers_relay_failures_total";
/// Changes that were too large for the log and published as bare type and id.
pub const RELAY_TRUNCATED: &str = "workers_relay_truncated_total";
/// From the operation that made a change to its publication being durable in the log, in seconds.
pub const RELAY_SECONDS: &str = "workers_relay_seconds";
/// Times that the log had lost entries which the planner had not read, by partition.
pub const PLANNER_LOST: &str = "workers_planner_lost_total";
/// Deliveries that entered a state, by lane, channel and state.
pub const DELIVERIES: &str = "notify_deliveries_total";
/// Attempts, by channel and action (`accepted` or one of the six).
pub const ATTEMPTS: &str = "notify_attempts_total";
/// From queued to a stage (`sending`, `accepted`, `delivered`, `opened`), in seconds, by lane and channel.
pub const STAGE_SECONDS: &str = "notify_stage_seconds";
/// Work items that can be claimed or are claimed, by lane and channel.
pub const QUEUE_DEPTH: &str = "notify_queue_depth";
/// Work items that wait for their time, by lane and channel.
pub const RETRY_SCHEDULED: &str = "notify_retry_scheduled";
/// Age of the oldest work item that can be claimed or is claimed, in seconds, by lane and channel.
pub const OLDEST_SECONDS: &str = "notify_oldest_seconds";
/// Messages under way to a provider, by channel.
pub const INFLIGHT: &str = "notify_inflight";
/// Messages that may be under way to a provider at once, by lane and channel; falls when it is too much for it.
pub const WINDOW: &str = "notify_window";
/// Requests to other systems, by webhook and result (`taken`, `gone`, `failed`).
pub const WEBHOOKS: &str = "workers_webhooks_total";
/// Deliveries that ended because every permitted attempt was spent, by the action of the last one.
pub const DEAD: &str = "notify_dead_total";
/// 1 while a lane of a channel stands still because of its configuration.
pub const LANE_PAUSED: &str = "notify_lane_paused";
/// Targets that are used no more, by channel and fate (`retired`, `quarantined`).
pub const TARGETS_DROPPED: &str = "notify_targets_dropped_total";
/// Attempts that ended without a verdict, by channel.
pub const UNKNOWN: &str = "notify_unknown_total";
/// Confirmations taken from sockets, by result (`applied`, `repeated`, `unknown_delivery`, `malformed`).
pub const RECEIPTS: &str = "notify_receipts_total";
/// Deliveries that were in no queue and were queued again, by channel.
pub const ORPHANS: &str = "notify_orphans_total";
/// People of an emergency by how far it has come with them (`reach`); by announcement, of the last minutes.
pub const COVERAGE_PEOPLE: &str = "notify_coverage_people";
/// Share of the audience of an emergency that had proved it within `t` seconds; by announcement, of the last minutes.
pub const COVERAGE_RATIO: &str = "notify_coverage_ratio";
/// 1 while promotions stand still for an emergency.
pub const PROMOTIONS_HELD: &str = "notify_promotions_held";

/// Describes every metric and registers it at 0.
pub fn describe() {
    describe_gauge!(RELAY_LAG, "Age of the oldest change in the outbox in seconds");
    describe_gauge!(OUTBOX_ROWS, "Rows in the outbox");
    describe_counter!(RELAYED, "Publications appended to the change log by the relay");
    describe_counter!(RELAY_FAILURES, "Passes of the relay that failed");
    describe_counter!(RELAY_TRUNCATED, "Changes published as bare type and id, too large for the log");
    describe_histogram!(RELAY_SECONDS, "From a change to its publication being durable in the log");
    describe_counter!(PLANNER_LOST, "Times that the log had lost entries the planner had not read");
    describe_counter!(DELIVERIES, "Deliveries that entered a state");
    describe_counter!(ATTEMPTS, "Attempts by action");
    describe_histogram!(STAGE_SECONDS, "From queued to a stage in seconds");
    describe_gauge!(QUEUE_DEPTH, "Work items that can be claimed or are claimed");
    describe_gauge!(RETRY_SCHEDULED, "Work items that wait for their time");
    describe_gauge!(OLDEST_SECONDS, "Age of the oldest work item in seconds");
    describe_gauge!(INFLIGHT, "Messages under way to a provider");
    describe_gauge!(WINDOW, "Messages that may be under way to a provider at once");
    describe_counter!(WEBHOOKS, "Requests to other systems");
    describe_counter!(DEAD, "Deliveries whose permitted attempts are all spent");
    describe_gauge!(LANE_PAUSED, "1 while a lane stands still because of its configuration");
    describe_counter!(TARGETS_DROPPED, "Targets that are used no more");
    describe_counter!(UNKNOWN, "Attempts that ended without a verdict");
    describe_counter!(RECEIPTS, "Confirmations taken from sockets");
    describe_counter!(ORPHANS, "Deliveries that were in no queue and were queued again");
    describe_gauge!(COVERAGE_PEOPLE, "People of an emergency by how far it has come with them");
    describe_gauge!(COVERAGE_RATIO, "Share of an emergency's audience that proved it within t seconds");
    describe_gauge!(PROMOTIONS_HELD, "1 while promotions stand still for an emergency");
    register();
}

fn register() {
    for name in [RELAYED, RELAY_FAILURES, RELAY_TRUNCATED] {
        counter!(name).absolute(0);
    }
    for name in [RELAY_LAG, OUTBOX_ROWS, PROMOTIONS_HELD] {
        gauge!(name).set(0.0);
    }
    for channel in Channel::ALL {
        counter!(UNKNOWN, "channel" => channel.as_str()).absolute(0);
        gauge!(INFLIGHT, "channel" => channel.as_str()).set(0.0);
        for action in ACTIONS {
            counter!(ATTEMPTS, "channel" => channel.as_str(), "action" => action).absolute(0);
        }
        for lane in Lane::ALL {
            gauge!(LANE_PAUSED, "channel" => channel.as_str(), "lane" => lane.as_str()).set(0.0);
            for state in DeliveryState::ALL {
                counter!(DELIVERIES, "lane" => lane.as_str(), "channel" => channel.as_str(), "state" => state.as_str())
                    .absolute(0);
            }
        }
    }
}

const ACTIONS: [&str; 7] =
    ["accepted", "retry", "unknown", "drop_target", "quarantine", "fix_message", "fix_config"];

pub(crate) fn relayed(publications: usize, age: Duration) {
    counter!(RELAYED).increment(wide(publications));
    histogram!(RELAY_SECONDS).record(age.as_secs_f64());
}

pub(crate) fn relay_idle() {
    outbox(0, Duration::ZERO);
}

pub(crate) fn relay_failed() {
    counter!(RELAY_FAILURES).increment(1);
}

pub(crate) fn relay_truncated() {
    counter!(RELAY_TRUNCATED).increment(1);
}

#[expect(clippy::cast_precision_loss, reason = "a gauge; nobody counts 2^53 rows")]
pub(crate) fn outbox(rows: u64, lag: Duration) {
    gauge!(OUTBOX_ROWS).set(rows as f64);
    gauge!(RELAY_LAG).set(lag.as_secs_f64());
}

pub(crate) fn planner_lost(partition: u16) {
    counter!(PLANNER_LOST, "partition" => partition.to_string()).increment(1);
}

pub(crate) fn moved(moves: &[Move]) {
    for one in moves {
        let (lane, channel, state) = (one.lane.as_str(), one.channel.as_str(), one.to.as_str());
        counter!(DELIVERIES, "lane" => lane, "channel" => channel, "state" => state).increment(1);
        if matches!(
            one.to,
            DeliveryState::Sending
                | DeliveryState::Accepted
                | DeliveryState::Delivered
                | DeliveryState::Opened
        ) {
            histogram!(STAGE_SECONDS, "lane" => lane, "channel" => channel, "stage" => state)
                .record(one.age.as_secs_f64());
        }
    }
}

pub(crate) fn attempted(channel: Channel, outcome: Option<&Outcome>, settled: &Settled) {
    let Some(outcome) = outcome else { return };
    let action = match outcome.verdict {
        Verdict::Accepted => "accepted",
        Verdict::Refused(action) => action.as_str(),
    };
    counter!(ATTEMPTS, "channel" => channel.as_str(), "action" => action).increment(1);
    if outcome.verdict == Verdict::Refused(Action::Unknown) {
        lost(channel, 1);
    }
    if let Settled::Dead(action) = settled {
        counter!(DEAD, "cause" => action.as_str()).increment(1);
    }
}

pub(crate) fn lost(channel: Channel, attempts: u32) {
    counter!(UNKNOWN, "channel" => channel.as_str()).increment(u64::from(attempts));
}

pub(crate) fn target_stopped(channel: Channel, fate: TargetFate) {
    let fate = match fate {
        TargetFate::Retired => "retired",
        TargetFate::Quarantined => "quarantined",
    };
    counter!(TARGETS_DROPPED, "channel" => channel.as_str(), "reason" => fate).increment(1);
}

pub(crate) fn receipts(malformed: usize, outcomes: &[RecordOutcome]) {
    counter!(RECEIPTS, "result" => "malformed").increment(wide(malformed));
    for outcome in outcomes {
        let result = match outcome {
            RecordOutcome::Applied { .. } => "applied",
            RecordOutcome::Repeated => "repeated",
            RecordOutcome::UnknownDelivery => "unknown_delivery",
        };
        counter!(RECEIPTS, "result" => result).increment(1);
    }
}

pub(crate) fn orphans(channel: Channel, deliveries: usize) {
    counter!(ORPHANS, "channel" => channel.as_str()).increment(wide(deliveries));
}

#[expect(clippy::cast_precision_loss, reason = "a gauge; nobody counts 2^53 items")]
pub(crate) fn queue(channel: Channel, lane: Lane, stats: &QueueStats, age: Duration) {
    let (lane, channel) = (lane.as_str(), channel.as_str());
    gauge!(QUEUE_DEPTH, "lane" => lane, "channel" => channel).set((stats.ready + stats.claimed) as f64);
    gauge!(RETRY_SCHEDULED, "lane" => lane, "channel" => channel).set(stats.delayed as f64);
    gauge!(OLDEST_SECONDS, "lane" => lane, "channel" => channel).set(age.as_secs_f64());
}

pub(crate) fn lanes_paused(paused: &[(Channel, Lane)]) {
    for channel in Channel::ALL {
        for lane in Lane::ALL {
            let value = if paused.contains(&(channel, lane)) { 1.0 } else { 0.0 };
            gauge!(LANE_PAUSED, "channel" => channel.as_str(), "lane" => lane.as_str()).set(value);
        }
    }
}

/// A request to another system has ended.
pub(crate) fn webhook(name: &str, told: &Told) {
    let result = match told {
        Told::Taken => "taken",
        Told::Gone => "gone",
        Told::Failed(..) => "failed",
    };
    counter!(WEBHOOKS, "webhook" => name.to_owned(), "result" => result).increment(1);
}

/// How many messages of a lane may be under way now.
pub(crate) fn window(channel: Channel, lane: Lane, limit: usize) {
    let limit = u32::try_from(limit).unwrap_or(u32::MAX);
    gauge!(WINDOW, "channel" => channel.as_str(), "lane" => lane.as_str()).set(f64::from(limit));
}

/// An emergency's board. Labels grow with emergencies, of which there are few in the life of a process.
#[expect(clippy::cast_precision_loss, reason = "a gauge; nobody counts 2^53 people")]
pub(crate) fn covered(announcement: AnnouncementId, board: &Board) {
    let label = announcement.to_string();
    for reach in Reach::ALL {
        let people = board.people.get(reach.as_str()).copied().unwrap_or(0);
        gauge!(COVERAGE_PEOPLE, "notification" => label.clone(), "reach" => reach.as_str())
            .set(people as f64);
    }
    for (mark, proven) in &board.proven_within {
        let ratio = *proven as f64 / board.audience.max(1) as f64;
        gauge!(COVERAGE_RATIO, "notification" => label.clone(), "t" => mark.to_string()).set(ratio);
    }
}

pub(crate) fn promotions_held(held: bool) {
    gauge!(PROMOTIONS_HELD).set(if held { 1.0 } else { 0.0 });
}

/// One message under way to a provider: counted until it goes.
pub(crate) struct Inflight(Channel);

impl Inflight {
    pub(crate) fn new(channel: Channel) -> Self {
        gauge!(INFLIGHT, "channel" => channel.as_str()).increment(1.0);
        Self(channel)
    }
}

impl Drop for Inflight {
    fn drop(&mut self) {
        gauge!(INFLIGHT, "channel" => self.0.as_str()).decrement(1.0);
    }
}

fn wide(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
