//! Table family `notifications`.
