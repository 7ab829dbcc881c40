//! What the streams measure; the roles measure lags and depths themselves.

use metrics::{Unit, describe_counter, describe_histogram};

/// Seconds of one call to `ChangeLog::append`, failed ones included.
pub(crate) const APPEND_SECONDS: &str = "streams_append_seconds";
/// Calls to `ChangeLog::append` that failed.
pub(crate) const APPEND_FAILURES: &str = "streams_append_failures_total";
/// Entries given to readers of the change log.
pub(crate) const READ_ENTRIES: &str = "streams_read_entries_total";
/// Readers of the change log that were told that positions are void, or that entries were trimmed before they came.
pub(crate) const READ_GAPS: &str = "streams_read_gaps_total";

/// Describes the metrics and begins the counters at 0.
pub(crate) fn describe() {
    describe_histogram!(APPEND_SECONDS, Unit::Seconds, "Duration of appends to the change log");
    describe_counter!(APPEND_FAILURES, "Appends to the change log that failed");
    describe_counter!(READ_ENTRIES, "Entries given to readers of the change log");
    describe_counter!(READ_GAPS, "Readers of the change log that were reset or too late");
    for counter in [APPEND_FAILURES, READ_ENTRIES, READ_GAPS] {
        metrics::counter!(counter).increment(0);
    }
}
