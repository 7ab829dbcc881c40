//! `/api/v1/events`: the programme, its changes, and the stars that people give.

pub(crate) mod input;
pub(crate) mod view;

use axum::extract::State;
use domain::{EventId, Permission};
use store::events::Event;
use store::{StoreError, stars};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::input::{EventInput, EventKey, EventsQuery, TransitionInput};
use self::view::{DryRun, EventView, refused};
use super::edit::Edit;
use super::shown::{Shape, Shown, WriteShape};
use crate::answer::Answer;
use crate::app::App;
use crate::code::Code;
use crate::error::ApiError;
use crate::etag::{ETag, Tags};
use crate::extract::{IfMatch, Json, Lang, MaybeCaller, Member, Path, Query};
use crate::idempotency::begin;
use crate::ops::write_event::{self, EventError};
use crate::schema::{Envelope, PageEnvelope};

/// The routes of this file.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, replace, remove))
        .routes(routes!(transition))
        .routes(routes!(star, unstar))
}

/// The programme by start.
#[utoipa::path(get, path = "/api/v1/events", tag = "programme", params(EventsQuery), security((), ("bearer" = [])),
    responses((status = 200, description = "A page of events by start", body = PageEnvelope<EventView>)))]
async fn list(
    State(app): State<App>,
    caller: MaybeCaller,
    Lang(language): Lang,
    Query(query): Query<EventsQuery>,
) -> Result<Answer, ApiError> {
    let shown = Shown::new(language, query.expand);
    let user = caller.0.as_ref().map(|principal| principal.user_id);
    let filter = query.filter(&app, user, caller.may(Permission::EditProgramme))?;
    let scope = query.scope(&filter);
    let request = app.cursors.request::<EventKey>(query.limit, query.cursor.as_deref(), &scope)?;
    let rows = store::events::list(&app.store, &filter, request.after, request.limit + 1).await?;
    let page = app.cursors.page(&request, rows, |event| (event.plan.slot.starts_at, event.id))?;
    Answer::page(page.map(|event| EventView::new(&event, shown)))
}

/// One event.
#[utoipa::path(get, path = "/api/v1/events/{id}", tag = "programme", security((), ("bearer" = [])),
    params(("id" = i64, Path, description = "Id of the event", example = 1), Shape),
    responses((status = 200, description = "The event", body = Envelope<EventView>)))]
async fn show(
    State(app): State<App>,
    caller: MaybeCaller,
    Lang(language): Lang,
    Path(id): Path<EventId>,
    Query(shape): Query<Shape>,
) -> Result<Answer, ApiError> {
    let shown = Shown::new(language, shape.expand);
    let event = store::events::get_by_id(&app.store, id).await?;
    let visible = |event: &Event| event.status.is_public() || caller.may(Permission::EditProgramme);
    let event = event.filter(visible).ok_or_else(|| ApiError::new(Code::NotFound))?;
    EventView::new(&event, shown).answer(shown)
}

/// Makes an event: a draft, or published at once.
#[utoipa::path(post, path = "/api/v1/events", tag = "programme", security(("bearer" = [])), params(WriteShape),
    request_body = EventInput,
    responses((status = 201, description = "The new event", body = Envelope<EventView>),
        (status = 200, description = "A dry run", body = Envelope<DryRun>),
        (status = 409, description = "`schedule_conflict`: the conflicts are in `data`")))]
async fn create(
    State(app): State<App>,
    edit: Edit,
    Query(shape): Query<WriteShape>,
    Json(body): Json<EventInput>,
) -> Result<Answer, ApiError> {
    let shown = edit.shown.expanded(shape.expand);
    let (wanted, status) = body.create(&app)?;
    let mut work = begin!(edit.once, &app, &edit.principal);
    if shape.dry_run {
        let found = write_event::examine(&mut work.tx, None, &wanted.plan, status).await;
        let conflicts = found.map_err(|error| refused(error, shown))?;
        return Answer::ok(&DryRun::new(&conflicts, wanted.override_reason.is_some()));
    }
    let made = write_event::create(&mut work.tx, &edit.author, app.clock.now(), &wanted, status).await;
    let made = made.map_err(|error| refused(error, shown))?;
    let view = EventView::new(&made.event, shown).with_conflicts(&made.conflicts);
    let answer = Answer::created(&view, format!("/api/v1/events/{}", made.event.id))?;
    work.finish(&app, answer.etag(&view.etag(shown))).await
}

/// Replaces an event apart from its status; fields that are left out are reset.
#[utoipa::path(put, path = "/api/v1/events/{id}", tag = "programme", security(("bearer" = [])),
    params(("id" = i64, Path, description = "Id of the event", example = 1), WriteShape),
    request_body = EventInput,
    responses((status = 200, description = "The event as it is now, or a dry run", body = Envelope<EventView>),
        (status = 409, description = "`schedule_conflict`: the conflicts are in `data`")))]
