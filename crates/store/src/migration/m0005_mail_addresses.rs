//! Mailboxes that mail systems have refused.

use sea_orm_migration::prelude::*;

use super::table::{index, int, table, text};

/// Adds `mail_addresses`.
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
        manager.create_index(index("mail_addresses", &["last_at"])).await
    }
}
