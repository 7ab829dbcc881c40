//! The operations, one file each: what is done between the begin and the commit of a write. They know no HTTP.

pub(crate) mod accounts;
pub(crate) mod announcements;
pub(crate) mod author;
pub(crate) mod bounces;
pub(crate) mod change_password;
pub(crate) mod devices;
pub(crate) mod preferences;
pub(crate) mod receipts;
pub(crate) mod resource;
pub(crate) mod schedules;
pub(crate) mod sessions;
pub(crate) mod users;
pub(crate) mod write_category;
pub(crate) mod write_event;
pub(crate) mod write_performer;
pub(crate) mod write_venue;
