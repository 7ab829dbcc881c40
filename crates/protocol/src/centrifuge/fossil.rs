//! Deltas in the format of the Fossil version control system, which SDKs apply to the payload that they had before.
//!
//! ```text
//! delta    = target_length "\n" { segment } checksum ";"
//! segment  = count "@" base_offset ","          copies from the base
//!          | count ":" <count raw bytes>        a literal
//! ```
//!
//! Numbers are written in base 64, most significant digit first. In the JSON dialect a delta is text; a literal of a
//! text therefore never begins or ends within a character.

mod blocks;
#[cfg(test)]
mod tests;

use blocks::Blocks;

const DIGITS: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~";

/// Matches shorter than this are not worth a segment.
const COPY_MIN: usize = 12;

/// A delta that cannot be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeltaError {
    /// It is not of the format.
    #[error("the delta is malformed")]
    Malformed,
    /// It copies from beyond the end of the base.
    #[error("the delta is for a longer base")]
    OutOfBase,
    /// What it makes is longer or shorter than it says.
    #[error("the delta makes another length than it announces")]
    Length,
    /// What it makes has another checksum than it says: it is for another base.
    #[error("the delta is for another base")]
    Checksum,
}

/// The delta that makes `target` of `base`, in time proportional to both. It may be longer than the target.
pub fn create(base: &[u8], target: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(target).ok();
    let ends_character = |at: usize| text.is_none_or(|text| text.is_char_boundary(at));
    let mut prefix = common(base.iter(), target.iter());
    while !ends_character(prefix) {
        prefix -= 1;
    }
    let rest = base.len().min(target.len()) - prefix;
    let mut suffix = common(base.iter().rev().take(rest), target.iter().rev());
    while !ends_character(target.len() - suffix) {
        suffix -= 1;
    }

    let mut delta = Writer::new(target);
    delta.copy(0, prefix);
    let end = target.len() - suffix;
    let blocks = Blocks::new(&base[prefix..base.len() - suffix]);
    let mut written = prefix;
    let mut at = prefix;
    while let Some(found) = blocks.find(&target[..end], at, written) {
        let (mut from, mut to) = (found.target_start, found.target_end);
        while !ends_character(from) {
            from += 1;
        }
        while !ends_character(to) {
            to -= 1;
        }
        at = found.searched;
        if to >= from + COPY_MIN {
            delta.literal(&target[written..from]);
            delta.copy(prefix + found.base_start + (from - found.target_start), to - from);
            written = to;
            at = to;
        }
    }
    delta.literal(&target[written..end]);
    delta.copy(base.len() - suffix, suffix);
    delta.finish(target)
}

/// Applies a delta to the base that it was made for.
///
/// # Errors
/// [`DeltaError`]; the base cannot be told to be the right one before the end.
pub fn apply(base: &[u8], delta: &[u8]) -> Result<Vec<u8>, DeltaError> {
    let (length, mut rest) = number(delta)?;
    rest = rest.strip_prefix(b"\n").ok_or(DeltaError::Malformed)?;
    let mut target = Vec::new();
    loop {
        let (count, after) = number(rest)?;
        let (mark, after) = after.split_first().ok_or(DeltaError::Malformed)?;
        match mark {
            b';' if after.is_empty() => {
                return match (target.len() == length, checksum(&target) as usize == count) {
                    (false, _) => Err(DeltaError::Length),
                    (true, false) => Err(DeltaError::Checksum),
                    (true, true) => Ok(target),
                };
            }
            b'@' => {
                let (offset, after) = number(after)?;
                rest = after.strip_prefix(b",").ok_or(DeltaError::Malformed)?;
                let end = offset.checked_add(count).ok_or(DeltaError::OutOfBase)?;
                target.extend_from_slice(base.get(offset..end).ok_or(DeltaError::OutOfBase)?);
            }
            b':' => {
                let (literal, after) = after.split_at_checked(count).ok_or(DeltaError::Malformed)?;
                target.extend_from_slice(literal);
                rest = after;
            }
            _ => return Err(DeltaError::Malformed),
        }
        if target.len() > length {
            return Err(DeltaError::Length);
        }
    }
}

fn common<'b>(one: impl Iterator<Item = &'b u8>, other: impl Iterator<Item = &'b u8>) -> usize {
    one.zip(other).take_while(|(one, other)| one == other).count()
}

/// The sum of the target's big-endian words, the last one filled up with zeros.
fn checksum(target: &[u8]) -> u32 {
    target.chunks(4).fold(0, |sum, chunk| {
        let mut word = [0; 4];
        word[..chunk.len()].copy_from_slice(chunk);
        sum.wrapping_add(u32::from_be_bytes(word))
    })
}

/// Reads a number; at least one digit.
fn number(text: &[u8]) -> Result<(usize, &[u8]), DeltaError> {
    let mut value = 0_usize;
    let mut read = 0;
    while let Some(digit) = text.get(read).and_then(|byte| DIGITS.iter().position(|digit| digit == byte)) {
        value = value.checked_mul(64).ok_or(DeltaError::Malformed)? | digit;
        read += 1;
    }
    if read == 0 { Err(DeltaError::Malformed) } else { Ok((value, &text[read..])) }
}

/// A delta that is being written.
struct Writer(Vec<u8>);

impl Writer {
    fn new(target: &[u8]) -> Self {
        let mut writer = Self(Vec::with_capacity(64));
        writer.number(target.len());
        writer.0.push(b'\n');
        writer
    }

    fn number(&mut self, value: usize) {
        let digits = value.checked_ilog2().unwrap_or(0) / 6 + 1;
        for place in (0..digits).rev() {
            self.0.push(DIGITS[(value >> (6 * place)) & 63]);
        }
    }

    fn copy(&mut self, from: usize, count: usize) {
        if count > 0 {
            self.number(count);
            self.0.push(b'@');
            self.number(from);
            self.0.push(b',');
        }
    }

    fn literal(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.number(bytes.len());
            self.0.push(b':');
            self.0.extend_from_slice(bytes);
        }
    }

    fn finish(mut self, target: &[u8]) -> Vec<u8> {
        self.number(checksum(target) as usize);
        self.0.push(b';');
        self.0
    }
}
