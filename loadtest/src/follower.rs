//! A client that follows one topic through every loss of its connection, as an SDK does, and keeps the books.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::client::{Client, ClientError, Position, Publication};

/// Between two attempts to connect.
const RECONNECT_DELAY: Duration = Duration::from_millis(20);

/// What was seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Versions of each event, in the order of arrival.
    pub versions: BTreeMap<i64, Vec<i64>>,
    /// Changes that came again.
    pub repeated: u64,
    /// Publications whose offset did not rise.
    pub reordered: u64,
    /// Connections after the first.
    pub resumes: u64,
    /// Those that the server could not bring up to date.
    pub unrecovered: u64,
    changes: HashSet<String>,
    position: Option<Position>,
}

/// A running client.
#[derive(Debug)]
pub(crate) struct Follower {
    seen: Arc<Mutex<Seen>>,
    over: CancellationToken,
    task: JoinHandle<()>,
}

/// The part of a message that is compared.
#[derive(Debug, Deserialize)]
struct Message {
    id: Option<String>,
    event: Option<Snapshot>,
}

#[derive(Debug, Deserialize)]
struct Snapshot {
    id: i64,
    version: i64,
}

impl Follower {
    /// Subscribes to `topic`; gives when it is subscribed for the first time.
    ///
    /// # Errors
    /// When the first connection is refused.
    pub(crate) async fn start(url: String, topic: &'static str) -> Result<Self> {
        let (seen, over) = (Arc::new(Mutex::new(Seen::default())), CancellationToken::new());
        let client = join(&url, topic, &seen).await.context("the following client did not get in")?;
        let following = follow(client, url, topic, Arc::clone(&seen));
        let cancelled = over.clone();
        let task = TaskTracker::new().spawn(async move {
            cancelled.run_until_cancelled(following).await;
        });
        Ok(Self { seen, over, task })
    }

    /// Whether that version of the event was seen.
    pub(crate) fn has(&self, event: i64, version: i64) -> bool {
        lock(&self.seen).has(event, version)
    }

    /// Stops; gives what was seen.
    pub(crate) async fn stop(self) -> Seen {
        self.over.cancel();
        let _ = self.task.await; // cancelled: it has nothing to say
        std::mem::take(&mut *lock(&self.seen))
    }
}

impl Seen {
    /// Whether that version of the event was seen.
    pub(crate) fn has(&self, event: i64, version: i64) -> bool {
        self.versions.get(&event).is_some_and(|versions| versions.contains(&version))
    }

    fn take(&mut self, publication: &Publication) {
        if let Some(position) = &mut self.position {
            self.reordered += u64::from(publication.offset <= position.offset);
            position.offset = publication.offset;
        }
        let Ok(Message { id: Some(change), event: Some(event) }) =
            serde_json::from_str(publication.data.get())
        else {
            return;
        };
        if self.changes.insert(change) {
            self.versions.entry(event.id).or_default().push(event.version);
        } else {
            self.repeated += 1;
        }
    }
}

/// Follows for ever; a lost connection is resumed from the position reached.
async fn follow(mut client: Client, url: String, topic: &'static str, seen: Arc<Mutex<Seen>>) {
    loop {
        while let Ok(publication) = client.next().await {
            lock(&seen).take(&publication);
        }
        lock(&seen).resumes += 1;
        client = loop {
            match join(&url, topic, &seen).await {
                Ok(client) => break client,
                Err(_) => sleep(RECONNECT_DELAY).await,
            }
        };
    }
}

/// Connects and subscribes, from the position reached when there is one.
async fn join(url: &str, topic: &str, seen: &Mutex<Seen>) -> Result<Client, ClientError> {
    let since = lock(seen).position.clone();
    let mut client = Client::connect(url, None, 0).await?;
    let subscribed = client.subscribe(topic, since.as_ref()).await?;
    let mut seen = lock(seen);
    if since.is_some() && !subscribed.recovered {
        seen.unrecovered += 1;
    }
    for publication in &subscribed.publications {
        seen.take(publication);
    }
    seen.position = Some(subscribed.position);
    Ok(client)
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().expect("no holder of this lock panics")
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    fn publication(offset: u64, change: &str, version: i64) -> Publication {
        let data =
            format!(r#"{{"type":"event.moved","id":"{change}","event":{{"id":7,"version":{version}}}}}"#);
        Publication { offset, data: RawValue::from_string(data).unwrap() }
    }

    #[test]
    fn repeats_and_disorder_are_counted() {
        let position = Position { epoch: "x".to_owned(), offset: 0 };
        let mut seen = Seen { position: Some(position), ..Seen::default() };
        for (offset, change, version) in [(1, "a", 2), (4, "b", 3), (4, "b", 3), (9, "c", 4)] {
            seen.take(&publication(offset, change, version));
        }
        assert_eq!((seen.repeated, seen.reordered), (1, 1));
        assert_eq!(seen.versions[&7], [2, 3, 4]);
        assert!(seen.has(7, 4) && !seen.has(7, 5) && !seen.has(8, 2));
    }
}
