//! Timers of a shard: a ring of buckets. A connection has one entry for its earliest deadline; what is found due is
//! looked at again, so an entry that has become needless costs one look.

/// Milliseconds of one bucket.
pub(crate) const TICK_MS: u64 = 50;
/// Buckets; deadlines further away are looked at once in between.
const BUCKETS: u64 = 1024;

/// Who wants to be looked at when.
#[derive(Debug)]
pub(crate) struct Wheel<K> {
    buckets: Vec<Vec<K>>,
    /// Number of the next tick to turn.
    tick: u64,
}

impl<K: Copy> Wheel<K> {
    /// A wheel at time 0.
    pub(crate) fn new() -> Self {
        Self { buckets: (0..BUCKETS).map(|_| Vec::new()).collect(), tick: 0 }
    }

    /// `key` is due at `due_ms`, or a tick later; gives the time at which it will be found.
    pub(crate) fn insert(&mut self, key: K, due_ms: u64) -> u64 {
        let tick = due_ms.div_ceil(TICK_MS).clamp(self.tick, self.tick + BUCKETS - 1);
        self.buckets[usize::try_from(tick % BUCKETS).expect("there are 1024")].push(key);
        tick * TICK_MS
    }

    /// Moves everything that is due at `now_ms` into `due`.
    pub(crate) fn turn(&mut self, now_ms: u64, due: &mut Vec<K>) {
        while self.tick * TICK_MS <= now_ms {
            let bucket = &mut self.buckets[usize::try_from(self.tick % BUCKETS).expect("there are 1024")];
            due.append(bucket);
            if bucket.capacity() > 64 {
                *bucket = Vec::new();
            }
            self.tick += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_when_due_and_not_before() {
        let mut wheel = Wheel::new();
        let mut due = Vec::new();
        assert_eq!(wheel.insert('a', 120), 150);
        assert_eq!(wheel.insert('b', 0), 0);
        assert_eq!(wheel.insert('c', 10_000_000), 1023 * TICK_MS, "too far away: looked at once before");
        wheel.turn(149, &mut due);
        assert_eq!(due, ['b']);
        wheel.turn(150, &mut due);
        assert_eq!(due, ['b', 'a']);
        assert_eq!(wheel.insert('d', 10), 200, "what is late is found at the next tick");
        wheel.turn(60_000, &mut due);
        assert_eq!(due, ['b', 'a', 'd', 'c']);
    }
}
