//! Table family `deliveries`.
