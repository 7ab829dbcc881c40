//! The routes, one file a resource. `venues`, `categories`, `performers`, `events` and `schedule` are the programme;
//! the others are people, their phones, and what is said to them.

mod categories;
mod edit;
mod events;
mod me;
mod performers;
mod problems;
mod schedule;
mod shown;
mod venues;

use utoipa_axum::router::OpenApiRouter;

use crate::app::App;
use crate::config::Config;

/// Every route of the API.
pub(crate) fn routes(config: &Config) -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(me::routes())
        .merge(problems::routes())
        .merge(venues::routes())
        .merge(categories::routes())
        .merge(performers::routes())
        .merge(events::routes(config))
        .merge(schedule::routes())
}
