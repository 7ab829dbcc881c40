//! Timers of a shard: a ring of buckets. A connection has one entry for its earliest deadline; what is found due is
//! looked at again, so an entry that has become needless costs one look.

use super::connection::Tick;

/// Milliseconds of one bucket.
pub(crate) const TICK_MS: u64 = 50;
/// Buckets; deadlines further away are looked at once in between.
const BUCKETS: Tick = 1024;

/// Who wants to be looked at when.
#[derive(Debug)]
pub(crate) struct Wheel<K> {
    buckets: Vec<Vec<K>>,
    /// Number of the next tick to turn.
    tick: Tick,
}

impl<K: Copy> Wheel<K> {
    /// A wheel at time 0.
    pub(crate) fn new() -> Self {
        Self { buckets: (0..BUCKETS).map(|_| Vec::new()).collect(), tick: 0 }
    }

    /// `key` is due at tick `due`, or at the next one; gives the tick at which it will be found.
    pub(crate) fn insert(&mut self, key: K, due: Tick) -> Tick {
        let tick = due.clamp(self.tick, self.tick + BUCKETS - 1);
        self.buckets[usize::try_from(tick % BUCKETS).expect("there are 1024")].push(key);
        tick
    }

    /// Moves everything that is due at tick `now` into `due`.
    pub(crate) fn turn(&mut self, now: Tick, due: &mut Vec<K>) {
        while self.tick <= now {
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
        assert_eq!(wheel.insert('a', 3), 3);
        assert_eq!(wheel.insert('b', 0), 0);
        assert_eq!(wheel.insert('c', 10_000_000), 1023, "too far away: looked at once before");
        wheel.turn(2, &mut due);
        assert_eq!(due, ['b']);
        wheel.turn(3, &mut due);
        assert_eq!(due, ['b', 'a']);
        assert_eq!(wheel.insert('d', 1), 4, "what is late is found at the next tick");
        wheel.turn(1_200, &mut due);
        assert_eq!(due, ['b', 'a', 'd', 'c']);
    }
}
