//! The port from the outside: real connections, on any free port.

use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

use super::*;

const ANY: &str = "127.0.0.1:0";

fn start(router: Router, life: &Lifecycle, change: impl FnOnce(&mut Config)) -> SocketAddr {
    let mut config = Config { listen: vec![ANY.parse().unwrap()], ..Config::default() };
    change(&mut config);
    let listener = bind(&config.listen, config.backlog).unwrap().remove(0);
    let address = listener.local_addr().unwrap();
    Server::new(router, &config, life).listen(listener);
    address
}

async fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_request_that_was_begun_is_answered_while_draining() {
    let life = Lifecycle::new();
    let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (inside, until) = (Arc::clone(&entered), Arc::clone(&leave));
    let router = Router::new().route(
        "/",
        get(move |ConnectInfo(peer): ConnectInfo<SocketAddr>| async move {
            inside.notify_one();
            until.notified().await;
            format!("hello {}", peer.ip())
        }),
    );
    let address = start(router, &life, |_| {});
    let drain = async {
        entered.notified().await;
        life.drain().cancel();
        leave.notify_one();
    };
    let (answer, ()) = tokio::join!(ask(address, "GET / HTTP/1.1\r\nhost: x\r\n\r\n"), drain);
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello 127.0.0.1"), "{answer}");
    life.finished().await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_handler_that_panics_costs_its_connection_only() {
    let life = Lifecycle::new();
    let router = Router::new()
        .route("/bad", get(|| async { if true { panic!("a bug") } else { "" } }))
        .route("/good", get(|| async { "fine" }));
    let address = start(router, &life, |_| {});
    assert_eq!(ask(address, "GET /bad HTTP/1.1\r\nhost: x\r\n\r\n").await, "");
    let good = ask(address, "GET /good HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(good.ends_with("fine") && !life.has_failed());
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut_off() {
    let life = Lifecycle::new();
    let address = start(Router::new(), &life, |config| config.header_timeout_ms = 50);
    assert_eq!(ask(address, "GET / HTTP/1.1\r\nhost:").await, "");
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let taken = bind(&[ANY.parse().unwrap()], 16).unwrap();
    let address = taken[0].local_addr().unwrap();
    let error = bind(&[address], 16).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen on {address}"));
}
