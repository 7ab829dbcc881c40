//! Passwords: Argon2id on a bounded number of threads, and nobody learns from the time whether an account exists.

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use metrics::{counter, histogram};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::config;
use crate::metrics as names;

/// Why a password was not hashed.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// Too many wait for a hash already.
    #[error("too many passwords wait to be hashed")]
    Busy,
    /// The hash that is stored cannot be read, or the configured cost is impossible.
    #[error("a password could not be hashed: {0}")]
    Hash(String),
}

/// What a password turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Not the one.
    Wrong,
    /// The one.
    Right,
    /// The one; it was hashed with another cost, and this is its hash with today's.
    RightRehashed(String),
}

/// Hashes and verifies passwords.
#[derive(Clone)]
pub(crate) struct Passwords {
    argon2: Argon2<'static>,
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    decoy: String,
}

/// When to come back after [`PasswordError::Busy`].
pub(crate) const BUSY_RETRY: Duration = Duration::from_secs(2);

impl Passwords {
    /// With the cost and the bounds of the configuration. Hashes once, for the decoy.
    ///
    /// # Errors
    /// [`PasswordError::Hash`] when the cost is impossible.
    pub(crate) fn new(config: &config::Passwords) -> Result<Self, PasswordError> {
        let params = Params::new(config.memory_kib, config.passes, 1, None).map_err(hash_error)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let decoy = hash_now(&argon2, "nobody has this password")?;
        Ok(Self {
            argon2,
            running: Arc::new(Semaphore::new(config.parallel_max)),
            waiting: Arc::new(Semaphore::new(config.parallel_max + config.waiting_max)),
            decoy,
        })
    }

    /// The hash of a password as a PHC string.
    ///
    /// # Errors
    /// [`PasswordError`].
    pub(crate) async fn hash(&self, password: String) -> Result<String, PasswordError> {
        let argon2 = self.argon2.clone();
        self.run(move || hash_now(&argon2, &password)).await
    }

    /// Whether `password` is the one of `stored`. Without a stored hash the same work is done for nothing.
    ///
    /// # Errors
    /// [`PasswordError`].
    pub(crate) async fn verify(
        &self,
        password: String,
        stored: Option<String>,
    ) -> Result<Verdict, PasswordError> {
        let (argon2, decoy) = (self.argon2.clone(), self.decoy.clone());
        self.run(move || match stored {
            Some(stored) => verify_now(&argon2, &password, &stored),
            None => verify_now(&argon2, &password, &decoy).map(|_| Verdict::Wrong),
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let Ok(_waiting) = Arc::clone(&self.waiting).try_acquire_owned() else {
            counter!(names::SHED, "reason" => "hashing").increment(1);
            return Err(PasswordError::Busy);
        };
        let running = Arc::clone(&self.running).acquire_owned().await.expect("the semaphore is never closed");
        let started = Instant::now();
        // the permit goes along: a request that gives up does not make room for another hash
        let done = tokio::task::spawn_blocking(move || {
            let _running = running;
            work()
        });
        let result = done.await.map_err(|cause| PasswordError::Hash(cause.to_string()))?;
        histogram!(names::HASH_SECONDS).record(started.elapsed().as_secs_f64());
        result
    }
}

impl std::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passwords(…)")
    }
}

fn hash_now(argon2: &Argon2<'_>, password: &str) -> Result<String, PasswordError> {
    let hash: PasswordHash = argon2.hash_password(password.as_bytes()).map_err(hash_error)?;
    Ok(hash.to_string())
}

fn verify_now(argon2: &Argon2<'_>, password: &str, stored: &str) -> Result<Verdict, PasswordError> {
    let hash = PasswordHash::new(stored).map_err(hash_error)?;
    match argon2.verify_password(password.as_bytes(), &hash) {
        Ok(()) => {}
        Err(argon2::password_hash::Error::PasswordInvalid) => return Ok(Verdict::Wrong),
        Err(cause) => return Err(hash_error(cause)),
    }
    let today = argon2.params();
    let then = Params::try_from(&hash).map_err(hash_error)?;
    let same = |of: fn(&Params) -> u32| of(&then) == of(today);
    if same(Params::m_cost) && same(Params::t_cost) && same(Params::p_cost) {
        Ok(Verdict::Right)
    } else {
        hash_now(argon2, password).map(Verdict::RightRehashed)
    }
}

fn hash_error(cause: impl std::fmt::Display) -> PasswordError {
    PasswordError::Hash(cause.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cheap(passes: u32) -> Passwords {
        let config = config::Passwords { memory_kib: 8_192, passes, parallel_max: 1, ..Default::default() };
        Passwords::new(&config).unwrap()
    }

    #[tokio::test]
    async fn only_the_password_is_right_and_an_old_cost_is_renewed() {
        let passwords = cheap(1);
        let stored = passwords.hash("كلمة سر".to_owned()).await.unwrap();
        let verdict = |password: &str, stored: Option<&String>| {
            let (password, stored) = (password.to_owned(), stored.cloned());
            let passwords = passwords.clone();
            async move { passwords.verify(password, stored).await.unwrap() }
        };
        assert_eq!(verdict("كلمة سر", Some(&stored)).await, Verdict::Right);
        assert_eq!(verdict("كلمه سر", Some(&stored)).await, Verdict::Wrong);
        assert_eq!(verdict("nobody has this password", None).await, Verdict::Wrong);
        match cheap(2).verify("كلمة سر".to_owned(), Some(stored)).await.unwrap() {
            Verdict::RightRehashed(renewed) => assert!(renewed.contains("t=2")),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_full_house_is_said_at_once() {
        let passwords = cheap(1);
        let room = passwords.waiting.available_permits();
        let _taken = passwords.waiting.try_acquire_many(u32::try_from(room).unwrap()).unwrap();
        assert!(matches!(passwords.hash("x".to_owned()).await, Err(PasswordError::Busy)));
    }
}
