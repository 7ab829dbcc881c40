//! All stand-ins together, configured by the file that they write.

use std::sync::Arc;
use std::time::Duration;

use domain::{Channel, Clock, Lane};
use serde::Deserialize;
use service::{Faults, Lifecycle, SystemClock};
use testkit::standins::{Ports, Standins};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;
use workers::{Config, Gateways};

use crate::fixture::{message, word};

#[derive(Deserialize)]
struct Root {
    workers: Config,
}

/// Goal: a thousand emergencies through each provider, with some targets that are refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_through_each_provider() {
    let folder = tempfile::tempdir().unwrap();
    let standins = Standins::start(folder.path(), Ports::default()).await.unwrap();
    let root: Root = toml::from_str(&std::fs::read_to_string(&standins.configuration).unwrap()).unwrap();
    let mut faults = Faults::default();
    root.workers.check(&mut faults);
    assert!(faults.is_empty(), "{:?}", faults.list());
    let life = Lifecycle::new();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let gateways = Gateways::from_config(&root.workers, &clock, &life).unwrap();
    let mut tasks = JoinSet::new();
    for n in 0..1_000 {
        let number = u8::try_from(n % 250).unwrap();
        let refused = n % 10 == 0;
        let targets = [
            (Channel::Apns, "apns", format!("{}{n:056x}", if refused { "dead0410" } else { "00000000" })),
            (Channel::Fcm, "fcm_token", format!("{}-{n}", if refused { "unregistered" } else { "device" })),
            (
                Channel::Email,
                "email",
                format!("{}@u{n}.example.org", if refused { "bounce-511" } else { "someone" }),
            ),
        ];
        for (channel, kind, target) in targets {
            let gateway = Arc::clone(gateways.of(channel).unwrap());
            tasks.spawn(async move {
                let outcome = gateway.send(&message(number, Lane::Emergency, kind, &target)).await;
                let expected = if refused { "drop_target" } else { "accepted" };
                assert_eq!(word(&outcome), expected, "{channel}: {outcome:?}");
            });
        }
    }
    let done = tokio::time::timeout(Duration::from_mins(1), tasks.join_all()).await;
    assert_eq!(done.unwrap().len(), 3_000);
    let counts: serde_json::Value = serde_json::from_str(&get(&standins, "/counts").await).unwrap();
    assert_eq!(counts["apns"]["outcomes"], serde_json::json!({ "accepted": 900, "Unregistered": 100 }));
    assert_eq!(counts["apns"]["gate_violations"], 0);
    assert_eq!(counts["fcm"]["outcomes"], serde_json::json!({ "accepted": 900, "UNREGISTERED": 100 }));
    assert_eq!(
        (&counts["smtp"]["received"], &counts["smtp"]["refused_recipients"]),
        (&900.into(), &100.into())
    );
    for (path, left) in
        [("/received/apns?after=990", 10), ("/received/fcm?after=995", 5), ("/received/smtp", 900)]
    {
        let page: Vec<serde_json::Value> = serde_json::from_str(&get(&standins, path).await).unwrap();
        assert_eq!(page.len(), left, "{path}");
    }
    life.drain().cancel();
    life.finished().await;
}

/// The body of an answer of the control port.
async fn get(standins: &Standins, path: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(standins.control).await.unwrap();
    let request = format!("GET {path} HTTP/1.0\r\nhost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}
