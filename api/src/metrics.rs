//! The metrics of the API, each with its help.

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram};

/// Seconds from the first byte of a request's head to the end of its handler, by `method` and `route`.
pub(crate) const REQUEST_SECONDS: &str = "api_request_seconds";
/// Requests answered, by `method`, `route` and `status`.
pub(crate) const REQUESTS: &str = "api_requests_total";
/// Requests that are worked on now.
pub(crate) const IN_FLIGHT: &str = "api_requests_in_flight";
/// Requests turned away, by `reason`: `quota`, `overload`, `timeout`, `hashing`.
pub(crate) const SHED: &str = "api_requests_shed_total";
/// Writes with an idempotency key, by `outcome`: `fresh`, `replayed`, `busy`, `reused`.
pub(crate) const IDEMPOTENCY: &str = "api_idempotency_total";
/// Attempts to sign in, by `outcome`: `ok`, `wrong`, `locked`, `blocked`.
pub(crate) const LOGINS: &str = "api_logins_total";
/// Refresh tokens presented, by `outcome`: `rotated`, `reissued`, `reused`, `invalid`, `failed`.
pub(crate) const REFRESHES: &str = "api_refreshes_total";
/// Seconds that a password hash took, without the wait for its turn.
pub(crate) const HASH_SECONDS: &str = "api_password_hash_seconds";
/// Receipts sent by apps, by `result`.
pub(crate) const RECEIPTS: &str = "api_receipts_total";

/// Describes every metric and registers counters at 0.
pub(crate) fn describe() {
    describe_histogram!(REQUEST_SECONDS, Unit::Seconds, "Time to answer a request, by method and route");
    describe_counter!(REQUESTS, "Requests answered, by method, route and status");
    describe_gauge!(IN_FLIGHT, "Requests that are worked on now");
    describe_counter!(SHED, "Requests turned away, by reason");
    describe_counter!(IDEMPOTENCY, "Writes with an idempotency key, by outcome");
    describe_counter!(LOGINS, "Attempts to sign in, by outcome");
    describe_counter!(REFRESHES, "Refresh tokens presented, by outcome");
    describe_histogram!(HASH_SECONDS, Unit::Seconds, "Time to hash a password");
    describe_counter!(RECEIPTS, "Receipts sent by apps, by result");
    for reason in ["quota", "overload", "timeout", "hashing"] {
        counter!(SHED, "reason" => reason).absolute(0);
    }
    for outcome in ["fresh", "replayed", "busy", "reused"] {
        counter!(IDEMPOTENCY, "outcome" => outcome).absolute(0);
    }
    for outcome in ["ok", "wrong", "locked", "blocked"] {
        counter!(LOGINS, "outcome" => outcome).absolute(0);
    }
    for outcome in ["rotated", "reissued", "reused", "invalid", "failed"] {
        counter!(REFRESHES, "outcome" => outcome).absolute(0);
    }
}
