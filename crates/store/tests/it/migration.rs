//! Several processes begin at once on a new database: one migrates, the others wait for it.

use store::{Config, Store};

/// A handle of each of three processes; all of them migrate at the same time, and afterwards again.
async fn three_migrate_at_once(url: String) {
    let config = Config { url, ..Config::default() };
    let mut stores = Vec::new();
    for _ in 0..3 {
        stores.push(Store::connect(&config).await.unwrap());
    }
    let (one, two, three) = tokio::join!(stores[0].migrate(), stores[1].migrate(), stores[2].migrate());
    assert_eq!(
        [one, two, three].map(|migrated| migrated.map_err(|error| error.to_string())),
        [Ok(()), Ok(()), Ok(())]
    );
    stores[0].migrate().await.unwrap();
    assert_eq!(store::users::find(&stores[2], domain::UserId(1)).await.unwrap(), None);
}

#[tokio::test]
async fn sqlite() {
    let directory = tempfile::tempdir().unwrap();
    three_migrate_at_once(format!("sqlite:{}", directory.path().join("new.db").display())).await;
}

#[tokio::test]
async fn postgres() {
    three_migrate_at_once(testkit::postgres::database().await.url).await;
}
