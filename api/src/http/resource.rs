//! What venues, categories and performers have in common: listed by id, shown with a version, written against one.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use super::shown::{Expand, Shown};
use crate::answer::Answer;
use crate::app::App;
use crate::code::Code;
use crate::cursor::PageRequest;
use crate::error::ApiError;
use crate::etag::ETag;
use crate::ops::resource::ResourceError;

/// A part of the programme that organizers keep.
pub(crate) trait Resource {
    /// What names it.
    type Id: fmt::Display + Serialize + DeserializeOwned;
    /// As it is shown.
    type View: Serialize;
    /// What one is called, in entity tags.
    const NOUN: &'static str;
    /// What many are called, in addresses and cursors.
    const PLURAL: &'static str;

    /// Its id.
    fn id(&self) -> Self::Id;
    /// Rises by one with each change.
    fn version(&self) -> i64;
    /// How it is shown.
    fn view(&self, shown: Shown) -> Self::View;
}

/// A page of a list without a filter.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Items of a page, 1 to 200.
    #[param(required = false, example = 50)]
    limit: Option<u32>,
    /// `meta.next_cursor` of the page before.
    #[param(required = false)]
    cursor: Option<String>,
    /// `i18n`: texts as objects with every language.
    #[param(inline, required = false)]
    pub(crate) expand: Option<Expand>,
}

/// Which rows a page is made of.
pub(crate) fn request<R: Resource>(app: &App, query: &ListQuery) -> Result<PageRequest<R::Id>, ApiError> {
    app.cursors.request(query.limit, query.cursor.as_deref(), &R::PLURAL)
}

/// A page of `rows`, which were read with one more than its limit.
pub(crate) fn page<R: Resource>(
    app: &App,
    request: &PageRequest<R::Id>,
    rows: Vec<R>,
    shown: Shown,
) -> Result<Answer, ApiError> {
    let page = app.cursors.page(request, rows, R::id)?;
    Answer::page(page.map(|resource| resource.view(shown)))
}

/// The tag that writes are made against.
pub(crate) fn etag<R: Resource>(resource: &R) -> ETag {
    ETag::of(R::NOUN, resource.id(), resource.version())
}

/// 200 with the resource.
pub(crate) fn answer<R: Resource>(resource: &R, shown: Shown) -> Result<Answer, ApiError> {
    Ok(Answer::ok(&resource.view(shown))?.etag(&shown.tag(etag(resource))))
}

/// 200 with what was found, or 404.
pub(crate) fn found<R: Resource>(resource: Option<R>, shown: Shown) -> Result<Answer, ApiError> {
    answer(&resource.ok_or_else(|| ApiError::new(Code::NotFound))?, shown)
}

/// 201 with a new resource.
pub(crate) fn created<R: Resource>(resource: &R, shown: Shown) -> Result<Answer, ApiError> {
    let location = format!("/api/v1/{}/{}", R::PLURAL, resource.id());
    Ok(Answer::created(&resource.view(shown), location)?.etag(&shown.tag(etag(resource))))
}

/// The error of a resource that was not written; a stale one is shown as it is now.
pub(crate) fn refused<R: Resource>(error: ResourceError<R>, shown: Shown) -> ApiError {
    match error {
        ResourceError::NotFound => ApiError::new(Code::NotFound),
        ResourceError::Stale(current) => ApiError::new(Code::PreconditionFailed)
            .current(&current.view(shown))
            .etag(&shown.tag(etag(&*current))),
        ResourceError::InUse(events) => {
            let ids: Vec<_> = events.iter().map(ToString::to_string).collect();
            ApiError::new(Code::InUse)
                .detail(format!("events refer to it: {}", ids.join(", ")))
                .current(&serde_json::json!({ "events": events }))
        }
        ResourceError::SlugTaken => ApiError::new(Code::SlugTaken),
        ResourceError::Store(cause) => ApiError::internal(cause),
    }
}
