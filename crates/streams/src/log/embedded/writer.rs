//! The one thread that writes: it takes what waits, writes it in one step, syncs it, and only then shows it.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::sync::{Arc, PoisonError};

use domain::{Clock, PublicationId, Topic};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, warn};

use super::Shared;
use super::files;
use super::record::{Batch, encode_epoch};
use super::state::{Retention, State, index};
use crate::{Entry, Epoch, NewPublication, Partition, PartitionState, Position, StreamsError};

/// What the thread is asked for.
#[derive(Debug)]
pub(super) enum Request {
    Append {
        publications: Vec<NewPublication>,
        reply: oneshot::Sender<Result<Vec<Position>, StreamsError>>,
    },
    /// Gives the partition a new epoch if it still has `expected`.
    Renew {
        partition: Partition,
        expected: Epoch,
        reply: oneshot::Sender<Result<PartitionState, StreamsError>>,
    },
}

#[derive(Debug)]
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) keep: Retention,
    pub(super) segment_bytes: u64,
    pub(super) batch_max: usize,
    pub(super) sync: bool,
    pub(super) clock: Arc<dyn Clock>,
    /// Set when it is not known what is on the disk: nothing more is written.
    pub(super) broken: bool,
}

/// The offsets given within a batch that is not written yet.
#[derive(Debug, Default)]
struct Staged {
    last: HashMap<Partition, u64>,
    topics: HashMap<Topic, u64>,
    ids: HashMap<PublicationId, u64>,
}

/// Who waits for a batch, and with which answer.
type Waiting = Vec<(oneshot::Sender<Result<Vec<Position>, StreamsError>>, Vec<Position>)>;

