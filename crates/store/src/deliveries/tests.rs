//! Asks both engines how they would answer the questions that are asked all the time: never by reading a whole table.

use domain::NotificationId;
use sea_orm::{ConnectionTrait, Value};
use uuid::Uuid;

use super::sweep::{CANCELLABLE, ORPHANS, OVERDUE};
use crate::coverage::{BOARD, RECENT};
use crate::notifications::{COUNTED_SINCE, COUNTS, EMERGENCY_OPEN};
use crate::sql::statement;
use crate::{Config, Engine, Store};

/// Each question with its values, and the index that answers it on SQLite and on PostgreSQL.
fn questions() -> Vec<(&'static str, Vec<Value>, [&'static str; 2])> {
    let id = Value::from(NotificationId(Uuid::nil()).0);
    let number = || Value::from(1_i64);
    let both = |name| [name, name];
    vec![
        (OVERDUE, vec![number(), number()], both("deliveries_ended_at_expires_at")),
        (CANCELLABLE, vec![id.clone(), number()], both("deliveries_notification_id_user_id")),
        (ORPHANS, vec![number(), number()], both("deliveries_next_attempt_at")),
        (COUNTS, vec![id], ["sqlite_autoindex_notification_counts_1", "notification_counts_pkey"]),
        (
            BOARD,
            vec![Value::from(NotificationId(Uuid::nil()).0)],
            ["sqlite_autoindex_coverage_counts_1", "coverage_counts_pkey"],
        ),
        (RECENT, vec![number()], both("notifications_lane_created_at")),
        (COUNTED_SINCE, vec![number()], both("notification_counts_changed_at")),
        (EMERGENCY_OPEN, vec![number(), number()], both("notifications_lane_created_at")),
    ]
}

async fn answered_by_indexes(store: &Store) {
    let (explain, which) = match store.engine() {
        Engine::Sqlite => ("EXPLAIN QUERY PLAN", 0),
        Engine::Postgres => ("EXPLAIN", 1),
    };
    for (question, values, indexes) in questions() {
        let mut tx = store.begin().await.expect("a transaction begins");
        if store.engine() == Engine::Postgres {
            // its tables are empty: without this it reads them whole, and rightly so
            let off = "SET LOCAL enable_seqscan = off";
            tx.connection().execute_unprepared(off).await.expect("the setting exists");
        }
        let sql = format!("{explain} {question}");
        let rows = tx.connection().query_all_raw(statement(store.engine(), sql, values)).await;
        let column = if which == 0 { "detail" } else { "QUERY PLAN" };
        let plan: Vec<String> = rows
            .expect("the question is valid")
            .iter()
            .map(|row| row.try_get("", column).expect("a plan is text"))
            .collect();
        let plan = plan.join("\n");
        assert!(plan.contains(indexes[which]), "{question}\n{plan}");
        assert!(!plan.contains("SCAN deliveries") && !plan.contains("Seq Scan"), "{question}\n{plan}");
    }
}

async fn migrated(url: String) -> Store {
    let store = Store::connect(&Config { url, ..Config::default() }).await.expect("the database opens");
    store.migrate().await.expect("the migrations run");
    store
}

#[tokio::test]
async fn sqlite_answers_by_indexes() {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    answered_by_indexes(&migrated(format!("sqlite:{}", directory.path().join("t.db").display())).await).await;
}

#[tokio::test]
async fn postgres_answers_by_indexes() {
    answered_by_indexes(&migrated(testkit::postgres::database().await.url).await).await;
}
