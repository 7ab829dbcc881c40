//! PostgreSQL servers and databases for tests.

use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

/// `host:port` of a `postgres://` URL.
fn address(url: &str) -> SocketAddr {
    let (_, host) = url.rsplit_once('@').unwrap();
    host.split('/').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn each_call_gives_another_database_of_one_server() {
    let (one, two) = tokio::join!(testkit::postgres::database(), testkit::postgres::database());
    assert_ne!(one.url, two.url);
    assert_eq!(address(&one.url), address(&two.url));
    TcpStream::connect(address(&one.url)).unwrap();
}

#[tokio::test]
async fn a_server_ends_with_its_killed_owner() {
    // the owner waits for its input to end; SIGKILL leaves it no chance to clean up
    let mut owner = Command::new(env!("CARGO_BIN_EXE_testkit-servers"))
        .args(["--", "sh", "-c", "echo $TEST_DATABASE_URL; exec cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(owner.stdout.take().unwrap()), &mut line)
        .unwrap();
    let server = address(line.trim());
    TcpStream::connect(server).unwrap();
    owner.kill().unwrap();
    owner.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    timeout_at(deadline, async {
        while TcpStream::connect(server).is_ok() {
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("the server ends with its owner");
}
