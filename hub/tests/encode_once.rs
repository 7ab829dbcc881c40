//! A publication is encoded once, however many sockets take it. Alone in its process, because it reads the process's
//! counters.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "it/client.rs"]
#[expect(dead_code, reason = "shared with the other tests")]
mod client;
#[path = "it/harness.rs"]
mod harness;

use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::json;

use harness::TestHub;

#[tokio::test]
async fn a_publication_is_encoded_once() {
    let metrics = PrometheusBuilder::new().install_recorder().unwrap();
    let hub = TestHub::new().await;
    let counted = |name: &str| -> u64 {
        let text = metrics.render();
        let line = text.lines().find(|line| line.starts_with(name)).expect("it is registered at the start");
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert_eq!(counted("hub_publications_encoded_total{wire=\"json_socket\",form=\"plain\"}"), 0);
    let mut clients = Vec::new();
    for _ in 0..40 {
        let mut client = hub.client(0).await;
        client.subscribe("festival").await;
        clients.push(client);
    }
    hub.ground.publish("venue:7", json!("nobody follows")).await;
    for number in 0..5 {
        hub.ground.publish("festival", json!(number)).await;
    }
    for client in &mut clients {
        for number in 0..5 {
            assert_eq!(client.publication().await.data, json!(number));
        }
    }
    assert_eq!(counted("hub_publications_encoded_total{wire=\"json_socket\",form=\"plain\"}"), 5);
    assert_eq!(
        counted("hub_deliveries_total{outcome=\"sent\"}")
            + counted("hub_deliveries_total{outcome=\"queued\"}"),
        200
    );
    assert_eq!(counted("hub_recoveries_total{result=\"not_asked\"}"), 40);
}
