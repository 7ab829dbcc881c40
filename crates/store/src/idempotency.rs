//! Table family `idempotency`.
