//! The servers of the tests are themselves tested: they start, they are apart, and they end with their owner.

mod postgres;
