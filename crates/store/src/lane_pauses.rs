//! Table family `lane_pauses`.
