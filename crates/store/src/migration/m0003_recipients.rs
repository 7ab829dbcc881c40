//! How far each notification has come with each person, and how many people are where.

use sea_orm_migration::prelude::*;

use super::table::{int, int_null, key, owned_by, table, text, uuid};

/// Adds `recipients`, `coverage_counts` and `coverage_marks`.
#[derive(Debug)]
pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0003_recipients"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let recipients = table("recipients")
            .col(uuid("notification_id"))
            .col(int("user_id"))
            .col(text("language"))
            .col(int("venue_id")) // where they are expected; 0: nowhere in particular
            .col(int("unreachable")) // deliveries by reach, in the order of Reach::ALL
            .col(int("withdrawn"))
            .col(int("failed"))
            .col(int("open"))
            .col(int("unknown"))
            .col(int("accepted"))
            .col(int("proven"))
            .col(text("reach")) // the best of them
            .col(text("detail")) // proven: the mark; failed and unreachable: the cause
            .col(int_null("proven_at"))
            .col(int("notified_at")) // when the notification was made
            .primary_key(&mut key(&["notification_id", "user_id"]))
            .foreign_key(&mut owned_by("recipients", "notification_id", "notifications"))
            .take();
        let coverage_counts = table("coverage_counts") // people, kept with `recipients`
            .col(uuid("notification_id"))
            .col(int("venue_id"))
            .col(text("language"))
            .col(text("reach"))
            .col(text("detail"))
            .col(int("people"))
            .primary_key(&mut key(&["notification_id", "venue_id", "language", "reach", "detail"]))
            .take();
        let coverage_marks = table("coverage_marks") // the board as it was at a mark
            .col(uuid("notification_id"))
            .col(int("after_seconds"))
            .col(int("taken_at"))
            .col(text("board_json"))
            .primary_key(&mut key(&["notification_id", "after_seconds"]))
            .take();
        for table in [recipients, coverage_counts, coverage_marks] {
            manager.create_table(table).await?;
        }
        Ok(())
    }
}
