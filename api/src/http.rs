//! The routes, one file a resource. `venues`, `categories`, `performers`, `events`, `schedule` and `feeds` are the programme;
//! the others are people, their phones, and what is said to them.

mod announcements;
mod auth;
mod categories;
mod deliveries;
mod devices;
mod edit;
mod events;
mod feeds;
mod import;
mod mail;
mod me;
mod performers;
mod preferences;
mod problems;
mod receipts;
mod resource;
mod schedule;
mod schedules;
mod shown;
mod templates;
mod unsubscribe;
mod users;
mod venues;
mod webpush;

use utoipa_axum::router::OpenApiRouter;

use crate::app::App;
use crate::config::Config;

/// Every route of the API.
pub(crate) fn routes(config: &Config) -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(auth::routes())
        .merge(me::routes())
        .merge(users::routes())
        .merge(devices::routes())
        .merge(webpush::routes())
        .merge(announcements::routes())
        .merge(receipts::routes())
        .merge(mail::routes())
        .merge(problems::routes())
        .merge(venues::routes())
        .merge(categories::routes())
        .merge(performers::routes())
        .merge(events::routes())
        .merge(schedule::routes())
        .merge(feeds::routes())
        .merge(templates::routes())
        .merge(preferences::routes())
        .merge(schedules::routes())
        .merge(deliveries::routes())
        .merge(unsubscribe::routes())
        .merge(import::routes(config))
}
