//! The log's files: opening what an earlier process left, beginning new ones.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::{info, warn};

use super::record::{Head, Record, decode, encode_head};
use super::state::{PartitionLog, Retention, Segment, State, index};
use crate::journal::{Scan, payload_at, put_frame, scan, sync_dir};
use crate::{Epoch, StreamsError};

const SUFFIX: &str = "log";

/// Opens the log in `dir`, or begins one.
pub(super) fn open(dir: &Path, partitions: u16, keep: Retention) -> Result<State, StreamsError> {
    let unavailable = |cause: io::Error| StreamsError::unavailable("the change log", cause);
    fs::create_dir_all(dir).map_err(unavailable)?;
    let mut state = None;
    let paths = segment_paths(dir).map_err(unavailable)?;
    for (position, (number, path)) in paths.iter().enumerate() {
        let is_newest = position + 1 == paths.len();
        read_segment(*number, path, is_newest, keep, &mut state)?;
    }
    let state = if let Some(state) = state {
        state
    } else {
        let head = Head { partitions: (0..partitions).map(|_| (Epoch::random(), 0)).collect() };
        let number = paths.last().map_or(1, |(number, _)| number + 1);
        let segment = begin_segment(dir, number, &head).map_err(unavailable)?;
        State {
            partitions: head
                .partitions
                .into_iter()
                .map(|(epoch, last)| PartitionLog::new(epoch, last))
                .collect(),
            segments: VecDeque::from([segment]),
        }
    };
    let stored = u16::try_from(state.partitions.len()).expect("the head counts partitions in 16 bits");
    if stored != partitions {
        return Err(StreamsError::Layout { stored, configured: partitions });
    }
    Ok(state)
}

/// Begins the file `number` with `head`; durable when it returns.
pub(super) fn begin_segment(dir: &Path, number: u64, head: &Head) -> io::Result<Segment> {
    let path = dir.join(format!("{number:020}.{SUFFIX}"));
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path)?;
    let mut bytes = Vec::new();
    put_frame(&mut bytes, &encode_head(head));
    file.write_all_at(&bytes, 0)?;
    file.sync_all()?;
    sync_dir(dir)?;
    Ok(Segment {
        number,
        path,
        file: Arc::new(file),
        bytes: bytes.len() as u64,
        newest_at: None,
        last: head.partitions.iter().map(|(_, last)| *last).collect(),
    })
}

/// The log's files by number.
fn segment_paths(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut paths = Vec::new();
    for item in fs::read_dir(dir)? {
        let path = item?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
        if let (Some(number), true) = (number, path.extension().is_some_and(|suffix| suffix == SUFFIX)) {
            paths.push((number, path));
        }
    }
    paths.sort();
    Ok(paths)
}

/// Reads one file into `state`. What was never acknowledged at the end of the newest one is cut off.
fn read_segment(
    number: u64,
    path: &Path,
    is_newest: bool,
    keep: Retention,
    state: &mut Option<State>,
) -> Result<(), StreamsError> {
    let unavailable = |cause: io::Error| StreamsError::unavailable("the change log", cause);
    let damaged = |detail: &str| StreamsError::corrupt(path.display().to_string(), detail);
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(unavailable)?;
    let bytes = fs::read(path).map_err(unavailable)?;
    let found = scan(&bytes);
    if let Some(next) = found.damaged_before {
        return Err(damaged(&format!("bytes {} to {next} are no valid record", found.valid_bytes)));
    }
    if found.valid_bytes < bytes.len() {
        if !is_newest {
            return Err(damaged(&format!("it ends with an invalid record at byte {}", found.valid_bytes)));
        }
        cut_tail(&file, path, &found, bytes.len()).map_err(unavailable)?;
    }
    let mut records = found.frames.iter().map(|frame| {
        let record = decode(&bytes[frame.clone()]);
        record
            .map(|record| (record, frame.start as u64))
            .ok_or_else(|| damaged("a record means nothing to this version"))
    });
    let head = match records.next().transpose()? {
        Some((Record::Head(head), _)) => head,
        Some(_) => return Err(damaged("it does not begin with how the partitions stood")),
        None if is_newest => {
            info!(file.path = %path.display(), "removing a file of the change log that was never begun");
            return fs::remove_file(path).map_err(unavailable);
        }
        None => return Err(damaged("it is empty")),
    };
    let state = join(state, &head).ok_or_else(|| damaged("it does not continue the file before it"))?;
    state.segments.push_back(Segment {
        number,
        path: path.to_owned(),
        file: Arc::new(file),
        bytes: found.valid_bytes as u64,
        newest_at: None,
        last: head.partitions.iter().map(|(_, last)| *last).collect(),
    });
    for record in records {
        let (record, at) = record?;
        take_over(state, record, at, keep).ok_or_else(|| damaged("its records do not follow each other"))?;
    }
    Ok(())
}

fn cut_tail(file: &File, path: &Path, found: &Scan, bytes: usize) -> io::Result<()> {
    let lost = bytes - found.valid_bytes;
    warn!(file.path = %path.display(), lost_bytes = lost, "cutting off {lost} bytes that were never acknowledged");
    file.set_len(found.valid_bytes as u64)?;
    file.sync_all()
}

/// The state before this file: the one so far if the file continues it, a new one for the oldest file.
fn join<'a>(state: &'a mut Option<State>, head: &Head) -> Option<&'a mut State> {
    let state = state.get_or_insert_with(|| State {
        partitions: head
            .partitions
            .iter()
            .map(|(epoch, last)| PartitionLog::new(epoch.clone(), *last))
            .collect(),
        segments: VecDeque::new(),
    });
    (state.head() == *head).then_some(state)
}

/// Takes over one record; `None` when it does not follow from what was before.
fn take_over(state: &mut State, record: Record, at: u64, keep: Retention) -> Option<()> {
    match record {
        Record::Head(_) => return None,
        Record::Epoch { partition, epoch } => state.partitions.get_mut(index(partition))?.epoch = epoch,
        Record::Batch { at: written_at, entries } => {
            let mut last = state.head().partitions;
            for placed in &entries {
                let (_, last) = last.get_mut(index(placed.entry.partition))?;
                *last += 1;
                if placed.entry.offset != *last {
                    return None;
                }
            }
            state.apply(written_at, entries, at, keep);
        }
    }
    Some(())
}

/// Writes `payload` as one frame at the end of `segment`, which is left as it was when that fails.
///
/// # Errors
/// The inner error when the segment is as before, the outer one when it is not known how it stands.
pub(super) fn append(
    segment: &Segment,
    payload: &[u8],
    sync: bool,
) -> Result<io::Result<(u64, u64)>, io::Error> {
    let mut frame = Vec::with_capacity(payload.len() + 16);
    put_frame(&mut frame, payload);
    if let Err(cause) = segment.file.write_all_at(&frame, segment.bytes) {
        segment.file.set_len(segment.bytes)?;
        return Ok(Err(cause));
    }
    if sync {
        segment.file.sync_data()?;
    }
    Ok(Ok((payload_at(segment.bytes), segment.bytes + frame.len() as u64)))
}
