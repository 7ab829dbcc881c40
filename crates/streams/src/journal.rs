//! Frames in a file, the lock on a directory, and what is left of a file after a crash.
//!
//! A frame is what was written and synced in one step: magic, length, checksum, payload. The next frame is begun
//! only after the one before is on the disk, so an invalid frame that valid ones follow was damaged later; one at
//! the very end was never acknowledged to anybody and is cut off.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use crate::StreamsError;

/// No JSON text contains these bytes.
const MAGIC: [u8; 4] = [0xff, b'M', 0xfe, b'J'];
/// Magic, length and checksum.
const HEAD: usize = 12;
/// Between two attempts to lock a directory.
const LOCK_RETRY: Duration = Duration::from_millis(10);

/// Appends one frame around `payload`.
pub(crate) fn put_frame(out: &mut Vec<u8>, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("every batch is limited far below 4 GiB").to_le_bytes();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&length);
    out.extend_from_slice(&checksum(length, payload).to_le_bytes());
    out.extend_from_slice(payload);
}

/// Where a frame's payload begins when the frame begins at `at`.
pub(crate) fn payload_at(at: u64) -> u64 {
    at + HEAD as u64
}

fn checksum(length: [u8; 4], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length);
    hasher.update(payload);
    hasher.finalize()
}

/// What was found in a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Scan {
    /// The payloads of the valid frames from the beginning.
    pub(crate) frames: Vec<Range<usize>>,
    /// Where the last of them ends.
    pub(crate) valid_bytes: usize,
    /// Where a further valid frame begins behind something invalid: the file is damaged in the middle.
    pub(crate) damaged_before: Option<usize>,
}

/// Finds the valid frames of a file.
pub(crate) fn scan(bytes: &[u8]) -> Scan {
    let mut scan = Scan::default();
    while let Some(payload) = frame_at(bytes, scan.valid_bytes) {
        scan.valid_bytes = payload.end;
        scan.frames.push(payload);
    }
    scan.damaged_before = (scan.valid_bytes + 1..bytes.len()).find(|at| frame_at(bytes, *at).is_some());
    scan
}

fn frame_at(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let (magic, rest) = bytes.get(at..)?.split_first_chunk::<4>()?;
    if *magic != MAGIC {
        return None;
    }
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (expected, rest) = rest.split_first_chunk::<4>()?;
    let payload = rest.get(..usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    let start = at + HEAD;
    (checksum(*length, payload) == u32::from_le_bytes(*expected)).then_some(start..start + payload.len())
}

/// Takes the directory for this process; it is free again when the file is dropped or the process ends. Blocks up to
/// `wait` while another process has it: one that is ending needs a moment.
pub(crate) fn lock(dir: &Path, wait: Duration) -> Result<File, StreamsError> {
    let unavailable = |cause| StreamsError::unavailable("the directory of the streams", cause);
    let path = dir.join("lock");
    let file =
        OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(unavailable)?;
    let deadline = Instant::now() + wait;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => std::thread::sleep(LOCK_RETRY),
            Err(TryLockError::WouldBlock) => return Err(StreamsError::Locked(dir.to_owned())),
            Err(TryLockError::Error(cause)) => return Err(unavailable(cause)),
        }
    }
}

/// Makes created, renamed and removed files of a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file_of(payloads: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for payload in payloads {
            put_frame(&mut bytes, payload);
        }
        bytes
    }

    proptest! {
        #[test]
        fn a_cut_file_gives_a_prefix_and_nothing_else(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..10),
            cut in any::<prop::sample::Index>(),
        ) {
            let bytes = file_of(&payloads);
            let cut = cut.index(bytes.len() + 1);
            let found = scan(&bytes[..cut]);
            let whole = payloads.iter().scan(0, |end, payload| { *end += HEAD + payload.len(); Some(*end) });
            prop_assert_eq!(found.frames.len(), whole.filter(|end| *end <= cut).count());
            for (frame, payload) in found.frames.iter().zip(&payloads) {
                prop_assert_eq!(&bytes[frame.clone()], &payload[..]);
            }
            prop_assert_eq!(found.damaged_before, None);
        }

        #[test]
        fn a_flipped_bit_is_never_taken_for_a_record(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 1..10),
            at in any::<prop::sample::Index>(),
            bit in 0..8_u8,
        ) {
            let mut bytes = file_of(&payloads);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let found = scan(&bytes);
            for (frame, payload) in found.frames.iter().zip(&payloads) {
                prop_assert_eq!(&bytes[frame.clone()], &payload[..]);
            }
            let last = file_of(&payloads[..payloads.len() - 1]).len();
            prop_assert_eq!(found.damaged_before.is_some(), at < last);
        }

        #[test]
        fn arbitrary_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(scan(&bytes).valid_bytes <= bytes.len());
        }
    }
}
