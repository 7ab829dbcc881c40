//! Who has guessed too often waits, longer each time: per account and device, and, more generously, per account
//! and address. Kept in memory, by each API process for itself.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use domain::Timestamp;

use crate::config::Passwords;

/// How many more attempts an address has than a device: families and offices share addresses.
const ADDRESS_FACTOR: u32 = 4;

/// What guesses are counted by: a digest of account and device, or of account and address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Guesser {
    /// On one device, as the client says.
    Device([u8; 16]),
    /// From one address.
    Address([u8; 16]),
}

/// Wrong passwords that are remembered.
#[derive(Debug)]
pub(crate) struct Lockout {
    config: Passwords,
    remembered: Mutex<HashMap<Guesser, Guesses>>,
}

#[derive(Debug, Clone, Copy)]
struct Guesses {
    wrong: u32,
    locked_until: Timestamp,
    last_at: Timestamp,
}

impl Lockout {
    /// Remembers nothing yet.
    pub(crate) fn new(config: &Passwords) -> Self {
        Self { config: config.clone(), remembered: Mutex::default() }
    }

    /// Counts an attempt as wrong before it is tried, so that parallel ones count too.
    ///
    /// # Errors
    /// How long to wait, when one of the guessers is locked.
    pub(crate) fn attempt(&self, guessers: &[Guesser], now: Timestamp) -> Result<(), Duration> {
        let mut remembered = self.remembered.lock().expect("no holder of this lock panics");
        let locked = guessers
            .iter()
            .filter_map(|guesser| remembered.get(guesser))
            .map(|one| one.locked_until.since(now));
        if let Some(wait) = locked.max().filter(|wait| !wait.is_zero()) {
            return Err(wait);
        }
        if remembered.len() + guessers.len() > self.config.locks_max {
            let forgotten = Duration::from_secs(self.config.lock_secs_max);
            remembered.retain(|_, one| now.since(one.last_at) < forgotten);
        }
        for guesser in guessers {
            if remembered.len() >= self.config.locks_max && !remembered.contains_key(guesser) {
                continue; // full of recent guesses: the quota per address still holds
            }
            let one =
                remembered.entry(*guesser).or_insert(Guesses { wrong: 0, locked_until: now, last_at: now });
            one.wrong = one.wrong.saturating_add(1);
            one.last_at = now;
            one.locked_until = now + self.lock_after(*guesser, one.wrong);
        }
        Ok(())
    }

    /// The attempt was right after all: everything is forgiven.
    pub(crate) fn forgive(&self, guessers: &[Guesser]) {
        let mut remembered = self.remembered.lock().expect("no holder of this lock panics");
        for guesser in guessers {
            remembered.remove(guesser);
        }
    }

    fn lock_after(&self, guesser: Guesser, wrong: u32) -> Duration {
        let free = match guesser {
            Guesser::Device(_) => self.config.free_attempts,
            Guesser::Address(_) => self.config.free_attempts.saturating_mul(ADDRESS_FACTOR),
        };
        match wrong.checked_sub(free) {
            None => Duration::ZERO,
            Some(beyond) => {
                let secs =
                    self.config.lock_secs.saturating_mul(1_u64.checked_shl(beyond).unwrap_or(u64::MAX));
                Duration::from_secs(secs.min(self.config.lock_secs_max))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_until_the_right_password_comes() {
        let config = Passwords { free_attempts: 2, lock_secs: 10, lock_secs_max: 35, ..Passwords::default() };
        let lockout = Lockout::new(&config);
        let mut now: Timestamp = "2026-07-15T12:00:00Z".parse().unwrap();
        let who = [Guesser::Device([1; 16])];
        assert_eq!(lockout.attempt(&who, now), Ok(()));
        assert_eq!(lockout.attempt(&who, now), Ok(()));
        for wait in [10, 20, 35, 35] {
            let wait = Duration::from_secs(wait);
            assert_eq!(lockout.attempt(&who, now), Err(wait));
            assert_eq!(lockout.attempt(&[Guesser::Device([2; 16])], now), Ok(()));
            lockout.forgive(&[Guesser::Device([2; 16])]);
            now = now + wait;
            assert_eq!(lockout.attempt(&who, now), Ok(()));
        }
        lockout.forgive(&who);
        assert_eq!(lockout.attempt(&who, now), Ok(()));
    }

    #[test]
    fn memory_is_bounded_and_old_guesses_go_first() {
        let lockout = Lockout::new(&Passwords { locks_max: 2, lock_secs_max: 60, ..Passwords::default() });
        let start: Timestamp = "2026-07-15T12:00:00Z".parse().unwrap();
        for guesser in 0..5 {
            assert_eq!(lockout.attempt(&[Guesser::Address([guesser; 16])], start), Ok(()));
        }
        assert_eq!(lockout.remembered.lock().unwrap().len(), 2);
        let later = start + Duration::from_secs(61);
        assert_eq!(lockout.attempt(&[Guesser::Address([9; 16])], later), Ok(()));
        assert_eq!(lockout.remembered.lock().unwrap().len(), 1);
    }
}
