//! Table family `events`.
