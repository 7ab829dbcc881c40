//! Categories: kinds of events, such as concerts and workshops.

use domain::{CategoryId, LocalizedText, Timestamp};
use sea_orm::{ConnectionTrait, QueryResult};

use crate::binds::Binds;
use crate::sql::{delete_version, get, get_at, get_json, json_text, select};
use crate::{Engine, Store, StoreError, Tx};

/// What an organizer decides about a category.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CategoryPlan {
    /// Its short name in addresses: lower-case letters, digits and hyphens; unique.
    pub slug: String,
    /// Its name.
    pub name: LocalizedText,
    /// `#rrggbb`, where it has a colour.
    pub color: Option<String>,
}

/// A category.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Category {
    /// Its id.
    pub id: CategoryId,
    /// What organizers decided.
    pub plan: CategoryPlan,
    /// Rises by one with each change.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

const COLUMNS: &str = "id, slug, name_json, color, version, created_at, updated_at";

/// Categories by id, after `after`, at most `limit`.
///
/// # Errors
/// [`StoreError`].
pub async fn list(store: &Store, after: Option<CategoryId>, limit: u32) -> Result<Vec<Category>, StoreError> {
    let mut binds = Binds::default();
    let after = binds.one(after.map_or(0, |id| id.0));
    let limit = binds.one(i64::from(limit));
    let sql = format!("SELECT {COLUMNS} FROM categories WHERE id > {after} ORDER BY id LIMIT {limit}");
    select(store.reader(), store.engine(), sql, binds, category).await
}

/// The category with `id`.
///
/// # Errors
/// [`StoreError`].
pub async fn get_by_id(store: &Store, id: CategoryId) -> Result<Option<Category>, StoreError> {
    Ok(load(store.reader(), store.engine(), &[id]).await?.pop())
}

/// Locks the category for a change of its own.
///
/// # Errors
/// [`StoreError`].
pub async fn lock(tx: &mut Tx, id: CategoryId) -> Result<Option<Category>, StoreError> {
    locked(tx, id, " FOR UPDATE").await
}

/// Holds the category, so that it cannot go while an event that refers to it is written.
///
/// # Errors
/// [`StoreError`].
pub async fn hold(tx: &mut Tx, id: CategoryId) -> Result<Option<Category>, StoreError> {
    locked(tx, id, " FOR KEY SHARE").await
}

/// The categories with one of `slugs`.
///
/// # Errors
/// [`StoreError`].
pub async fn by_slugs(tx: &mut Tx, slugs: &[String]) -> Result<Vec<Category>, StoreError> {
    let engine = tx.engine();
    let mut found = Vec::new();
    for page in slugs.chunks(500) {
        let mut binds = Binds::default();
        let places = binds.all(page.iter().cloned());
        let sql = format!("SELECT {COLUMNS} FROM categories WHERE slug IN ({places}) ORDER BY id");
        found.extend(select(tx.connection(), engine, sql, binds, category).await?);
    }
    Ok(found)
}

/// Makes a category.
///
/// # Errors
/// [`StoreError::is_unique_violation`] when there is one with that slug.
pub async fn insert(tx: &mut Tx, plan: &CategoryPlan, now: Timestamp) -> Result<Category, StoreError> {
    let mut binds = Binds::default();
    let slug = binds.one(plan.slug.as_str());
    let name = binds.one(json_text(&plan.name));
    let color = binds.one(plan.color.clone());
    let now = binds.one(now.as_microsecond());
    let sql = format!(
        "INSERT INTO categories (slug, name_json, color, version, created_at, updated_at) VALUES ({slug}, {name}, \
         {color}, 1, {now}, {now}) RETURNING {COLUMNS}"
    );
    let engine = tx.engine();
    let made = select(tx.connection(), engine, sql, binds, category).await?.pop();
    made.ok_or(StoreError::Corrupt { column: "categories.id", value: "no row was returned".to_owned() })
}

/// Changes the category with `id` if it is at `version`; `None` when it is not.
///
/// # Errors
/// [`StoreError::is_unique_violation`] when another one has that slug.
pub async fn update(
    tx: &mut Tx,
    id: CategoryId,
    version: i64,
    plan: &CategoryPlan,
    now: Timestamp,
) -> Result<Option<Category>, StoreError> {
    let mut binds = Binds::default();
    let slug = binds.one(plan.slug.as_str());
    let name = binds.one(json_text(&plan.name));
    let color = binds.one(plan.color.clone());
    let now = binds.one(now.as_microsecond());
    let (id, version) = (binds.one(id.0), binds.one(version));
    let sql = format!(
        "UPDATE categories SET slug = {slug}, name_json = {name}, color = {color}, version = version + 1, \
         updated_at = {now} WHERE id = {id} AND version = {version} RETURNING {COLUMNS}"
    );
    let engine = tx.engine();
    Ok(select(tx.connection(), engine, sql, binds, category).await?.pop())
}

/// Removes the category with `id` if it is at `version`; whether it did. Lock it and see that no event refers to
/// it before.
///
/// # Errors
/// [`StoreError`].
pub async fn delete(tx: &mut Tx, id: CategoryId, version: i64) -> Result<bool, StoreError> {
    delete_version(tx, "categories", id.0, version).await
}

/// The categories with `ids`, by id.
pub(crate) async fn load<C: ConnectionTrait>(
    db: &C,
    engine: Engine,
    ids: &[CategoryId],
) -> Result<Vec<Category>, StoreError> {
    let mut binds = Binds::default();
    let places = binds.all(ids.iter().map(|id| id.0));
    let sql = format!("SELECT {COLUMNS} FROM categories WHERE id IN ({places}) ORDER BY id");
    select(db, engine, sql, binds, category).await
}

async fn locked(tx: &mut Tx, id: CategoryId, how: &str) -> Result<Option<Category>, StoreError> {
    let mut binds = Binds::default();
    let id = binds.one(id.0);
    let engine = tx.engine();
    let how = if engine == Engine::Postgres { how } else { "" };
    let sql = format!("SELECT {COLUMNS} FROM categories WHERE id = {id}{how}");
    Ok(select(tx.connection(), engine, sql, binds, category).await?.pop())
}

fn category(row: &QueryResult) -> Result<Category, StoreError> {
    Ok(Category {
        id: CategoryId(get(row, "id")?),
        plan: CategoryPlan {
            slug: get(row, "slug")?,
            name: get_json(row, "name_json")?,
            color: get(row, "color")?,
        },
        version: get(row, "version")?,
        created_at: get_at(row, "created_at")?,
        updated_at: get_at(row, "updated_at")?,
    })
}
