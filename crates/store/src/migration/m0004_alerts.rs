//! What announcements say beyond their text, who confirmed them, and which notifications replace each other.

use sea_orm_migration::prelude::*;

use super::table::{int_null, text_null};

/// Adds columns to `announcements` and `notifications`.
#[derive(Debug)]
pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0004_alerts"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let thread_id = || ColumnDef::new("thread_id").uuid().null().take(); // null: its own notification
        let columns = [
            ("announcements", text_null("alert_json")), // null: written before there were alerts
            ("announcements", thread_id()),
            ("announcements", int_null("confirm_before")), // null: needs nobody else
            ("announcements", int_null("confirmed_by")),
            ("announcements", int_null("confirmed_at")),
            ("notifications", thread_id()),
        ];
        for (table, mut column) in columns {
            manager.alter_table(Table::alter().table(table).add_column(&mut column).take()).await?;
        }
        Ok(())
    }
}
