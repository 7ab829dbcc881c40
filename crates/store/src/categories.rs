//! Table family `categories`.
