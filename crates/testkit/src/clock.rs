//! The machine's clock, for stand-ins that run on their own.

use domain::{Clock, Timestamp};

/// Wall time in whole microseconds.
#[derive(Debug, Clone, Copy, Default)]
pub struct WallClock;

impl Clock for WallClock {
    #[expect(clippy::disallowed_methods, reason = "the stand-ins' one place that reads the machine's clock")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_microsecond(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
            .expect("the machine's clock shows a year below 9999")
    }
}