async fn replace(
    State(app): State<App>,
    edit: Edit,
    Path(id): Path<EventId>,
    condition: (IfMatch, Query<WriteShape>),
    Json(body): Json<EventInput>,
) -> Result<Answer, ApiError> {
    let (IfMatch(seen), Query(shape)) = condition;
    let shown = edit.shown.expanded(shape.expand);
    let wanted = body.replace(&app)?;
    let mut work = begin!(edit.once, &app, &edit.principal);
    if shape.dry_run {
        let accepted = wanted.override_reason.is_some();
        let found =
            write_event::examine_change(&mut work.tx, id, &wanted.plan, |now| accept(&seen, now)).await;
        let conflicts = found.map_err(|error| refused(error, shown))?;
        return Answer::ok(&DryRun::new(&conflicts, accepted));
    }
    let now = app.clock.now();
    let changed =
        write_event::replace(&mut work.tx, &edit.author, now, (id, &wanted), |now| accept(&seen, now));
    let changed = changed.await.map_err(|error| refused(error, shown))?;
    let view = EventView::new(&changed.event, shown).with_conflicts(&changed.conflicts);
    work.finish(&app, view.answer(shown)?).await
}

/// Removes a draft. What the public has seen is cancelled instead.
#[utoipa::path(delete, path = "/api/v1/events/{id}", tag = "programme", security(("bearer" = [])),
    params(("id" = i64, Path, description = "Id of the event", example = 1)),
    responses((status = 200, description = "It is gone"), (status = 409, description = "`event_not_draft`")))]
async fn remove(
    State(app): State<App>,
    edit: Edit,
    Path(id): Path<EventId>,
    IfMatch(seen): IfMatch,
) -> Result<Answer, ApiError> {
    let mut work = begin!(edit.once, &app, &edit.principal);
    let now = app.clock.now();
    let removed = write_event::remove(&mut work.tx, &edit.author, now, id, |now| accept(&seen, now)).await;
    removed.map_err(|error| refused(error, edit.shown))?;
    work.finish(&app, Answer::removed()?).await
}

/// Takes an event to another status.
#[utoipa::path(post, path = "/api/v1/events/{id}/transitions", tag = "programme", security(("bearer" = [])),
    params(("id" = i64, Path, description = "Id of the event", example = 1)), request_body = TransitionInput,
    responses((status = 200, description = "The event as it is now", body = Envelope<EventView>),
        (status = 409, description = "`illegal_transition`: the possible ones are in `data.allowed`; \
            `schedule_conflict`: the conflicts are in `data`")))]
async fn transition(
    State(app): State<App>,
    edit: Edit,
    Path(id): Path<EventId>,
    Json(body): Json<TransitionInput>,
) -> Result<Answer, ApiError> {
    let step = body.checked()?;
    let mut work = begin!(edit.once, &app, &edit.principal);
    let stepped = write_event::transition(&mut work.tx, &edit.author, app.clock.now(), id, step).await;
    let stepped = stepped.map_err(|error| refused(error, edit.shown))?;
    let view = EventView::new(&stepped.event, edit.shown).with_conflicts(&stepped.conflicts);
    work.finish(&app, view.answer(edit.shown)?).await
}

/// Stars an event for the caller, who is told of its changes from now on. Repeating it changes nothing.
#[utoipa::path(put, path = "/api/v1/events/{id}/star", tag = "programme", security(("bearer" = [])),
    params(("id" = i64, Path, description = "Id of the event", example = 1)),
    responses((status = 200, description = "It is starred")))]
async fn star(
    State(app): State<App>,
    Member(principal): Member,
    Path(id): Path<EventId>,
) -> Result<Answer, ApiError> {
    let event = store::events::get_by_id(&app.store, id).await?;
    let visible = |event: &Event| event.status.is_public() || principal.may(Permission::EditProgramme);
    event.filter(visible).ok_or_else(|| ApiError::new(Code::NotFound))?;
    let mut tx = app.store.begin().await?;
    let starred = stars::insert(&mut tx, principal.user_id, id, app.clock.now()).await;
    starred.map_err(gone)?;
    tx.commit().await?;
    Answer::ok(&serde_json::json!({ "event_id": id, "starred": true }))
}

/// Takes the caller's star from an event. Repeating it changes nothing.
#[utoipa::path(delete, path = "/api/v1/events/{id}/star", tag = "programme", security(("bearer" = [])),
    params(("id" = i64, Path, description = "Id of the event", example = 1)),
    responses((status = 200, description = "It is not starred")))]
async fn unstar(
    State(app): State<App>,
    Member(principal): Member,
    Path(id): Path<EventId>,
) -> Result<Answer, ApiError> {
    let mut tx = app.store.begin().await?;
    stars::delete(&mut tx, principal.user_id, id).await?;
    tx.commit().await?;
    Answer::ok(&serde_json::json!({ "event_id": id, "starred": false }))
}

/// The event or the account went away while it was starred.
fn gone(error: StoreError) -> ApiError {
    if error.is_foreign_key_violation() { ApiError::new(Code::NotFound) } else { ApiError::internal(error) }
}

fn accept(seen: &Tags, current: &Event) -> Result<(), EventError> {
    if seen.allow_write_to(&ETag::of("event", current.id, current.version)) {
        Ok(())
    } else {
        Err(EventError::Stale(Box::new(current.clone())))
    }
}
