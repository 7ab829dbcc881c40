//! `history`: what was published in a topic, from memory.

use protocol::centrifuge::command::HistoryRequest;
use protocol::centrifuge::reply::{Answer, HistoryResult};
use protocol::codes::ErrorCode;

use super::{Fault, Out, Session, World};
use crate::history::{Page, Wish};
use crate::publication::publications;

impl Session {
    pub(super) fn history(
        &mut self,
        id: u32,
        request: &HistoryRequest<'_>,
        world: &mut World<'_>,
        out: &mut Out,
    ) -> Result<(), Fault> {
        let (topic, class) = self.may(&request.channel, |class| class.read_history, world)?;
        if !class.has_history() {
            return Err(ErrorCode::NotAvailable.into());
        }
        let since = request.since.as_ref();
        if request.reverse && since.is_some_and(|since| since.offset == 0) {
            return Err(ErrorCode::BadRequest.into());
        }
        let (page, epoch, offset) = {
            let history = world.histories.read(world.histories.partition_of(&topic));
            if since.is_some_and(|since| !since.epoch.is_empty() && *since.epoch != *history.epoch.0) {
                return Err(ErrorCode::UnrecoverablePosition.into());
            }
            let publications_max =
                world.config.limits.recovery_publications_max.min(class.history_size) as usize;
            let limit = usize::try_from(request.limit).unwrap_or(publications_max).min(publications_max);
            let wish = Wish { since: since.map(|since| since.offset), limit, reverse: request.reverse };
            let mut page = if limit == 0 { Page::new() } else { history.page(&topic, wish, world.now) };
            cut(&mut page, world.config.limits.page_bytes_max());
            (page, history.epoch.clone(), history.applied)
        };
        let result =
            HistoryResult { publications: publications(&page, None), epoch: (&*epoch.0).into(), offset };
        out.answer(id, Answer::History(result));
        Ok(())
    }
}

/// Keeps as much as one answer may have, at least one; the client asks for the rest from there on.
fn cut(page: &mut Page, bytes_max: usize) {
    let mut bytes = 0;
    let fitting = page.iter().take_while(|item| {
        bytes += item.data.len();
        bytes <= bytes_max
    });
    let fitting = fitting.count();
    page.truncate(fitting.max(1));
}
