//! Table family `devices`.
