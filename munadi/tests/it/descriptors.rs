//! A process that runs out of descriptors: the door says so, the rest goes on, and nobody is kept busy by it.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::process::{DEADLINE, Place, Serving};

/// A limit below what sockets need, and above what the process needs for itself.
const LIMIT: u32 = 300;
const RESERVE: u32 = 220;
const SOCKETS: usize = (LIMIT - RESERVE) as usize;

/// Seconds of CPU that the process has used.
fn cpu(serving: &Serving) -> f64 {
    let id = serving.child.id().expect("it runs");
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: u32 = fields[11..13].iter().map(|field| field.parse::<u32>().unwrap()).sum();
    f64::from(ticks) / 100.0
}

/// Asks for a WebSocket; gives the head of the answer, and what came of it.
async fn ask(address: &str) -> (String, TcpStream) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = "GET /connection/websocket HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(tokio::time::timeout(DEADLINE, stream.read_u8()).await.expect("it answers").unwrap());
    }
    (String::from_utf8(answer).unwrap(), stream)
}

/// As many sockets as there is place for, which has to be what was promised.
async fn fill(serving: &Serving) -> Vec<TcpStream> {
    let mut open = Vec::new();
    loop {
        let (answer, stream) = ask(&serving.public).await;
        if !answer.starts_with("HTTP/1.1 101 ") {
            assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after: "), "{answer}");
            return open;
        }
        open.push(stream);
    }
}

/// The value of a metric.
async fn metric(serving: &Serving, name: &str) -> u32 {
    let (status, metrics) = serving.admin("/metrics").await;
    assert_eq!(status, 200);
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)).expect("it is measured");
    line.trim().parse().unwrap()
}

async fn until_in_use(serving: &Serving, wanted: u32) {
    let found = async {
        while metric(serving, r#"http_descriptors{kind="in_use"}"#).await > wanted {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, found).await.expect("places are given back");
}

/// Goal: the promised number of sockets, a clean no for others, an admin port that answers, no busy loop, and places
/// that are given back.
#[tokio::test]
async fn a_full_process_says_so_and_takes_others_when_there_is_place() {
    let place = Place::new()
        .limited(LIMIT / 2, LIMIT)
        .with("HTTP__DESCRIPTORS_RESERVE", &RESERVE.to_string())
        .with("HTTP__REFUSALS_MAX", "8")
        .with("HTTP__REFUSAL_TIMEOUT_MS", "1500")
        .with("HUB__STALE_AFTER_MS", "60000");
    let serving = place.serve(&[]).await;
    assert!(place.log().contains(&format!("there is place for {SOCKETS} sockets")), "{}", place.log());
    let mut open = fill(&serving).await;
    assert_eq!(open.len(), SOCKETS, "the soft limit was raised, the reserve was kept");
    for (kind, wanted) in [("limit", LIMIT), ("reserve", RESERVE), ("in_use", LIMIT - RESERVE)] {
        let name = format!(r#"http_descriptors{{kind="{kind}"}}"#);
        assert_eq!(metric(&serving, &name).await, wanted, "{kind}");
    }

    // a crowd that says nothing: eight hold the turns, the others wait in the backlog, nobody spins
    let (before, began) = (cpu(&serving), Instant::now());
    let mut silent = Vec::new();
    for _ in 0..40 {
        silent.push(TcpStream::connect(&serving.public).await.unwrap());
    }
    let end = tokio::time::timeout(DEADLINE, silent[0].read(&mut [0; 64])).await.expect("it is let go");
    assert_eq!(end.unwrap_or(0), 0, "without an answer, as it has not asked");
    let share = (cpu(&serving) - before) / began.elapsed().as_secs_f64();
    assert!(share < 0.25, "{share} of a core while it is full");
    drop(silent);
    assert!(ask(&serving.public).await.0.starts_with("HTTP/1.1 503 "), "who asks is told");
    assert_eq!(serving.admin("/health/ready").await.0, 200);

    open.truncate(SOCKETS / 2);
    until_in_use(&serving, (LIMIT - RESERVE) / 2).await;
    let again = fill(&serving).await;
    assert_eq!(again.len(), SOCKETS - SOCKETS / 2, "as many as have left");
    drop((open, again));
    until_in_use(&serving, 0).await;
}

/// Goal: when the system itself gives no descriptor – the reserve was chosen too small – the door waits, without
/// spinning, and goes on when there are some.
#[tokio::test]
async fn a_process_without_any_descriptor_waits_quietly() {
    let place =
        Place::new().limited(80, 80).with("HTTP__DESCRIPTORS_RESERVE", "1").with("HTTP__REFUSALS_MAX", "0");
    let said = crate::process::text(&place.run(&["serve"]).await.stderr);
    assert!(said.contains("descriptors_reserve") && said.contains("refusals_max"), "{said}");

    let place = Place::new().limited(60, 60);
    let said = crate::process::text(&place.run(&["serve"]).await.stderr);
    assert!(said.contains("leaves no place for sockets"), "{said}");

    let place = Place::new()
        .limited(130, 130)
        .with("HTTP__DESCRIPTORS_RESERVE", "64")
        .with("HTTP__REFUSALS_MAX", "8")
        .with("STORE__CONNECTIONS_MAX", "2")
        .with("HUB__STALE_AFTER_MS", "60000");
    let serving = place.serve(&[]).await;
    // somebody else in the process takes more than was reserved: a second limit below the first
    let own = std::fs::read_dir(format!("/proc/{}/fd", serving.child.id().unwrap())).unwrap().count();
    let id = serving.child.id().unwrap().to_string();
    let limit = format!("--nofile={}", own + 10);
    let lowered = std::process::Command::new("prlimit").args(["--pid", &id, &limit]).status().unwrap();
    assert!(lowered.success());
    let (before, began) = (cpu(&serving), Instant::now());
    let mut crowd = Vec::new();
    for _ in 0..30 {
        crowd.push(TcpStream::connect(&serving.public).await.unwrap());
    }
    crate::process::file_says(&place.path("log"), "cannot accept a connection").await;
    let failures = async {
        while place.log().matches("cannot accept a connection").count() < 5 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, failures).await.expect("it tries again");
    let share = (cpu(&serving) - before) / began.elapsed().as_secs_f64();
    assert!(share < 0.3, "{share} of a core without descriptors");
    drop(crowd);
    assert!(ask(&serving.public).await.0.starts_with("HTTP/1.1 101 "), "it goes on");
}
