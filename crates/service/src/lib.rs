//! The shell of a process: configuration, telemetry, lifecycle, ports, HTTP client, access tokens.
//!
//! Knows nothing of festivals: every role (api, hub, workers) and every binary stands on it.

pub mod address;
pub mod admin;
pub mod clock;
pub mod config;
pub mod descriptors;
pub mod http_client;
pub mod http_server;
pub mod lifecycle;
pub mod reach;
pub mod scrape;
pub mod shutdown;
pub mod telemetry;
pub mod tls;
pub mod token;

pub use clock::SystemClock;
pub use config::Faults;
pub use descriptors::Descriptors;
pub use lifecycle::{Lifecycle, Readiness};
pub use scrape::Scrape;
pub use token::{
    ForeignKey, ForeignKeyError, ForeignVerifier, KeyError, TokenError, TokenSigner, TokenVerifier,
};
