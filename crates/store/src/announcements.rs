//! Table family `announcements`.
