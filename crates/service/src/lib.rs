//! The shell of a process: configuration, telemetry, lifecycle, admin port, HTTP client, access tokens.
//!
//! Knows nothing of festivals: every role (api, hub, workers) and every binary stands on it.

pub mod clock;
pub mod config;
pub mod lifecycle;
pub mod token;

pub use clock::SystemClock;
pub use config::Faults;
pub use lifecycle::{Lifecycle, Readiness};
pub use token::{KeyError, TokenError, TokenSigner, TokenVerifier};
