//! Table family `evidence`.
