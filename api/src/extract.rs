//! What handlers take from a request. Each extractor parses or authenticates, nothing else, and answers with an
//! [`ApiError`](crate::error::ApiError).

mod body;
mod caller;
mod condition;
mod mutation;
mod uri;

pub(crate) use body::{Json, RawBody};
pub(crate) use caller::{AddressOf, Admin, Announcer, Caller, Editor, MaybeCaller, Member};
pub(crate) use condition::{IfMatch, Lang};
pub(crate) use mutation::Mutation;
pub(crate) use uri::{Path, Query};
