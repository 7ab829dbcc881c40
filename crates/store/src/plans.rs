//! Asks both engines how they would find people, their tokens and devices, announcements and idempotency keys.

use domain::{Alert, Audience, ChangeId, Lane, Language, LocalizedText, NotificationId, Timestamp, UserId};
use sea_orm::{ConnectionTrait, Value};
use uuid::Uuid;

use crate::announcements::{self, NewAnnouncement};
use crate::devices::{self, NewDevice, Platform, TokenKind};
use crate::idempotency::{self, Slot};
use crate::refresh_tokens::{self, RefreshToken};
use crate::sql::{get, statement};
use crate::users::{self, NewUser};
use crate::{Config, Engine, Store};

const ROWS: u16 = 2_000;

fn at(second: u16) -> Timestamp {
    Timestamp::from_microsecond((1_700_000_000 + i64::from(second)) * 1_000_000).unwrap()
}

fn hash(number: u16) -> [u8; 32] {
    let mut hash = [7; 32];
    hash[..2].copy_from_slice(&number.to_be_bytes());
    hash
}

/// A migrated store in which each table has [`ROWS`] rows, and knows it.
async fn filled(url: String) -> Store {
    let store = Store::connect(&Config { url, ..Config::default() }).await.unwrap();
    store.migrate().await.unwrap();
    let mut tx = store.begin().await.unwrap();
    let accounts: Vec<NewUser> = (0..ROWS)
        .map(|number| NewUser {
            email: format!("{number}@example.com"),
            name: String::new(),
            password_hash: None,
            roles: Vec::new(),
            language: Language::Ar,
        })
        .collect();
    let ids = users::insert(&mut tx, &accounts, at(0)).await.unwrap();
    for (number, user_id) in (0..ROWS).zip(ids) {
        let token = RefreshToken {
            hash: hash(number),
            family_id: Uuid::from_u128(u128::from(number)),
            user_id,
            successor_hash: None,
            revoked_at: None,
            expires_at: at(number),
        };
        refresh_tokens::insert(&mut tx, &token, at(0)).await.unwrap();
        let device = NewDevice {
            user_id,
            installation_id: format!("installation-{number}"),
            platform: Platform::Android,
            token_kind: TokenKind::FcmToken,
            token: format!("token-{number}"),
            locale: "ar".to_owned(),
            app_version: "1".to_owned(),
        };
        devices::register(&mut tx, &device, at(number)).await.unwrap();
        announcements::insert(&mut tx, &announcement(number, user_id), at(number)).await.unwrap();
        idempotency::keep(&mut tx, &slot(number), "{}", at(0), at(number)).await.unwrap();
    }
    tx.commit().await.unwrap();
    store.reader().execute_unprepared("ANALYZE").await.unwrap();
    store
}

fn announcement(number: u16, created_by: UserId) -> NewAnnouncement {
    let notification_id = NotificationId::of(ChangeId(Uuid::from_u128(u128::from(number))));
    NewAnnouncement {
        notification_id,
        lane: Lane::Standard,
        title: LocalizedText::english("T"),
        body: LocalizedText::english("B"),
        audience: Audience::Everyone,
        created_by,
        expires_at: at(number),
        alert: Alert::of(Lane::Standard),
        thread_id: notification_id,
        confirm_before: None,
    }
}

fn slot(number: u16) -> Slot {
    Slot {
        principal: format!("user:{number}"),
        route: "POST /api/v1/devices".to_owned(),
        key: "k".to_owned(),
        fingerprint: hash(number),
    }
}

/// The hot statements: name, text, values, and on each engine the index that serves them.
fn hot() -> Vec<(&'static str, String, Vec<Value>, [&'static str; 2])> {
    let now = || Value::from(at(5).as_microsecond());
    let same = |index| [index, index];
    vec![
        ("user by id", users::by_id(), vec![Value::from(7_i64)], ["INTEGER PRIMARY KEY", "users_pkey"]),
        ("user by address", users::by_email(), vec![Value::from("7@example.com")], same("users_email")),
        (
            "a session's tokens",
            refresh_tokens::revoking("family_id"),
            vec![now(), Value::from(Uuid::from_u128(7))],
            same("refresh_tokens_family_id"),
        ),
        (
            "a user's tokens",
            refresh_tokens::revoking("user_id"),
            vec![now(), Value::from(7_i64)],
            same("refresh_tokens_user_id"),
        ),
        (
            "a token",
            refresh_tokens::revoking("hash"),
            vec![now(), Value::from(hash(7).to_vec())],
            ["sqlite_autoindex_refresh_tokens_1", "refresh_tokens_pkey"],
        ),
        (
            "expired tokens",
            refresh_tokens::SWEEP.to_owned(),
            vec![now(), Value::from(10_i64)],
            same("refresh_tokens_expires_at"),
        ),
        (
            "a push token elsewhere",
            devices::TAKE_OVER.to_owned(),
            vec![Value::from("fcm"), Value::from("token-7"), Value::from("x"), now()],
            same("devices_channel_token"),
        ),
        (
            "a user's devices",
            devices::listing(),
            vec![Value::from(7_i64), Value::from(0_i64), Value::from(51_i64)],
            same("devices_user_id_state"),
        ),
        (
            "announcements",
            announcements::listing(),
            vec![Value::from(at(900).as_microsecond()), Value::from(900_i64), Value::from(51_i64)],
            same("announcements_created_at_id"),
        ),
        (
            "an idempotency key",
            idempotency::FIND.to_owned(),
            vec![Value::from("user:7"), Value::from("POST /api/v1/devices"), Value::from("k")],
            ["sqlite_autoindex_idempotency_keys_1", "idempotency_keys_pkey"],
        ),
        (
            "expired idempotency keys",
            idempotency::SWEEP.to_owned(),
            vec![now(), Value::from(10_i64)],
            same("idempotency_keys_expires_at"),
        ),
    ]
}

/// Goal: every hot statement goes through its index on both engines.
#[tokio::test]
async fn hot_statements_use_their_indexes() {
    let directory = tempfile::tempdir().unwrap();
    let sqlite = format!("sqlite:{}", directory.path().join("test.db").display());
    for url in [sqlite, testkit::postgres::database().await.url] {
        let store = filled(url).await;
        let (explain, column, engine) = match store.engine() {
            Engine::Sqlite => ("EXPLAIN QUERY PLAN", "detail", 0),
            Engine::Postgres => ("EXPLAIN", "QUERY PLAN", 1),
        };
        for (name, sql, values, index) in hot() {
            let asked = statement(store.engine(), format!("{explain} {sql}"), values);
            let rows = store.reader().query_all_raw(asked).await.unwrap();
            let plan: Vec<String> = rows.iter().map(|row| get(row, column).unwrap()).collect();
            let plan = plan.join("\n");
            assert!(
                plan.contains(index[engine]),
                "{:?}, {name}: no {}\n{plan}",
                store.engine(),
                index[engine]
            );
        }
    }
}
