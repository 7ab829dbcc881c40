//! What can go wrong with a log or a queue.

/// A failed operation on a log or a queue.
#[derive(Debug, thiserror::Error)]
pub enum StreamsError {
    /// Redis did not answer in time, or the file could not be written: the operation may be repeated.
    #[error("{0} is not available")]
    Unavailable(&'static str, #[source] Box<dyn std::error::Error + Send + Sync>),
    /// What is stored does not mean anything to this version.
    #[error("{what} is damaged: {detail}")]
    Corrupt {
        /// Which log, queue or file.
        what: String,
        /// What was found.
        detail: String,
    },
}
