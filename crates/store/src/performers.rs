//! Table family `performers`.
