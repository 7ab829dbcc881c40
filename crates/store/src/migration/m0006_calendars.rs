//! What calendars of other programs need: how often an event was moved, and calendars of one's own.

use sea_orm_migration::prelude::*;

use super::table::{bytes, int, owned_by, table, unique};

/// Adds `events.revision` and `calendars`.
#[derive(Debug)]
pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0006_calendars"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // rises when the time, the place or the status changes
        let revision = &mut int("revision").default(0).take();
        manager.alter_table(Table::alter().table("events").add_column(revision).take()).await?;
        let calendars = table("calendars")
            .col(int("user_id").primary_key().take())
            .col(bytes("secret_hash")) // SHA-256
            .col(int("created_at"))
            .foreign_key(&mut owned_by("calendars", "user_id", "users"))
            .take();
        manager.create_table(calendars).await?;
        manager.create_index(unique("calendars", &["secret_hash"])).await
    }
}
