//! Accounts that may not sign in.

use sea_orm_migration::prelude::*;

use super::table::int_null;

/// Adds `users.blocked_at`.
#[derive(Debug)]
pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0002_blocked_users"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let blocked_at = &mut int_null("blocked_at"); // null: they may sign in
        manager.alter_table(Table::alter().table("users").add_column(blocked_at).take()).await
    }
}
