//! The change log and the work queues from outside: one suite over both backends, then each backend's own ways to
//! break.

mod backend;
mod log;
mod queue;
