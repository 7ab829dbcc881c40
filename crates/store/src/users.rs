//! Table family `users`.
