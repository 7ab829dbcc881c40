//! Table family `outbox`.
