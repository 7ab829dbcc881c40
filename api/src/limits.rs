//! Rate limits: who a request counts for, and whether there is any left of their quota.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;

use service::address::AddressPrefix;

use crate::config::{Quota, RateLimits};

/// A group of callers with the same quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Without a token.
    Anonymous,
    /// Signed in.
    User,
    /// Who edits the programme or announces.
    Staff,
    /// Whoever signs in or registers.
    Auth,
}

/// Whom a request counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    /// A user.
    User(i64),
    /// Where it comes from.
    Address(AddressPrefix),
    /// Every address that came after the memory was full.
    Rest,
}

/// What is left of a quota after a request, or how long to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    /// The class, for the headers.
    pub(crate) class: Class,
    /// The quota.
    pub(crate) quota: Quota,
    /// Requests left at once.
    pub(crate) remaining: u32,
    /// `None`: go on. Else: not before.
    pub(crate) wait: Option<Duration>,
}

type Limiter =
    governor::RateLimiter<Key, DefaultKeyedStateStore<Key>, DefaultClock, StateInformationMiddleware>;

/// The quotas of every class.
pub(crate) struct RateLimiter {
    classes: [(Class, Quota, Limiter); 4],
    clock: DefaultClock,
    keys_max: usize,
}

impl Class {
    /// The word in headers and metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::User => "user",
            Self::Staff => "staff",
            Self::Auth => "auth",
        }
    }
}

impl PartialEq for Quota {
    fn eq(&self, other: &Self) -> bool {
        (self.requests, self.window_secs) == (other.requests, other.window_secs)
    }
}

impl Eq for Quota {}

impl RateLimiter {
    /// With full quotas.
    pub(crate) fn new(config: &RateLimits) -> Self {
        let class = |class, quota: Quota| (class, quota, limiter(quota));
        Self {
            classes: [
                class(Class::Anonymous, config.anonymous),
                class(Class::User, config.user),
                class(Class::Staff, config.staff),
                class(Class::Auth, config.auth),
            ],
            clock: DefaultClock::default(),
            keys_max: config.keys_max,
        }
    }

    /// Takes one request from the quota of `key` in `class`.
    pub(crate) fn take(&self, class: Class, key: Key) -> Standing {
        let (class, quota, limiter) =
            self.classes.iter().find(|(one, ..)| *one == class).expect("every class is in the list");
        let full = matches!(key, Key::Address(_)) && limiter.len() >= self.keys_max;
        let key = if full { Key::Rest } else { key };
        let (remaining, wait) = match limiter.check_key(&key) {
            Ok(snapshot) => (snapshot.remaining_burst_capacity(), None),
            Err(refusal) => (0, Some(refusal.wait_time_from(self.clock.now()))),
        };
        Standing { class: *class, quota: *quota, remaining, wait }
    }

    /// Forgets the keys that have their full quota again.
    pub(crate) fn sweep(&self) {
        for (_, _, limiter) in &self.classes {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    }
}

impl std::fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RateLimiter").field("keys_max", &self.keys_max).finish_non_exhaustive()
    }
}

impl Standing {
    /// `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers).
    pub(crate) fn headers(&self) -> [(&'static str, String); 2] {
        let (class, Quota { requests, window_secs }) = (self.class.as_str(), self.quota);
        let spent = u64::from(requests.saturating_sub(self.remaining));
        let full_in = (spent * u64::from(window_secs)).div_ceil(u64::from(requests.max(1)));
        [
            ("ratelimit-policy", format!("\"{class}\";q={requests};w={window_secs}")),
            ("ratelimit", format!("\"{class}\";r={};t={full_in}", self.remaining)),
        ]
    }
}

fn limiter(quota: Quota) -> Limiter {
    let requests = NonZeroU32::new(quota.requests).unwrap_or(NonZeroU32::MIN);
    let window = Duration::from_secs(u64::from(quota.window_secs.max(1)));
    let quota = governor::Quota::with_period(window / requests.get())
        .expect("a second divided by a million is longer than nothing")
        .allow_burst(requests);
    governor::RateLimiter::keyed(quota).with_middleware()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY: Key = Key::Address(AddressPrefix(0));

    fn limiter(requests: u32, keys_max: usize) -> RateLimiter {
        let quota = Quota { requests, window_secs: 3_600 };
        RateLimiter::new(&RateLimits { anonymous: quota, keys_max, ..RateLimits::default() })
    }

    #[test]
    fn a_quota_runs_out_per_key_and_says_so() {
        let limits = limiter(2, 1_000);
        let first = limits.take(Class::Anonymous, NOBODY);
        assert_eq!((first.remaining, first.wait), (1, None));
        assert_eq!(first.headers()[0].1, "\"anonymous\";q=2;w=3600");
        assert_eq!(first.headers()[1].1, "\"anonymous\";r=1;t=1800");
        assert_eq!(limits.take(Class::Anonymous, NOBODY).wait, None);
        let refused = limits.take(Class::Anonymous, NOBODY);
        assert!(refused.wait.is_some_and(|wait| wait > Duration::from_secs(1_700)));
        assert_eq!(limits.take(Class::Anonymous, Key::Address(AddressPrefix(9))).wait, None);
        assert_eq!(limits.take(Class::Staff, Key::User(1)).wait, None);
    }

    #[test]
    fn new_addresses_share_one_quota_when_the_memory_is_full() {
        let limits = limiter(1, 3);
        for address in 0..4 {
            assert_eq!(limits.take(Class::Anonymous, Key::Address(AddressPrefix(address))).wait, None);
        }
        assert!(limits.take(Class::Anonymous, Key::Address(AddressPrefix(99))).wait.is_some());
    }
}
