//! Table family `audience`.
