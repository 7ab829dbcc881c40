//! Operations: what is done between the begin and the commit of a write. They know no HTTP.

pub(crate) mod author;
pub(crate) mod write_category;
pub(crate) mod write_event;
pub(crate) mod write_performer;
pub(crate) mod write_venue;
