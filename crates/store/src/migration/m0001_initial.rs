//! The first schema. Times are microseconds since 1970; `…_json` columns hold JSON texts; words are those of the
//! domain (`Lane::as_str`, `Channel::as_str`, `DeliveryState::as_str`).

use sea_orm_migration::prelude::*;

use super::table::{
    bytes, bytes_null, double_null, id, index, int, int_null, key, owned_by, refers_to, table, text,
    text_null, unique, uuid,
};

/// The first schema.
#[derive(Debug)]
pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0001_initial"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let families = [people(), programme(), announcements(), deliveries(), plumbing()];
        for (tables, indexes) in families {
            for table in tables {
                manager.create_table(table).await?;
            }
            for index in indexes {
                manager.create_index(index).await?;
            }
        }
        Ok(())
    }
}

type Family = (Vec<TableCreateStatement>, Vec<IndexCreateStatement>);

fn people() -> Family {
    let users = table("users")
        .col(id())
        .col(text("email")) // lower case
        .col(text("name"))
        .col(text_null("password_hash")) // PHC string; null: cannot log in
        .col(text("roles_json"))
        .col(text("language"))
        .col(int("version"))
        .col(int("created_at"))
        .col(int("updated_at"))
        .take();
    let refresh_tokens = table("refresh_tokens")
        .col(bytes("hash").primary_key().take()) // SHA-256 of the token
        .col(uuid("family_id"))
        .col(int("user_id"))
        .col(bytes_null("successor_hash")) // set when it was exchanged
        .col(int_null("revoked_at"))
        .col(int("created_at"))
        .col(int("expires_at"))
        .foreign_key(&mut owned_by("refresh_tokens", "user_id", "users"))
        .take();
    let devices = table("devices")
        .col(id())
        .col(int("user_id"))
        .col(text("installation_id")) // made by the app at its first start
        .col(text("platform")) // ios, android, web
        .col(text("channel"))
        .col(text("token"))
        .col(text("token_kind")) // apns, fcm_token, fcm_fid, webpush
        .col(text("locale"))
        .col(text("app_version"))
        .col(text("state")) // active, quarantined, retired
        .col(text_null("state_reason"))
        .col(int("registered_at")) // when this token was last registered
        .col(int("version"))
        .foreign_key(&mut owned_by("devices", "user_id", "users"))
        .take();
    let indexes = vec![
        unique("users", &["email"]),
        index("refresh_tokens", &["family_id"]),
        index("refresh_tokens", &["user_id"]),
        index("refresh_tokens", &["expires_at"]),
        unique("devices", &["installation_id", "channel"]),
        index("devices", &["channel", "token"]),
        index("devices", &["user_id", "state"]),
    ];
    (vec![users, refresh_tokens, devices], indexes)
}

fn programme() -> Family {
    let venues = table("venues")
        .col(id())
        .col(text_null("guid")) // of the imported source
        .col(text("name_json"))
        .col(int_null("capacity"))
        .col(double_null("latitude"))
        .col(double_null("longitude"))
        .col(text("time_zone"))
        .col(int("setup_seconds"))
        .col(int("turnaround_seconds"))
        .col(int("version"))
        .col(int("created_at"))
        .col(int("updated_at"))
        .take();
    let categories = table("categories")
        .col(id())
        .col(text("slug"))
        .col(text("name_json"))
        .col(text_null("color"))
        .col(int("version"))
        .col(int("created_at"))
        .col(int("updated_at"))
        .take();
    let performers = table("performers")
        .col(id())
        .col(text_null("guid"))
        .col(text("name_json"))
        .col(text("biography_json"))
        .col(int("version"))
        .col(int("created_at"))
        .col(int("updated_at"))
        .take();
    let (events, event_performers, event_stars) = events();
    let indexes = vec![
        unique("venues", &["guid"]),
        unique("categories", &["slug"]),
        unique("performers", &["guid"]),
        unique("events", &["guid"]),
        index("events", &["starts_at", "id"]),
        index("events", &["venue_id", "starts_at", "id"]),
        index("events", &["status", "starts_at", "id"]),
        index("events", &["category_id", "starts_at", "id"]),
        index("event_performers", &["performer_id"]),
        index("event_stars", &["event_id", "user_id"]),
    ];
    (vec![venues, categories, performers, events, event_performers, event_stars], indexes)
}

fn events() -> (TableCreateStatement, TableCreateStatement, TableCreateStatement) {
    let events = table("events")
        .col(id())
        .col(text("guid")) // stable, shown to the outside
        .col(int("venue_id"))
        .col(int_null("category_id"))
        .col(text("status"))
        .col(text("title_json"))
        .col(text("description_json"))
        .col(text("language")) // of the event itself; empty when unknown
        .col(int("starts_at"))
        .col(int("ends_at"))
        .col(text("time_zone"))
        .col(int_null("capacity"))
        .col(int("version"))
        .col(int("created_at"))
        .col(int("updated_at"))
        .foreign_key(&mut refers_to("events", "venue_id", "venues"))
        .foreign_key(&mut refers_to("events", "category_id", "categories"))
        .take();
    let event_performers = table("event_performers")
        .col(int("event_id"))
        .col(int("performer_id"))
        .col(int("position"))
        .primary_key(&mut key(&["event_id", "performer_id"]))
        .foreign_key(&mut owned_by("event_performers", "event_id", "events"))
        .foreign_key(&mut refers_to("event_performers", "performer_id", "performers"))
        .take();
    let event_stars = table("event_stars")
        .col(int("user_id"))
        .col(int("event_id"))
        .col(int("created_at"))
        .primary_key(&mut key(&["user_id", "event_id"]))
        .foreign_key(&mut owned_by("event_stars", "user_id", "users"))
        .foreign_key(&mut owned_by("event_stars", "event_id", "events"))
        .take();
    (events, event_performers, event_stars)
}

