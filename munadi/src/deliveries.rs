//! Dead letters and paused lanes from the command line, also while a server runs: its workers find what is due.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::ensure;
use api::deliveries::{self, Operator, Redriven};
use domain::Clock as _;
use service::SystemClock;
use store::deliveries::{DeadFilter, dead_groups};
use store::{Store, lane_pauses};

use crate::cli::{Dead, DeliveriesCommand, LaneChange, Redrive};
use crate::config::Config;
use crate::wiring;

/// Characters of a reason.
const REASON_CHARS_MAX: usize = 500;

/// Does what was asked, and says what was done.
///
/// # Errors
/// When the database cannot be used, or there is no such pause.
pub(crate) async fn run(config: &Config, command: DeliveriesCommand) -> anyhow::Result<String> {
    let store = wiring::open_store(config).await?;
    match command {
        DeliveriesCommand::Dead(which) => dead(&store, which).await,
        DeliveriesCommand::Redrive(redrive) => again(&store, redrive).await,
        DeliveriesCommand::Lanes => lanes(&store).await,
        DeliveriesCommand::Pause(LaneChange { channel, lane, reason }) => {
            let operator = operator(reason)?;
            deliveries::pause(&store, &SystemClock, (channel, lane), &operator).await?;
            Ok(format!("{channel}.{lane} stands still until it is resumed.\n"))
        }
        DeliveriesCommand::Resume(LaneChange { channel, lane, reason }) => {
            let operator = operator(reason)?;
            let paused = deliveries::resume(&store, &SystemClock, (channel, lane), &operator).await?;
            ensure!(paused, "{channel}.{lane} is not paused");
            Ok(format!("{channel}.{lane} goes on.\n"))
        }
    }
}

fn operator(reason: String) -> anyhow::Result<Operator> {
    let chars = reason.chars().count();
    ensure!((1..=REASON_CHARS_MAX).contains(&chars), "--reason must have 1 to {REASON_CHARS_MAX} characters");
    Ok(Operator::cli(reason))
}

fn filter(which: Dead) -> DeadFilter {
    let Dead { since_hours, cause, channel, lane } = which;
    DeadFilter { since: SystemClock.now() - Duration::from_hours(since_hours.into()), cause, channel, lane }
}

async fn dead(store: &Store, which: Dead) -> anyhow::Result<String> {
    let groups = dead_groups(store, &filter(which), SystemClock.now()).await?;
    if groups.is_empty() {
        return Ok("There are no dead letters.\n".to_owned());
    }
    let mut text =
        format!("{:<24} {:<8} {:>10} {:>10}  cause\n", "lane", "state", "deliveries", "redrivable");
    for one in groups {
        let lane = format!("{}.{}", one.channel, one.lane);
        let state = one.state.as_str();
        writeln!(text, "{lane:<24} {state:<8} {:>10} {:>10}  {}", one.deliveries, one.redrivable, one.cause)?;
    }
    Ok(text)
}

async fn again(store: &Store, redrive: Redrive) -> anyhow::Result<String> {
    let Redrive { which, dry_run, reason } = redrive;
    let operator = operator(reason)?;
    let done = deliveries::redrive(store, &SystemClock, &filter(which), dry_run, &operator).await?;
    let Redriven { found, redriven, expired, withdrawn, target_gone, unwanted } = done;
    let verb = if dry_run { "would be redriven" } else { "are redriven" };
    Ok(format!(
        "{redriven} of {found} dead letters {verb}. Left: {expired} expired, {withdrawn} withdrawn, \
         {target_gone} without a device, {unwanted} not wanted.\n"
    ))
}

async fn lanes(store: &Store) -> anyhow::Result<String> {
    let paused = lane_pauses::list(store).await?;
    if paused.is_empty() {
        return Ok("No lane is paused.\n".to_owned());
    }
    let mut text = String::new();
    for one in paused {
        let by = one.held_by.as_deref().unwrap_or("the provider's refusal");
        writeln!(
            text,
            "{}.{} paused since {} by {by}: {}",
            one.channel, one.lane, one.paused_at, one.reason
        )?;
    }
    Ok(text)
}
