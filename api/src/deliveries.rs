//! Dead letters and paused lanes: what operators see and do, from the API and from the command line.

use domain::{Channel, Clock, Lane, NotificationCategory, Preferences, Timestamp, UserId, Wish, Zone};
use store::deliveries::{self, DeadFilter, DeadLetter};
use store::lane_pauses::{self, LanePause};
use store::operator_actions::{self, OperatorAction};
use store::{Store, StoreError, preferences};

/// Dead letters looked at in one transaction.
const PAGE: u64 = 500;

/// Who does something, and why.
#[derive(Debug, Clone)]
pub struct Operator {
    /// `user:4`, or `cli`.
    pub actor: String,
    /// In their words.
    pub reason: String,
}

impl Operator {
    /// A signed-in user.
    pub fn user(user: UserId, reason: String) -> Self {
        Self { actor: format!("user:{user}"), reason }
    }

    /// Somebody at the command line.
    pub fn cli(reason: String) -> Self {
        Self { actor: "cli".to_owned(), reason }
    }
}

/// What became of the dead letters that were meant, or would become of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Redriven {
    /// Dead letters that the filter names.
    pub found: u64,
    /// Due again, with their next attempt.
    pub redriven: u64,
    /// Left: they are of no more use.
    pub expired: u64,
    /// Left: their notification was withdrawn.
    pub withdrawn: u64,
    /// Left: their device cannot be pushed to.
    pub target_gone: u64,
    /// Left: their recipient does not want them, or has quiet hours now.
    pub unwanted: u64,
}

/// Opens the dead letters of `filter` again that are still of use, whose notification stands, whose device can be pushed
/// to and whose recipient wants them. Delivery ids stay; the next attempt has the next number. Repeating it finds what is
/// left and changes nothing else. With `dry_run` it only counts.
///
/// # Errors
/// [`StoreError`]; what was redriven before stays so.
pub async fn redrive(
    store: &Store,
    clock: &dyn Clock,
    filter: &DeadFilter,
    dry_run: bool,
    operator: &Operator,
) -> Result<Redriven, StoreError> {
    let (mut all, mut after) = (Redriven::default(), None);
    loop {
        let page = deliveries::dead_letters(store, filter, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some((last.ended_at, last.id));
        let ids = sift(store, &page, clock.now(), &mut all).await?;
        if dry_run {
            all.redriven += u64::try_from(ids.len()).unwrap_or(u64::MAX);
            continue;
        }
        let mut tx = store.begin().await?;
        let moves = deliveries::redrive(&mut tx, &ids, clock.now()).await?;
        tx.commit().await?;
        all.redriven += u64::try_from(moves.len()).unwrap_or(u64::MAX);
    }
    if !dry_run && all.redriven > 0 {
        let subject = format!("{} of {} {}", all.redriven, all.found, subject(filter));
        note(store, operator, "redriven", subject, clock.now()).await?;
    }
    Ok(all)
}

fn subject(filter: &DeadFilter) -> String {
    let channel = filter.channel.map_or("*", Channel::as_str);
    let lane = filter.lane.map_or("*", Lane::as_str);
    let cause = filter.cause.as_deref().unwrap_or("*");
    format!("{channel}.{lane} cause={cause} since={}", filter.since)
}

/// Those of a page that may go again; the others are counted.
async fn sift(
    store: &Store,
    page: &[DeadLetter],
    now: Timestamp,
    counts: &mut Redriven,
) -> Result<Vec<domain::DeliveryId>, StoreError> {
    let mut users: Vec<UserId> = page.iter().map(|one| one.user_id).collect();
    users.sort_unstable();
    users.dedup();
    let wanted = preferences::of_users(store, &users).await?;
    let mut ids = Vec::new();
    for one in page {
        counts.found += 1;
        let wishes = wanted.get(&one.user_id).map(|kept| kept.preferences(&Zone::utc())).unwrap_or_default();
        let left = if one.cancelled {
            &mut counts.withdrawn
        } else if one.expires_at <= now {
            &mut counts.expired
        } else if !one.target_active {
            &mut counts.target_gone
        } else if !is_wanted(one, &wishes, now) {
            &mut counts.unwanted
        } else {
            ids.push(one.id);
            continue;
        };
        *left += 1;
    }
    Ok(ids)
}

fn is_wanted(one: &DeadLetter, wishes: &Preferences, now: Timestamp) -> bool {
    let wish = Wish {
        category: NotificationCategory::of(one.kind, one.lane),
        lane: one.lane,
        channel: one.channel,
        had: 0, // it was counted when it was planned
        now,
        expires_at: one.expires_at,
    };
    wishes.allow(wish, 0) == Ok(now)
}

/// Stops a lane of a channel until somebody resumes it: nothing tries by itself whether it may go on.
///
/// # Errors
/// [`StoreError`].
pub async fn pause(
    store: &Store,
    clock: &dyn Clock,
    (channel, lane): (Channel, Lane),
    operator: &Operator,
) -> Result<LanePause, StoreError> {
    let now = clock.now();
    let pause = LanePause {
        channel,
        lane,
        reason: operator.reason.clone(),
        paused_at: now,
        retry_at: now,
        held_by: Some(operator.actor.clone()),
    };
    let mut tx = store.begin().await?;
    lane_pauses::set(&mut tx, &pause).await?;
    operator_actions::insert(&mut tx, &action(operator, "lane_paused", format!("{channel}.{lane}"), now))
        .await?;
    tx.commit().await?;
    Ok(pause)
}

/// Lets a lane of a channel go on, whoever paused it. Whether it was paused.
///
/// # Errors
/// [`StoreError`].
pub async fn resume(
    store: &Store,
    clock: &dyn Clock,
    (channel, lane): (Channel, Lane),
    operator: &Operator,
) -> Result<bool, StoreError> {
    let paused = lane_pauses::list(store).await?;
    if !paused.iter().any(|one| (one.channel, one.lane) == (channel, lane)) {
        return Ok(false);
    }
    let mut tx = store.begin().await?;
    lane_pauses::release(&mut tx, channel, lane).await?;
    let action = action(operator, "lane_resumed", format!("{channel}.{lane}"), clock.now());
    operator_actions::insert(&mut tx, &action).await?;
    tx.commit().await?;
    Ok(true)
}

async fn note(
    store: &Store,
    operator: &Operator,
    what: &str,
    subject: String,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut tx = store.begin().await?;
    operator_actions::insert(&mut tx, &action(operator, what, subject, now)).await?;
    tx.commit().await
}

fn action(operator: &Operator, what: &str, subject: String, at: Timestamp) -> OperatorAction {
    let Operator { actor, reason } = operator.clone();
    OperatorAction { actor, action: what.to_owned(), subject, reason, at }
}
