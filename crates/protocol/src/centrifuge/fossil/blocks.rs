//! Where pieces of the target stand in the base: a table of the base's blocks, which a rolling hash is looked up in.

/// Bytes of a block.
const BLOCK: usize = 16;
/// Blocks with the same hash that are compared before giving up, so that repetitive payloads take no longer.
const TRIES_MAX: usize = 4;
const FACTOR: u32 = 0x0100_0193;

/// The blocks of a base.
pub(super) struct Blocks<'b> {
    base: &'b [u8],
    /// By hash, the number of a block plus one; 0: none.
    table: Vec<u32>,
}

/// A piece that base and target share.
pub(super) struct Match {
    pub(super) base_start: usize,
    pub(super) target_start: usize,
    pub(super) target_end: usize,
    /// Where to search on when the match is of no use.
    pub(super) searched: usize,
}

impl<'b> Blocks<'b> {
    pub(super) fn new(base: &'b [u8]) -> Self {
        let blocks = base.len() / BLOCK;
        let mut table = vec![0; if blocks == 0 { 0 } else { (blocks * 2).next_power_of_two() }];
        for (number, block) in (1..).zip(base.chunks_exact(BLOCK)) {
            let slots = slots(hash(block), table.len()).take(TRIES_MAX);
            if let Some(free) = slots.into_iter().find(|slot| table[*slot] == 0) {
                table[free] = number;
            }
        }
        Self { base, table }
    }

    /// The first piece of `target` from `at` on that holds a block of the base, extended to both sides, but not to
    /// what is before `floor`.
    pub(super) fn find(&self, target: &[u8], at: usize, floor: usize) -> Option<Match> {
        if self.table.is_empty() {
            return None;
        }
        let mut window = target.get(at..at + BLOCK)?;
        let mut rolling = hash(window);
        let mut start = at;
        loop {
            if let Some(block) = self.block(rolling, window) {
                return Some(self.extend(target, block, start, floor));
            }
            let next = *target.get(start + BLOCK)?;
            rolling = roll(rolling, window[0], next);
            start += 1;
            window = &target[start..start + BLOCK];
        }
    }

    /// Where the base has this block.
    fn block(&self, hash: u32, window: &[u8]) -> Option<usize> {
        slots(hash, self.table.len())
            .take(TRIES_MAX)
            .map(|slot| self.table[slot] as usize)
            .take_while(|number| *number > 0)
            .map(|number| (number - 1) * BLOCK)
            .find(|start| &self.base[*start..*start + BLOCK] == window)
    }

    fn extend(&self, target: &[u8], block: usize, start: usize, floor: usize) -> Match {
        let before = super::common(self.base[..block].iter().rev(), target[floor..start].iter().rev());
        let after = super::common(self.base[block + BLOCK..].iter(), target[start + BLOCK..].iter());
        Match {
            base_start: block - before,
            target_start: start - before,
            target_end: start + BLOCK + after,
            searched: start + 1,
        }
    }
}

/// The places of a hash in the table, in the order in which they are tried.
fn slots(hash: u32, size: usize) -> impl Iterator<Item = usize> {
    let first = (hash ^ (hash >> 15)) as usize;
    (0..).map(move |step| (first + step) & (size - 1))
}

/// A polynomial over the block, most significant first.
fn hash(block: &[u8]) -> u32 {
    block.iter().fold(0, |hash, byte| hash.wrapping_mul(FACTOR).wrapping_add(u32::from(*byte)))
}

/// The hash one byte further on.
fn roll(hash: u32, leaving: u8, entering: u8) -> u32 {
    // what the first byte of a block, a power of two long, counts for one byte later
    const LEAVING: u32 = FACTOR.wrapping_pow(1 << BLOCK.ilog2());
    hash.wrapping_mul(FACTOR)
        .wrapping_add(u32::from(entering))
        .wrapping_sub(u32::from(leaving).wrapping_mul(LEAVING))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rolling_is_hashing_anew() {
        let bytes: Vec<u8> = (0..200_u8).map(|byte| byte.wrapping_mul(37)).collect();
        let mut rolling = hash(&bytes[..BLOCK]);
        for start in 1..bytes.len() - BLOCK {
            rolling = roll(rolling, bytes[start - 1], bytes[start + BLOCK - 1]);
            assert_eq!(rolling, hash(&bytes[start..start + BLOCK]));
        }
    }
}
