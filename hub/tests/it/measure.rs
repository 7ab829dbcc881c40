//! What a connection and a delivery cost, roughly: `cargo test --release -p hub --test it -- --ignored measure`.
//! The clients are bare sockets of the same process, which cost no memory of it but descriptors.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use protocol::ws::{Opcode, masked_frame};
use serde_json::json;
use tokio::time::Instant;

use crate::harness::TestHub;

const CONNECTIONS: usize = 2_000;
const MESSAGES: usize = 50;

/// A socket that is connected and subscribed to `festival`.
fn subscriber(address: SocketAddr, token: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let request = "GET /connection/websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let commands = format!(
        "{}\n{}",
        json!({ "id": 1, "connect": { "token": token } }),
        json!({ "id": 2, "subscribe": { "channel": "festival" } })
    );
    stream.write_all(&masked_frame(Opcode::Text, commands.as_bytes(), [1, 2, 3, 4])).unwrap();
    let mut seen = Vec::new();
    let mut buffer = [0; 4_096];
    while !seen.windows(8).any(|window| window == b"\"id\":2,\"") {
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "closed: {}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&buffer[..count]);
    }
    stream
}

fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Clock ticks (hundredths of a second) that the shards' threads have used.
fn shard_ticks() -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    tasks
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("stat")).ok())
        .filter(|stat| stat.contains("(hub-"))
        .map(|stat| {
            let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
            fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
        })
        .sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, not a test"]
async fn measure() {
    let hub = TestHub::with(|config| {
        config.limits.connections_per_user_max = 100_000;
        config.ping_interval_ms = 300_000; // nobody here answers
    })
    .await;
    let (address, token) = (hub.address, String::new()); // nobody: a signature costs the same everywhere
    let connect = move |count: usize| {
        let token = token.clone();
        tokio::task::spawn_blocking(move || {
            (0..count).map(|_| subscriber(address, &token)).collect::<Vec<_>>()
        })
    };
    let warm = connect(500).await.unwrap();
    let before_kib = resident_kib();
    let before_ticks = shard_ticks();
    let begun = Instant::now();
    let mut sockets = connect(CONNECTIONS).await.unwrap();
    let connected = begun.elapsed();
    let connect_ticks = shard_ticks() - before_ticks;
    let bytes = (resident_kib() - before_kib) * 1024 / CONNECTIONS;
    sockets.extend(warm);
    let data = "x".repeat(100);
    for burst in [1, MESSAGES] {
        let before_ticks = shard_ticks();
        let begun = Instant::now();
        for _ in 0..MESSAGES / burst {
            hub.ground.publish_all("festival", (0..burst).map(|_| json!(data))).await;
            sockets = tokio::task::spawn_blocking(move || drained(sockets, burst)).await.unwrap();
        }
        let deliveries = sockets.len() * MESSAGES;
        let ticks = shard_ticks() - before_ticks;
        #[expect(clippy::cast_precision_loss, clippy::print_stdout, reason = "a report for people")]
        {
            let micros = ticks as f64 * 10_000.0 / deliveries as f64;
            println!(
                "bursts of {burst}: {micros:.3} us of shard CPU per delivery, {:?} in all",
                begun.elapsed()
            );
        }
    }
    #[expect(clippy::cast_precision_loss, clippy::print_stdout, reason = "a report for people")]
    {
        let micros = connect_ticks as f64 * 10_000.0 / CONNECTIONS as f64;
        println!("{bytes} bytes of user memory per connection; {micros:.0} us of shard CPU per connect");
        println!("{CONNECTIONS} connects in {connected:?}");
    }
}

/// Reads `messages` publications from every socket.
fn drained(sockets: Vec<TcpStream>, messages: usize) -> Vec<TcpStream> {
    let mut buffer = vec![0; 65_536];
    for mut socket in &sockets {
        let mut left = messages;
        while left > 0 {
            let count = socket.read(&mut buffer).unwrap();
            assert!(count > 0);
            left -= buffer[..count].windows(7).filter(|window| *window == b"\"push\":").count().min(left);
        }
    }
    sockets
}
