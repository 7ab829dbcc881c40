//! Runs a test on each engine, with a fresh migrated database each time.

use store::{Config, Store};

/// A store of a test; the file goes when it is dropped.
pub(crate) struct TestStore {
    pub(crate) store: Store,
    _directory: Option<tempfile::TempDir>,
}

/// Declares `sqlite::name` and `postgres::name` for each `async fn name(store: Store)`.
macro_rules! on_both_engines {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                let test = crate::engines::sqlite().await;
                super::$name(test.store.clone()).await;
            })+
        }

        mod postgres {
            $(#[tokio::test]
            async fn $name() {
                let test = crate::engines::postgres().await;
                super::$name(test.store.clone()).await;
            })+
        }
    };
}

pub(crate) async fn sqlite() -> TestStore {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let url = format!("sqlite:{}", directory.path().join("test.db").display());
    TestStore { store: migrated(url).await, _directory: Some(directory) }
}

pub(crate) async fn postgres() -> TestStore {
    let database = testkit::postgres::database().await;
    TestStore { store: migrated(database.url).await, _directory: None }
}

async fn migrated(url: String) -> Store {
    let store = Store::connect(&Config { url, ..Config::default() }).await.expect("the database opens");
    store.migrate().await.expect("the migrations run");
    store
}
