//! Mailboxes that mail systems have refused, and since when a device is as it is.

use sea_orm_migration::prelude::*;

use super::table::{index, int, int_null, table, text};

/// Adds `mail_addresses` and `devices.state_at`.
#[derive(Debug)]
pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0005_mail_addresses"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let addresses = table("mail_addresses")
            .col(text("address").primary_key().take()) // as in users.email
            .col(text("state")) // suspected, quarantined
            .col(text("reason"))
            .col(int("failures")) // since first_at
            .col(int("first_at"))
            .col(int("last_at"))
            .take();
        manager.create_table(addresses).await?;
        manager.create_index(index("mail_addresses", &["last_at"])).await?;
        let state_at = &mut int_null("state_at"); // null: since it was registered
        manager.alter_table(Table::alter().table("devices").add_column(state_at).take()).await?;
        manager.create_index(index("devices", &["state", "registered_at"])).await
    }
}
