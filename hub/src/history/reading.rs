//! What a client or a back end reads of a topic's history.

use domain::{Timestamp, Topic};
use protocol::centrifuge::command::HistoryRequest;
use protocol::codes::ErrorCode;
use streams::Epoch;

use super::{Histories, Page, Wish};
use crate::config::{Class, Limits};

/// A page of a history, and where it ends.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) page: Page,
    pub(crate) epoch: Epoch,
    /// The top position.
    pub(crate) offset: u64,
}

/// Reads what `request` asks for, as far as the class keeps it and the limits let one answer have it.
///
/// # Errors
/// [`ErrorCode::NotAvailable`] without a history, [`ErrorCode::BadRequest`] and [`ErrorCode::UnrecoverablePosition`] for
/// positions that make no sense here.
pub(crate) fn read_page(
    histories: &Histories,
    topic: &Topic,
    (class, limits): (&Class, &Limits),
    request: &HistoryRequest<'_>,
    now: Timestamp,
) -> Result<Reading, ErrorCode> {
    if !class.has_history() {
        return Err(ErrorCode::NotAvailable);
    }
    let since = request.since.as_ref();
    if request.reverse && since.is_some_and(|since| since.offset == 0) {
        return Err(ErrorCode::BadRequest);
    }
    let history = histories.read(histories.partition_of(topic));
    if since.is_some_and(|since| !since.epoch.is_empty() && *since.epoch != *history.epoch.0) {
        return Err(ErrorCode::UnrecoverablePosition);
    }
    let publications_max = limits.recovery_publications_max.min(class.history_size) as usize;
    let limit = usize::try_from(request.limit).unwrap_or(publications_max).min(publications_max);
    let wish = Wish { since: since.map(|since| since.offset), limit, reverse: request.reverse };
    let mut page = if limit == 0 { Page::new() } else { history.page(topic, wish, now) };
    cut(&mut page, limits.page_bytes_max());
    Ok(Reading { page, epoch: history.epoch.clone(), offset: history.applied })
}

/// Keeps as much as one answer may have, at least one; whoever reads asks for the rest from there on.
fn cut(page: &mut Page, bytes_max: usize) {
    let mut bytes = 0;
    let fitting = page.iter().take_while(|item| {
        bytes += item.data.len();
        bytes <= bytes_max
    });
    let fitting = fitting.count();
    page.truncate(fitting.max(1));
}
