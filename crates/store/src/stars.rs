//! Table family `stars`.
