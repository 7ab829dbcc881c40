//! Table family `leases`.
