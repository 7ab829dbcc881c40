//! What one shard counts, and how it is told at a scrape.

use std::ops::Deref;
use std::sync::Arc;

use metrics::{counter, gauge, histogram};
use protocol::codes::{DisconnectCode, ErrorCode};

use super::numbers::{Count, Level, Spread, ToldCount, ToldSpread, fold_level};
use super::{
    COMMANDS, CONNECTIONS, CloseReason, CommandKind, DELIVERIES, DISCONNECTS, Delivery, FAN_OUT, QUEUED,
    RECOVERIES, REFUSALS, RecoveryOutcome, SHEDS, SUBSCRIPTIONS, VIOLATIONS, WRITTEN,
};

/// The numbers of one shard, which its thread alone writes.
#[derive(Debug)]
pub(crate) struct ShardMetrics(Arc<Numbers>);

/// See [`ShardMetrics`].
#[derive(Debug)]
pub(crate) struct Numbers {
    pub(crate) connections: Level,
    pub(crate) subscriptions: Level,
    /// Bytes that wait for sockets.
    pub(crate) queued: Level,
    pub(crate) written: Count,
    pub(crate) sheds: Count,
    pub(crate) fan_out: Spread,
    left: Count,
    deliveries: Vec<Count>,
    disconnects: Vec<Count>,
    violations: Vec<Count>,
    commands: Vec<Count>,
    refusals: Vec<Count>,
    recoveries: Vec<Count>,
}

impl Deref for ShardMetrics {
    type Target = Numbers;

    fn deref(&self) -> &Numbers {
        &self.0
    }
}

fn counts(length: usize) -> Vec<Count> {
    std::iter::repeat_with(Count::default).take(length).collect()
}

impl ShardMetrics {
    /// All at 0.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Numbers {
            connections: Level::default(),
            subscriptions: Level::default(),
            queued: Level::default(),
            written: Count::default(),
            sheds: Count::default(),
            fan_out: Spread::default(),
            left: Count::default(),
            deliveries: counts(Delivery::ALL.len()),
            disconnects: counts(DisconnectCode::ALL.len()),
            violations: counts(VIOLATIONS.len()),
            commands: counts(CommandKind::ALL.len()),
            refusals: counts(ErrorCode::ALL.len()),
            recoveries: counts(RecoveryOutcome::ALL.len()),
        }))
    }

    /// What tells the numbers of shard number `shard` to whoever reads the metrics.
    pub(crate) fn fold(&self, shard: usize) -> impl FnMut() + Send + 'static {
        let (numbers, shard) = (Arc::clone(&self.0), shard.to_string());
        let levels = [CONNECTIONS, SUBSCRIPTIONS, QUEUED].map(|name| gauge!(name, "shard" => shard.clone()));
        let mut fan_out = ToldSpread::new(histogram!(FAN_OUT, "shard" => shard.clone()));
        let mut told = told(&shard);
        move || {
            let now = [&numbers.connections, &numbers.subscriptions, &numbers.queued];
            levels.iter().zip(now).for_each(|(handle, level)| fold_level(handle, level));
            fan_out.fold(&numbers.fan_out);
            told.iter_mut().zip(numbers.counts()).for_each(|(told, count)| told.fold(count));
        }
    }

    pub(crate) fn command(&self, kind: CommandKind) {
        self.commands[kind as usize].increment(1);
    }

    pub(crate) fn refusal(&self, code: ErrorCode) {
        let index = ErrorCode::ALL.iter().position(|one| *one == code).expect("the list has every code");
        self.refusals[index].increment(1);
    }

    pub(crate) fn deliveries(&self, outcome: Delivery, count: u64) {
        self.deliveries[outcome as usize].increment(count);
    }

    pub(crate) fn recovery(&self, outcome: RecoveryOutcome) {
        self.recoveries[outcome as usize].increment(1);
    }

    pub(crate) fn disconnect(&self, reason: CloseReason) {
        match reason {
            CloseReason::Disconnect(code) => {
                let at =
                    DisconnectCode::ALL.iter().position(|one| *one == code).expect("the list has every code");
                self.disconnects[at].increment(1);
            }
            CloseReason::Violation(code) => {
                if let Some(at) = VIOLATIONS.iter().position(|one| *one == code) {
                    self.violations[at].increment(1);
                }
            }
            CloseReason::Left => self.left.increment(1),
        }
    }
}

impl Numbers {
    /// In the order of [`told`].
    fn counts(&self) -> impl Iterator<Item = &Count> {
        let each = [&self.written, &self.sheds, &self.left].into_iter();
        each.chain(&self.deliveries)
            .chain(&self.disconnects)
            .chain(&self.violations)
            .chain(&self.commands)
            .chain(&self.refusals)
            .chain(&self.recoveries)
    }
}

/// The counters for people. What concerns single sockets is told by shard, so that a late one is seen; what clients
/// ask for is told of the node.
fn told(shard: &str) -> Vec<ToldCount> {
    let shard = || shard.to_owned();
    let mut counters = vec![
        counter!(WRITTEN, "shard" => shard()),
        counter!(SHEDS, "shard" => shard()),
        counter!(DISCONNECTS, "code" => "left", "shard" => shard()),
    ];
    let outcomes =
        Delivery::ALL.map(|(_, outcome)| counter!(DELIVERIES, "outcome" => outcome, "shard" => shard()));
    counters.extend(outcomes);
    let ours = DisconnectCode::ALL.iter().map(|code| code.code().to_string());
    let codes = ours.chain(VIOLATIONS.map(|code| code.to_string()));
    counters.extend(codes.map(|code| counter!(DISCONNECTS, "code" => code, "shard" => shard())));
    counters.extend(CommandKind::ALL.map(|(_, kind)| counter!(COMMANDS, "kind" => kind)));
    counters.extend(ErrorCode::ALL.iter().map(|one| counter!(REFUSALS, "code" => one.code().to_string())));
    counters.extend(RecoveryOutcome::ALL.map(|(_, result)| counter!(RECOVERIES, "result" => result)));
    counters.into_iter().map(ToldCount::new).collect()
}