impl Writer {
    /// Serves requests until every handle is gone.
    pub(super) fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let mut next = requests.blocking_recv();
        while let Some(request) = next.take() {
            match request {
                Request::Append { publications, reply } => {
                    next = self.append_group(publications, reply, &mut requests);
                }
                Request::Renew { partition, expected, reply } => {
                    // the asker may have gone
                    let _ = reply.send(self.renew(partition, &expected));
                }
            }
            next = next.or_else(|| requests.blocking_recv());
        }
    }

    /// Appends what is asked for and what else waits, as one batch. Gives a request that does not belong to it.
    fn append_group(
        &mut self,
        publications: Vec<NewPublication>,
        reply: oneshot::Sender<Result<Vec<Position>, StreamsError>>,
        requests: &mut mpsc::Receiver<Request>,
    ) -> Option<Request> {
        let mut batch = Batch::new(self.clock.now());
        let mut staged = Staged::default();
        let mut count = publications.len();
        let mut waiting = vec![(reply, self.stage(publications, &mut batch, &mut staged))];
        let mut other = None;
        while count < self.batch_max {
            match requests.try_recv() {
                Ok(Request::Append { publications, reply }) => {
                    count += publications.len();
                    waiting.push((reply, self.stage(publications, &mut batch, &mut staged)));
                }
                Ok(request) => {
                    other = Some(request);
                    break;
                }
                Err(_) => break,
            }
        }
        let written = if batch.is_empty() { Ok(()) } else { self.write(batch) };
        answer(waiting, &written);
        other
    }

    /// Gives each publication its offset: a new one, or that of its first appearance.
    fn stage(
        &self,
        publications: Vec<NewPublication>,
        batch: &mut Batch,
        staged: &mut Staged,
    ) -> Vec<Position> {
        let state = self.shared.state.read().unwrap_or_else(PoisonError::into_inner);
        let place = |publication| stage_one(&state, publication, batch, staged);
        publications.into_iter().map(place).collect()
    }

    fn write(&mut self, batch: Batch) -> Result<(), io::Error> {
        let payload_at = self.write_frame(batch.payload())?;
        let (at, entries) = batch.into_entries();
        let dropped = {
            let mut state = self.shared.state.write().unwrap_or_else(PoisonError::into_inner);
            state.apply(at, entries, payload_at, self.keep);
            state.trim(self.clock.now(), self.keep)
        };
        self.shared.version.send_modify(|version| *version += 1);
        for segment in dropped {
            if let Err(cause) = fs::remove_file(&segment.path) {
                warn!(file.path = %segment.path.display(), "an old file of the change log stays: {cause}");
            }
        }
        Ok(())
    }

    fn renew(&mut self, partition: Partition, expected: &Epoch) -> Result<PartitionState, StreamsError> {
        let unavailable = |cause: io::Error| StreamsError::unavailable("the change log", cause);
        let standing = self.shared.read().partitions[index(partition)].state();
        if standing.epoch != *expected {
            return Ok(standing);
        }
        let epoch = Epoch::random();
        self.write_frame(&encode_epoch(partition, &epoch)).map_err(unavailable)?;
        let mut state = self.shared.state.write().unwrap_or_else(PoisonError::into_inner);
        state.partitions[index(partition)].epoch = epoch;
        Ok(state.partitions[index(partition)].state())
    }

    /// Writes one frame, in a new file when the newest is full; gives where its payload begins.
    fn write_frame(&mut self, payload: &[u8]) -> Result<u64, io::Error> {
        if self.broken {
            return Err(io::Error::other("an earlier write failed halfway; start again"));
        }
        let (mut segment, head) = {
            let state = self.shared.read();
            (state.segments.back().expect("there is always a segment").clone(), state.head())
        };
        if segment.newest_at.is_some() && segment.bytes >= self.segment_bytes {
            segment = files::begin_segment(&self.shared.dir, segment.number + 1, &head)?;
            let mut state = self.shared.state.write().unwrap_or_else(PoisonError::into_inner);
            state.segments.push_back(segment.clone());
        }
        match files::append(&segment, payload, self.sync) {
            Ok(Ok((payload_at, bytes))) => {
                let mut state = self.shared.state.write().unwrap_or_else(PoisonError::into_inner);
                state.segments.back_mut().expect("there is always a segment").bytes = bytes;
                Ok(payload_at)
            }
            Ok(Err(cause)) => Err(cause),
            Err(cause) => {
                error!("the change log takes no more entries until the next start: {cause}");
                self.broken = true;
                Err(cause)
            }
        }
    }
}

fn stage_one(state: &State, publication: NewPublication, batch: &mut Batch, staged: &mut Staged) -> Position {
    let partition = partition_of(&publication.topic, state.partitions.len());
    let log = &state.partitions[index(partition)];
    let earlier = staged.ids.get(&publication.id).copied().or_else(|| log.offset_of(publication.id));
    let offset = earlier.unwrap_or_else(|| {
        let last = staged.last.entry(partition).or_insert_with(|| log.last());
        *last += 1;
        let offset = *last;
        let topic_last = staged.topics.insert(publication.topic.clone(), offset);
        let topic_last = topic_last.or_else(|| log.topic_last(&publication.topic));
        staged.ids.insert(publication.id, offset);
        batch.push(Entry {
            partition,
            offset,
            prev: topic_last.unwrap_or(log.trimmed),
            first: topic_last.is_none(),
            publication,
        });
        offset
    });
    Position { epoch: log.epoch.clone(), offset }
}

fn partition_of(topic: &Topic, partitions: usize) -> Partition {
    let partitions = u16::try_from(partitions).expect("partitions are at most 256");
    crate::log::partition_of(topic, partitions)
}

fn answer(waiting: Waiting, written: &Result<(), io::Error>) {
    for (reply, positions) in waiting {
        let result = match written {
            Ok(()) => Ok(positions),
            Err(cause) => Err(StreamsError::unavailable(
                "the change log",
                io::Error::new(cause.kind(), cause.to_string()),
            )),
        };
        // the asker may have gone
        let _ = reply.send(result);
    }
}
