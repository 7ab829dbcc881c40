//! HTTP: REST resources, `OpenAPI`, who may call, operations with their transactions.
//!
//! `http/` has a file a resource (routes, request and response types, handlers), `ops/` a file an operation (what is
//! done between the begin and the commit of a write). Around them stands one frame: request ids, languages, limits,
//! errors in one shape, the access log. Nothing here speaks SQL (that is `store`) or to sockets (that is `hub`).

mod answer;
mod app;
mod bounce;
mod code;
mod config;
mod cursor;
pub mod deliveries;
mod error;
mod etag;
mod extract;
mod fault;
mod feeds;
mod frame;
mod gate;
mod http;
mod idempotency;
pub mod import;
mod limits;
mod lockout;
mod metrics;
mod openapi;
mod ops;
mod passwords;
mod router;
mod schema;
mod standing;

pub use app::{Deps, StartError, Webpush, start};
pub use config::Config;
pub use openapi::openapi;
pub use ops::accounts::{AccountChange, ChangeAccountError, change_account};
pub use ops::users::{CreateUserError, NewAccount, create_users};
pub use passwords::PasswordError;
