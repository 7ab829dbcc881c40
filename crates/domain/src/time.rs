//! Instants in whole microseconds of UTC, and the clock that gives them.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;
use std::sync::Mutex;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An instant: UTC, whole microseconds (PostgreSQL keeps no more), written as RFC 3339.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(jiff::Timestamp);

/// A text or number that names no instant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimestampError {
    /// Not RFC 3339 with an offset or `Z`.
    #[error("\"{0}\" is not an RFC 3339 time such as 2026-07-15T20:00:00Z")]
    Malformed(String),
    /// Outside the years that can be represented (-9999 to 9999).
    #[error("{0} microseconds since 1970 is outside the supported years")]
    OutOfRange(i64),
}

impl Timestamp {
    /// From microseconds since 1970.
    ///
    /// # Errors
    /// [`TimestampError::OutOfRange`] outside the supported years.
    pub fn from_microsecond(microseconds: i64) -> Result<Self, TimestampError> {
        jiff::Timestamp::from_microsecond(microseconds)
            .map(Self)
            .map_err(|_| TimestampError::OutOfRange(microseconds))
    }

    /// The last instant that microseconds since 1970 reach; calendar instants go a fraction of a second further.
    const MAX_MICROSECOND: i64 = 253_402_207_200_000_000;

    /// From a calendar instant, dropping what is finer than a microsecond.
    pub fn from_jiff(instant: jiff::Timestamp) -> Self {
        let microseconds = instant.as_microsecond().min(Self::MAX_MICROSECOND);
        Self(
            jiff::Timestamp::from_microsecond(microseconds)
                .expect("an instant in range stays in range when truncated"),
        )
    }

    /// Microseconds since 1970.
    pub fn as_microsecond(self) -> i64 {
        self.0.as_microsecond()
    }

    /// Whole seconds since 1970.
    pub fn as_second(self) -> i64 {
        self.0.as_second()
    }

    /// As a calendar instant, for zones and local times.
    pub fn as_jiff(self) -> jiff::Timestamp {
        self.0
    }

    /// How long after `earlier` this is; zero when it is before.
    pub fn since(self, earlier: Self) -> Duration {
        let microseconds = self.as_microsecond().saturating_sub(earlier.as_microsecond());
        Duration::from_micros(u64::try_from(microseconds).unwrap_or(0))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    /// Saturates at the last representable instant.
    fn add(self, span: Duration) -> Self {
        let micros = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        Self::from_microsecond(self.as_microsecond().saturating_add(micros))
            .unwrap_or(Self::from_jiff(jiff::Timestamp::MAX))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    /// Saturates at the first representable instant.
    fn sub(self, span: Duration) -> Self {
        let micros = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        Self::from_microsecond(self.as_microsecond().saturating_sub(micros))
            .unwrap_or(Self(jiff::Timestamp::MIN))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<jiff::Timestamp>()
            .map(Self::from_jiff)
            .map_err(|_| TimestampError::Malformed(text.chars().take(64).collect()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Where wall time comes from. The process has one system clock; tests move theirs by hand.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The instant now.
    fn now(&self) -> Timestamp;
}

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct ManualClock(Mutex<Timestamp>);

impl ManualClock {
    /// A clock that shows `start`.
    pub fn new(start: Timestamp) -> Self {
        Self(Mutex::new(start))
    }

    /// Moves the clock forward.
    pub fn advance(&self, span: Duration) {
        let mut now = self.0.lock().expect("no holder of this lock panics");
        *now = *now + span;
    }

    /// Sets the clock.
    pub fn set(&self, instant: Timestamp) {
        *self.0.lock().expect("no holder of this lock panics") = instant;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().expect("no holder of this lock panics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_whole_microseconds_of_utc() {
        let time: Timestamp = "2026-07-15T23:00:00.123456789+03:00".parse().unwrap();
        assert_eq!(time.to_string(), "2026-07-15T20:00:00.123456Z");
        assert_eq!(Timestamp::from_microsecond(time.as_microsecond()).unwrap(), time);
    }

    #[test]
    fn a_time_without_offset_is_refused() {
        assert!("2026-07-15T20:00:00".parse::<Timestamp>().is_err());
        assert!(serde_json::from_str::<Timestamp>("12").is_err());
    }

    #[test]
    fn arithmetic_saturates() {
        let last: Timestamp = "9999-12-30T22:00:00.9999Z".parse().unwrap();
        assert_eq!(last + Duration::from_secs(1), last);
        assert_eq!(Timestamp::from_microsecond(last.as_microsecond()), Ok(last));
        let early: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(early.since(last), Duration::ZERO);
    }
}
