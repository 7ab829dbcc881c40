//! What can go wrong with a log or a queue.

use std::error::Error;
use std::path::PathBuf;

/// A failed operation on a log or a queue.
#[derive(Debug, thiserror::Error)]
pub enum StreamsError {
    /// Redis did not answer in time, or the file could not be written: the operation may be repeated.
    #[error("{0} is not available")]
    Unavailable(&'static str, #[source] Box<dyn Error + Send + Sync>),
    /// What is stored does not mean anything to this version.
    #[error("{what} is damaged: {detail}")]
    Corrupt {
        /// Which log, queue or file.
        what: String,
        /// What was found.
        detail: String,
    },
    /// The queue holds as many items as it may: nothing was added. Push again when workers have caught up.
    #[error("the queue {queue} is full: it holds {items_max} items")]
    Full {
        /// Which queue.
        queue: Box<str>,
        /// The configured limit.
        items_max: u64,
    },
    /// A publication or an item is too large: nothing was added, and repeating it is of no use.
    #[error("{what} has {bytes} bytes, more than {bytes_max}")]
    TooLarge {
        /// Which one.
        what: String,
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// The log was made with another number of partitions, on which the place of every topic depends.
    #[error("the change log has {stored} partitions, the configuration says {configured}")]
    Layout {
        /// How many the log has.
        stored: u16,
        /// How many the configuration asks for.
        configured: u16,
    },
    /// Another process uses the directory.
    #[error("{} is in use by another process", .0.display())]
    Locked(PathBuf),
    /// The URL names no server.
    #[error("the URL of the streams is not valid")]
    Url(#[source] Box<dyn Error + Send + Sync>),
}

impl StreamsError {
    /// An operation on `what` that may be repeated.
    pub(crate) fn unavailable(what: &'static str, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unavailable(what, cause.into())
    }

    /// Something stored in `what` that cannot be understood.
    pub(crate) fn corrupt(what: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Corrupt { what: what.into(), detail: detail.into() }
    }
}
