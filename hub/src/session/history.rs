//! `history`: what was published in a topic, from memory.

use protocol::centrifuge::command::HistoryRequest;
use protocol::centrifuge::reply::{Answer, HistoryResult};

use super::{Fault, Out, Session, World};
use crate::history::read_page;
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
        let limits = &world.config.limits;
        let read = read_page(world.histories, &topic, (class, limits), request, world.now)?;
        let result = HistoryResult {
            publications: publications(&read.page, None),
            epoch: (&*read.epoch.0).into(),
            offset: read.offset,
        };
        out.answer(id, Answer::History(result));
        Ok(())
    }
}
