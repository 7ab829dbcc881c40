//! `/api/v1/events`.

use utoipa_axum::router::OpenApiRouter;

use crate::app::App;
use crate::config::Config;

/// The routes of this file.
pub(crate) fn routes(_config: &Config) -> OpenApiRouter<App> {
    OpenApiRouter::new()
}
