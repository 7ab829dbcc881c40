//! Counts the statements of a page, and asks both engines how they would find things.

use std::sync::atomic::{AtomicUsize, Ordering};

use domain::{LocalizedText, Zone};
use sea_orm::{DbBackend, DbErr, ExecResult, QueryResult, Statement};

use super::*;
use crate::venues::{self, VenuePlan};
use crate::{Config, performers};

/// A connection that counts what it is asked.
struct Counting<'a, C> {
    inner: &'a C,
    statements: AtomicUsize,
}

#[async_trait::async_trait]
impl<C: ConnectionTrait> ConnectionTrait for Counting<'_, C> {
    fn get_database_backend(&self) -> DbBackend {
        self.inner.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.statements.fetch_add(1, Ordering::Relaxed);
        self.inner.execute_raw(statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.statements.fetch_add(1, Ordering::Relaxed);
        self.inner.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.statements.fetch_add(1, Ordering::Relaxed);
        self.inner.query_one_raw(statement).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.statements.fetch_add(1, Ordering::Relaxed);
        self.inner.query_all_raw(statement).await
    }
}

fn at(minute: i64) -> Timestamp {
    Timestamp::from_microsecond((29_000_000 + minute) * 60_000_000).unwrap()
}

/// A migrated store with `count` events at 20 venues, each with one of 500 performers.
async fn filled(url: String, count: i64) -> Store {
    let store = Store::connect(&Config { url, ..Config::default() }).await.unwrap();
    store.migrate().await.unwrap();
    let mut tx = store.begin().await.unwrap();
    let zone = Zone::new("Africa/Cairo").unwrap();
    let (mut stages, mut people) = (Vec::new(), Vec::new());
    for number in 0..20 {
        let plan = VenuePlan {
            name: LocalizedText::english(format!("Stage {number}")),
            capacity: None,
            position: None,
            zone: zone.clone(),
            setup_seconds: 0,
            turnaround_seconds: 0,
        };
        stages.push(venues::insert(&mut tx, None, &plan, at(0)).await.unwrap().id);
    }
    for number in 0..500 {
        let name = LocalizedText::english(format!("Band {number}"));
        let plan = performers::PerformerPlan { name, biography: LocalizedText::default() };
        people.push(performers::insert(&mut tx, None, &plan, at(0)).await.unwrap().id);
    }
    for (number, (stage, performer)) in
        (0..count).zip(stages.iter().cycle().zip(people.iter().cycle().skip(7)))
    {
        let plan = EventPlan {
            title: LocalizedText::english(format!("Show {number}")),
            description: LocalizedText::default(),
            language: String::new(),
            venue_id: *stage,
            category_id: None,
            performers: vec![*performer],
            slot: Slot::new(at(number * 30), at(number * 30 + 60)).unwrap(),
            zone: zone.clone(),
            capacity: None,
        };
        let status = if number % 100 == 0 { EventStatus::Draft } else { EventStatus::Published };
        insert(&mut tx, &format!("guid-{number}"), &plan, status, at(0)).await.unwrap();
    }
    tx.commit().await.unwrap();
    store.reader().execute_unprepared("ANALYZE").await.unwrap();
    store
}

/// Goal: no N+1, whatever the length of the page.
#[tokio::test]
async fn a_page_takes_four_statements() {
    let directory = tempfile::tempdir().unwrap();
    let store = filled(format!("sqlite:{}", directory.path().join("test.db").display()), 200).await;
    for limit in [1, 20, 200] {
        let counting = Counting { inner: store.reader(), statements: AtomicUsize::new(0) };
        let (sql, binds) = search::list(Engine::Sqlite, &EventFilter::default(), None, limit);
        let page = row::load(&counting, Engine::Sqlite, sql, binds).await.unwrap();
        assert_eq!(page.len(), limit as usize);
        // events, venues, performers; a fourth for categories when there are any
        assert_eq!(counting.statements.into_inner(), 3);
    }
}

/// The hot statements with the index that serves each.
fn hot(engine: Engine) -> Vec<(&'static str, (String, Binds), &'static str)> {
    let list = |filter| search::list(engine, &filter, None, 51);
    let public = EventFilter {
        statuses: EventStatus::ALL.into_iter().filter(|status| status.is_public()).collect(),
        ..EventFilter::default()
    };
    let day = (Some(at(10_000)), Some(at(11_440)));
    let today = EventFilter { starts_from: day.0, starts_before: day.1, ..public.clone() };
    let drafts = EventFilter { statuses: vec![EventStatus::Draft], ..EventFilter::default() };
    let stage = EventFilter { venue_id: Some(VenueId(3)), ..public.clone() };
    let band = EventFilter { performer_id: Some(PerformerId(3)), ..EventFilter::default() };
    let window = Slot::new(at(100_000), at(100_060)).unwrap();
    vec![
        ("first page", list(public.clone()), "events_starts_at_id"),
        (
            "later page",
            search::list(engine, &public, Some((at(100_000), EventId(9))), 51),
            "events_starts_at_id",
        ),
        ("today", list(today), "events_starts_at_id"),
        ("drafts", list(drafts), "events_status_starts_at_id"),
        ("venue", list(stage), "events_venue_id_starts_at_id"),
        ("performer", list(band), "event_performers_performer_id"),
        ("conflicts at a venue", search::at_venue(VenueId(3), &window), "events_venue_id_starts_at_id"),
        (
            "conflicts of performers",
            search::with_performers(&[PerformerId(3)], &window),
            "event_performers_performer_id",
        ),
        ("by guid", search::by_guids(&["guid-7".to_owned()]), "events_guid"),
    ]
}

async fn explain(store: &Store, (sql, binds): (String, Binds)) -> String {
    let (explain, column) = match store.engine() {
        Engine::Sqlite => ("EXPLAIN QUERY PLAN", "detail"),
        Engine::Postgres => ("EXPLAIN", "QUERY PLAN"),
    };
    let statement = statement(store.engine(), format!("{explain} {sql}"), binds.take());
    let rows = store.reader().query_all_raw(statement).await.unwrap();
    let lines: Vec<String> = rows.iter().map(|row| get(row, column).unwrap()).collect();
    lines.join("\n")
}

/// Goal: with 5,000 events, every hot statement goes through its index on both engines.
#[tokio::test]
async fn hot_statements_use_their_indexes() {
    let directory = tempfile::tempdir().unwrap();
    let sqlite = format!("sqlite:{}", directory.path().join("test.db").display());
    let postgres = testkit::postgres::database().await.url;
    for url in [sqlite, postgres] {
        let store = filled(url, 5_000).await;
        for (name, query, index) in hot(store.engine()) {
            let plan = explain(&store, query).await;
            assert!(plan.contains(index), "{:?}, {name}: {index} is not in\n{plan}", store.engine());
            let whole_table = plan.contains("Seq Scan on events") || plan.contains("SCAN events\n");
            assert!(!whole_table, "{:?}, {name}\n{plan}", store.engine());
        }
    }
}
