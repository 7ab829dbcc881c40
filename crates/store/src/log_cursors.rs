//! Table family `log_cursors`.
