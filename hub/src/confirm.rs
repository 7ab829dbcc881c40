//! Confirmations of deliveries on their way to the work queue, from which they become evidence.

use std::sync::Arc;

use bytes::Bytes;
use domain::{Clock, Timestamp};
use serde_json::json;
use streams::{NewItem, QueueName, WorkQueue};
use tokio::sync::mpsc;
use tracing::warn;

use crate::metrics::{self, Confirmed};
use crate::out::{Confirmation, Proof};
use crate::shard::{Key, Message};

/// Confirmations that are stored together.
const TOGETHER_MAX: usize = 256;

/// A confirmation, and who waits for the answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ticket {
    pub(crate) shard: usize,
    pub(crate) key: Key,
    pub(crate) confirmation: Confirmation,
}

/// Stores confirmations as they come, and has the shards answer. Ends with the shards.
pub(crate) async fn run(
    queue: WorkQueue,
    clock: Arc<dyn Clock>,
    mut tickets: mpsc::Receiver<Ticket>,
    shards: Vec<mpsc::Sender<Message>>,
) {
    let name = QueueName("receipts".into());
    let mut together = Vec::with_capacity(TOGETHER_MAX);
    while tickets.recv_many(&mut together, TOGETHER_MAX).await > 0 {
        let now = clock.now();
        let items: Vec<NewItem> = together.iter().map(|ticket| item(&ticket.confirmation, now)).collect();
        let stored = match queue.push(&name, &items).await {
            Ok(()) => true,
            Err(error) => {
                warn!("confirmations could not be stored: {error:#}");
                false
            }
        };
        let outcome = if stored { Confirmed::Stored } else { Confirmed::Failed };
        metrics::confirmed(outcome, items.len() as u64);
        for ticket in together.drain(..) {
            // a shard that is gone has no one to answer
            let _ = shards[ticket.shard].send(Message::Confirmed { ticket, stored }).await;
        }
    }
}

/// The same confirmation is the same item.
fn item(confirmation: &Confirmation, now: Timestamp) -> NewItem {
    let Confirmation { delivery, state, proof, command: _ } = confirmation;
    let (source, mark) = match proof {
        Proof::Word => ("socket", ""),
        Proof::Position => ("position", ":position"),
    };
    let body = json!({ "delivery_id": delivery, "state": state, "at": now, "source": source });
    NewItem {
        id: format!("{delivery}:{state}{mark}").into(),
        body: Bytes::from(body.to_string()),
        not_before: None,
    }
}
