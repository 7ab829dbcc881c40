//! The queues' journal: one file, rewritten under a higher number when most of it is about items that have ended.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use tracing::warn;

use super::record::{Record, decode, encode};
use super::state::Queues;
use crate::StreamsError;
use crate::journal::{put_frame, scan, sync_dir};

const SUFFIX: &str = "journal";
/// Records in one frame of a rewritten journal.
const FRAME_RECORDS: usize = 256;

/// The file that is written to.
#[derive(Debug)]
pub(super) struct Journal {
    dir: PathBuf,
    number: u64,
    file: File,
    pub(super) bytes: u64,
}

impl Journal {
    /// Opens the journal in `dir` or begins one, and gives what it says.
    pub(super) fn open(dir: &Path) -> Result<(Self, Queues), StreamsError> {
        let unavailable = |cause: io::Error| StreamsError::unavailable("the work queues", cause);
        fs::create_dir_all(dir).map_err(unavailable)?;
        let mut paths = journal_paths(dir).map_err(unavailable)?;
        let Some((number, path)) = paths.pop() else {
            let journal = Self::write_new(dir, 1, &Queues::default()).map_err(unavailable)?;
            return Ok((journal, Queues::default()));
        };
        // a journal gets its name when it is complete, so that the ones before it are of no use
        for (_, old) in paths {
            fs::remove_file(old).map_err(unavailable)?;
        }
        let file = OpenOptions::new().read(true).write(true).open(&path).map_err(unavailable)?;
        let bytes = fs::read(&path).map_err(unavailable)?;
        let found = scan(&bytes);
        let damaged = |detail: &str| StreamsError::corrupt(path.display().to_string(), detail);
        if let Some(next) = found.damaged_before {
            return Err(damaged(&format!("bytes {} to {next} are no valid record", found.valid_bytes)));
        }
        if found.valid_bytes < bytes.len() {
            let lost = bytes.len() - found.valid_bytes;
            warn!(file.path = %path.display(), lost_bytes = lost, "cutting off {lost} bytes that were never acknowledged");
            file.set_len(found.valid_bytes as u64).and_then(|()| file.sync_all()).map_err(unavailable)?;
        }
        let mut queues = Queues::default();
        for frame in found.frames {
            let records =
                decode(&bytes[frame]).ok_or_else(|| damaged("a record means nothing to this version"))?;
            for record in records {
                queues.apply(record);
            }
        }
        let bytes = found.valid_bytes as u64;
        Ok((Self { dir: dir.to_owned(), number, file, bytes }, queues))
    }

    /// Writes `records` as one frame at the end; the journal is left as it was when that fails.
    ///
    /// # Errors
    /// The inner error when the journal is as before, the outer one when it is not known how it stands.
    pub(super) fn append(&mut self, records: &[Record], sync: bool) -> Result<io::Result<()>, io::Error> {
        let mut frame = Vec::new();
        put_frame(&mut frame, &encode(records));
        if let Err(cause) = self.file.write_all_at(&frame, self.bytes) {
            self.file.set_len(self.bytes)?;
            return Ok(Err(cause));
        }
        if sync {
            self.file.sync_data()?;
        }
        self.bytes += frame.len() as u64;
        Ok(Ok(()))
    }

    /// Replaces the journal by one that says only what `queues` hold.
    pub(super) fn rewrite(&mut self, queues: &Queues) -> io::Result<()> {
        let new = Self::write_new(&self.dir, self.number + 1, queues)?;
        let old = std::mem::replace(self, new);
        fs::remove_file(path_of(&old.dir, old.number))
    }

    fn write_new(dir: &Path, number: u64, queues: &Queues) -> io::Result<Self> {
        let path = path_of(dir, number);
        let unfinished = path.with_extension("unfinished");
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&unfinished)?;
        let mut out = BufWriter::new(&file);
        let mut bytes = 0;
        let mut records = queues.snapshot();
        loop {
            let page: Vec<Record> = records.by_ref().take(FRAME_RECORDS).collect();
            if page.is_empty() {
                break;
            }
            let mut frame = Vec::new();
            put_frame(&mut frame, &encode(&page));
            out.write_all(&frame)?;
            bytes += frame.len() as u64;
        }
        out.flush()?;
        drop(out);
        file.sync_all()?;
        fs::rename(&unfinished, &path)?;
        sync_dir(dir)?;
        Ok(Self { dir: dir.to_owned(), number, file, bytes })
    }
}

fn path_of(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:020}.{SUFFIX}"))
}

/// The journals by number.
fn journal_paths(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
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
