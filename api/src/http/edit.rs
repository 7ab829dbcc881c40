//! What every change of the programme brings along: who makes it, under which keys, in which language.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use domain::Principal;

use super::shown::Shown;
use crate::app::App;
use crate::error::ApiError;
use crate::extract::{Editor, Lang, Mutation};
use crate::idempotency::Once;
use crate::ops::author::Author;

/// A change of the programme, by somebody who may make one.
#[derive(Debug, Clone)]
pub(crate) struct Edit {
    /// Who makes it.
    pub(crate) principal: Principal,
    /// The same, as the change will tell.
    pub(crate) author: Author,
    /// Its idempotency key.
    pub(crate) once: Once,
    /// How texts are answered.
    pub(crate) shown: Shown,
}

impl FromRequestParts<App> for Edit {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let Editor(principal) = Editor::from_request_parts(parts, app).await?;
        let Mutation(mutation) = Mutation::from_request_parts(parts, app).await?;
        let once = Once::from_request_parts(parts, app).await?;
        let Ok(Lang(language)) = Lang::from_request_parts(parts, app).await;
        let author = Author { actor: Some(principal.user_id), mutation };
        Ok(Self { principal, author, once, shown: Shown::new(language, None) })
    }
}
