//! Publications of clients on their way to the change log, from which every subscriber has them, the sender too.

use std::time::Duration;

use protocol::codes::ErrorCode;
use streams::{ChangeLog, NewPublication};
use tokio::sync::mpsc;
use tracing::warn;

use crate::history::Histories;
use crate::shard::{Key, Message};

/// Publications that are appended together.
const TOGETHER_MAX: usize = 256;

/// What a client publishes.
#[derive(Debug)]
pub(crate) struct Submission {
    /// The command to answer.
    pub(crate) command: u32,
    pub(crate) publication: NewPublication,
}

/// A publication, and who waits for the answer.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) shard: usize,
    pub(crate) key: Key,
    pub(crate) submission: Submission,
}

/// How an append ended for the command that asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Receipt {
    pub(crate) key: Key,
    pub(crate) command: u32,
    /// `None`: the log has it.
    pub(crate) refused: Option<ErrorCode>,
}

/// Appends publications as they come, in their order, and has the shards answer; before that waits, for at most
/// `patience`, until this node has read them, so that their publishers can, too. Ends with the shards.
pub(crate) async fn run(
    (log, histories): (ChangeLog, Histories),
    patience: Duration,
    mut tickets: mpsc::Receiver<Ticket>,
    shards: Vec<mpsc::Sender<Message>>,
) {
    let mut together = Vec::with_capacity(TOGETHER_MAX);
    while tickets.recv_many(&mut together, TOGETHER_MAX).await > 0 {
        let mut publications = Vec::with_capacity(together.len());
        let mut receipts = Vec::with_capacity(together.len());
        for Ticket { shard, key, submission } in together.drain(..) {
            let fits = log.check(&submission.publication).is_ok();
            let refused = (!fits).then_some(ErrorCode::LimitExceeded);
            receipts.push((shard, Receipt { key, command: submission.command, refused }));
            publications.extend(fits.then_some(submission.publication));
        }
        let refused = match log.append(&publications).await {
            Ok(positions) => {
                let partition = |publication: &NewPublication| log.partition_of(&publication.topic);
                let positions: Vec<_> = publications.iter().map(partition).zip(positions).collect();
                histories.reached_all(&positions, patience).await;
                None
            }
            Err(error) => {
                warn!("publications of clients could not be appended: {error:#}");
                Some(ErrorCode::Internal)
            }
        };
        for (shard, mut receipt) in receipts {
            receipt.refused = receipt.refused.or(refused);
            // a shard that is gone has no one to answer
            let _ = shards[shard].send(Message::Published(receipt)).await;
        }
    }
}
