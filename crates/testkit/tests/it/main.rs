//! The servers of the tests are themselves tested: they start, they are apart, and they end with their owner.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod postgres;
