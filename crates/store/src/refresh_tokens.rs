//! Table family `refresh_tokens`.
