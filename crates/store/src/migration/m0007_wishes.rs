//! What people want to be told and when, what comes at a time, and what operators did.

use sea_orm_migration::prelude::*;

use super::table::{id, index, int, int_null, key, owned_by, refers_to, table, text, text_null, uuid};

/// Adds preferences, consents, reminders, schedules, and what dead letters and pauses of operators need.
#[derive(Debug)]
pub(super) struct Migration;

/// What ended without having arrived, by its cause. Only those rows are in it: nothing else pays for it.
const DEAD_LETTERS: &str = "CREATE INDEX deliveries_dead_letters ON deliveries (ended_at, channel, lane, reason) \
                            WHERE state IN ('failed', 'dead')";

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0007_wishes"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [preferences(), consents(), reminders(), schedules(), operator_actions()] {
            manager.create_table(table).await?;
        }
        for index in [
            index("user_preferences", &["digest_at"]),
            index("promotion_consents", &["user_id", "id"]),
            index("event_reminders", &["starts_at"]),
            index("schedules", &["next_at"]),
            index("schedules", &["created_at", "id"]),
            index("operator_actions", &["at", "id"]),
        ] {
            manager.create_index(index).await?;
        }
        let star = &mut text_null("reminder_minutes"); // null: as the user has it; `,30,10,`
        manager.alter_table(Table::alter().table("event_stars").add_column(star).take()).await?;
        let held = &mut text_null("held_by"); // an operator's pause: no delivery tries whether it was mended
        manager.alter_table(Table::alter().table("lane_pauses").add_column(held).take()).await?;
        manager.get_connection().execute_unprepared(DEAD_LETTERS).await?;
        Ok(())
    }
}

fn preferences() -> TableCreateStatement {
    table("user_preferences")
        .col(int("user_id").primary_key().take())
        .col(text("choices_json")) // category -> channel -> wanted; only what differs from everything
        .col(int_null("quiet_from")) // minutes of the day
        .col(int_null("quiet_to"))
        .col(text("time_zone")) // whose clocks; empty: the festival's
        .col(text("caps_json")) // lane -> notifications in 24 hours
        .col(text_null("reminder_minutes")) // null: as the installation has it; `,30,10,`
        .col(int_null("promotions_since")) // null: no consent; the record is in promotion_consents
        .col(int_null("digest_at")) // when the next digest is due; null: none is wanted
        .col(int_null("digest_minute")) // of the day, on their clocks
        .col(int("version"))
        .col(int("updated_at"))
        .foreign_key(&mut owned_by("user_preferences", "user_id", "users"))
        .take()
}

fn consents() -> TableCreateStatement {
    table("promotion_consents") // append-only
        .col(id())
        .col(int("user_id"))
        .col(int("granted")) // 1, or 0 for a withdrawal
        .col(text("wording_version"))
        .col(text("means"))
        .col(int("at"))
        .foreign_key(&mut owned_by("promotion_consents", "user_id", "users"))
        .take()
}

fn reminders() -> TableCreateStatement {
    table("event_reminders") // those that were made; a start has each lead once
        .col(int("event_id"))
        .col(int("starts_at"))
        .col(int("lead_minutes"))
        .col(uuid("notification_id"))
        .col(int("made_at"))
        .col(int_null("withdrawn_at")) // the event moved or will not take place
        .primary_key(&mut key(&["event_id", "starts_at", "lead_minutes"]))
        .take()
}

fn schedules() -> TableCreateStatement {
    table("schedules")
        .col(id())
        .col(text("lane"))
        .col(text("title_json"))
        .col(text("body_json"))
        .col(text("audience_json"))
        .col(int("ttl_seconds"))
        .col(text("first_local")) // 2026-07-18T18:00:00
        .col(text("time_zone"))
        .col(text_null("recurrence")) // RFC 5545
        .col(int_null("next_at")) // null: nothing more will come
        .col(int("sent"))
        .col(int("missed"))
        .col(int("created_by"))
        .col(int_null("cancelled_at"))
        .col(int("version"))
        .col(int("created_at"))
        .col(int("updated_at"))
        .foreign_key(&mut refers_to("schedules", "created_by", "users"))
        .take()
}

fn operator_actions() -> TableCreateStatement {
    table("operator_actions") // append-only
        .col(id())
        .col(text("actor")) // user:4, or cli
        .col(text("action"))
        .col(text("subject"))
        .col(text("reason"))
        .col(int("at"))
        .take()
}
