//! The channel adapters against the stand-ins of their providers, over real TLS.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

mod apns;
mod email;
mod fcm;
mod fixture;
mod standins;
mod webpush;