fn announcements() -> Family {
    let announcements = table("announcements")
        .col(id())
        .col(uuid("notification_id"))
        .col(text("lane"))
        .col(text("title_json"))
        .col(text("body_json"))
        .col(text("audience_json"))
        .col(int("created_by"))
        .col(int("created_at"))
        .col(int("expires_at"))
        .col(int_null("cancelled_at"))
        .col(int("version"))
        .foreign_key(&mut refers_to("announcements", "created_by", "users"))
        .take();
    let notifications = table("notifications")
        .col(uuid("id").primary_key().take())
        .col(text("kind"))
        .col(text("lane"))
        .col(text("title_json"))
        .col(text("body_json"))
        .col(text("data_json")) // what an app needs to open the right page
        .col(text("audience_json"))
        .col(int_null("event_id"))
        .col(int_null("announcement_id"))
        .col(int("recipients")) // counted while planning
        .col(int("planned_after")) // last user id that has its deliveries
        .col(int_null("planned_at")) // null: planning has to go on
        .col(int("created_at"))
        .col(int("expires_at"))
        .col(int_null("cancelled_at"))
        .take();
    let notification_counts = table("notification_counts") // rows of deliveries by state, kept with them
        .col(uuid("notification_id"))
        .col(text("channel"))
        .col(text("state"))
        .col(int("deliveries"))
        .col(int("changed_at"))
        .primary_key(&mut key(&["notification_id", "channel", "state"]))
        .take();
    let indexes = vec![
        unique("announcements", &["notification_id"]),
        index("announcements", &["created_at", "id"]),
        index("notifications", &["planned_at", "created_at"]),
        index("notifications", &["lane", "created_at"]),
        index("notification_counts", &["changed_at"]),
    ];
    (vec![announcements, notifications, notification_counts], indexes)
}

fn deliveries() -> Family {
    let deliveries = table("deliveries")
        .col(uuid("id").primary_key().take())
        .col(uuid("notification_id"))
        .col(int("user_id"))
        .col(text("channel"))
        .col(int_null("device_id"))
        .col(text("target")) // token or address when it was planned
        .col(text("lane"))
        .col(text("language"))
        .col(text("state"))
        .col(text_null("reason"))
        .col(int("attempts"))
        .col(int("fence")) // rises with each claim; a write with an older one is refused
        .col(text_null("provider_id"))
        .col(int("queued_at"))
        .col(int_null("next_attempt_at")) // when the engine is due to act; null: not its turn
        .col(int_null("sending_at"))
        .col(int_null("accepted_at"))
        .col(int_null("delivered_at"))
        .col(int_null("opened_at"))
        .col(int_null("ended_at")) // null: still open
        .col(int("expires_at"))
        .foreign_key(&mut owned_by("deliveries", "notification_id", "notifications"))
        .take();
    let attempts = table("attempts")
        .col(uuid("delivery_id"))
        .col(int("number"))
        .col(int("started_at"))
        .col(int_null("finished_at"))
        .col(text_null("action")) // null while under way; else `accepted` or an Action
        .col(int_null("status_code"))
        .col(text_null("reason"))
        .primary_key(&mut key(&["delivery_id", "number"]))
        .foreign_key(&mut owned_by("attempts", "delivery_id", "deliveries"))
        .take();
    let evidence = table("evidence") // append-only
        .col(id())
        .col(uuid("delivery_id"))
        .col(text("kind"))
        .col(text("source")) // apns, fcm, smtp, app, socket, …
        .col(text("code"))
        .col(int("at"))
        .col(int("recorded_at"))
        .foreign_key(&mut owned_by("evidence", "delivery_id", "deliveries"))
        .take();
    let indexes = vec![
        index("deliveries", &["notification_id", "user_id"]),
        index("deliveries", &["ended_at", "expires_at"]),
        index("deliveries", &["next_attempt_at"]),
        index("deliveries", &["user_id", "queued_at"]),
        unique("evidence", &["delivery_id", "kind", "source", "code"]),
    ];
    (vec![deliveries, attempts, evidence], indexes)
}

fn plumbing() -> Family {
    let outbox = table("outbox").col(id()).col(text("change_json")).col(int("created_at")).take();
    let idempotency_keys = table("idempotency_keys")
        .col(text("principal"))
        .col(text("route"))
        .col(text("key"))
        .col(bytes("fingerprint")) // SHA-256 of method, path and canonical body
        .col(text("response_json")) // the answer, written in the transaction of the effect
        .col(int("created_at"))
        .col(int("expires_at"))
        .primary_key(&mut key(&["principal", "route", "key"]))
        .take();
    let leases = table("leases") // who does what only one may do; times are the database's
        .col(text("name").primary_key().take())
        .col(text("holder"))
        .col(int("fence"))
        .col(int("expires_at"))
        .take();
    let log_cursors = table("log_cursors") // how far a consumer has read the change log
        .col(text("consumer"))
        .col(int("partition"))
        .col(text("epoch"))
        .col(int("read_offset"))
        .primary_key(&mut key(&["consumer", "partition"]))
        .take();
    let lane_pauses = table("lane_pauses") // channels that wait for their configuration to be mended
        .col(text("channel"))
        .col(text("lane"))
        .col(text("reason"))
        .col(int("paused_at"))
        .col(int("retry_at"))
        .primary_key(&mut key(&["channel", "lane"]))
        .take();
    let indexes = vec![index("idempotency_keys", &["expires_at"])];
    (vec![outbox, idempotency_keys, leases, log_cursors, lane_pauses], indexes)
}
