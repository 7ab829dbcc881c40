//! The API from outside: real requests, both engines.
#![expect(clippy::unwrap_used, reason = "tests")]

mod frame;
mod support;
