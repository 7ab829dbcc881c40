//! Everything that happens after a commit: relay, planner, channels, receipts, sweepers. A file a job.

pub mod channels;
pub mod gateway;
