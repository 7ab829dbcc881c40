//! Table family `venues`.
