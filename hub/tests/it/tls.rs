//! Sockets with TLS, which the shards speak themselves.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use serde_json::json;
use service::http_server::{self, Server};
use service::tls::{self, Tls};
use testkit::ca::Ca;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::client::Client;
use crate::harness::{Ground, TestHub, start};

/// What one of many long messages has.
const MESSAGE_BYTES: usize = 20_000;
const MESSAGES: u64 = 300;

/// A hub behind TLS, and the authority that vouches for it.
async fn secret(change: impl FnOnce(&mut hub::Config)) -> (TestHub, Ca) {
    let ca = Ca::generate();
    let dir = tempfile::tempdir().unwrap();
    let (certificate, key) = ca.issue();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        Some(path)
    };
    let config = tls::Config {
        certificate_file: write("certificate.pem", &certificate),
        key_file: write("key.pem", &key),
        ..tls::Config::default()
    };
    let ground = Ground::new().await;
    let (life, router) = start(&ground, change).await;
    let http = http_server::Config { listen: vec!["127.0.0.1:0".parse().unwrap()], ..Default::default() };
    let listener = http_server::bind(&http.listen, http.backlog).unwrap().remove(0);
    let address = listener.local_addr().unwrap();
    Server::new(router, &http, &life).secret(Tls::open(&config, &life).unwrap()).listen(listener);
    (TestHub { ground, address, life }, ca)
}

async fn dial(
    address: SocketAddr,
    ca: &Ca,
    version: &'static SupportedProtocolVersion,
) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.pem().as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

#[tokio::test]
async fn sockets_over_tls_say_and_hear_the_same() {
    let (hub, ca) = secret(|_| {}).await;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut client = Client::over(dial(hub.address, &ca, version).await, "").await;
        client.connect(&hub.ground.token(4)).await;
        client.subscribe("festival").await;
        let offset = hub.ground.publish("festival", json!({ "version": format!("{version:?}") })).await;
        assert_eq!(client.publication().await.offset, offset);
        let long = "x".repeat(100_000); // several records
        let reply = client.ask("rpc", json!({ "method": "time", "data": long })).await;
        assert!(reply.get("rpc").is_some(), "{reply}");
        hub.ground.publish("festival", json!("y".repeat(100_000))).await;
        assert_eq!(client.publication().await.data.as_str().unwrap().len(), 100_000);
    }
}

/// Goal: what a full socket does not take is neither lost nor sent twice, whatever part of it was sealed already.
#[tokio::test]
async fn a_slow_reader_over_tls_reads_everything_once_and_in_order() {
    let (hub, ca) = secret(|config| config.limits.queue_bytes_max = 64 << 20).await;
    let mut client = Client::over(dial(hub.address, &ca, &rustls::version::TLS13).await, "").await;
    client.connect("").await;
    client.subscribe("festival").await;
    let mut other = Client::over(dial(hub.address, &ca, &rustls::version::TLS13).await, "").await;
    other.connect("").await;
    other.subscribe("festival").await;
    let data = json!("z".repeat(MESSAGE_BYTES));
    let last = hub
        .ground
        .publish_all("festival", std::iter::repeat_n(data, usize::try_from(MESSAGES).unwrap()))
        .await;
    let mut offset = 0;
    while offset < last {
        offset = other.publication().await.offset; // the hub has said everything by now, and the first reader nothing
    }
    for wanted in last + 1 - MESSAGES..=last {
        let publication = client.publication().await;
        assert_eq!((publication.offset, publication.data.as_str().unwrap().len()), (wanted, MESSAGE_BYTES));
    }
}

/// Goal: whoever speaks no TLS, half of it, or nothing, costs others nothing.
#[tokio::test]
async fn strangers_do_not_disturb() {
    let (hub, ca) = secret(|config| config.close_wait_ms = 100).await;
    let mut strangers = Vec::new();
    for words in [&b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"[..], b"\x16\x03\x01\x00\x05abc", b""] {
        let mut stream = TcpStream::connect(hub.address).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, words).await.unwrap();
        strangers.push(stream);
    }
    let mut client = Client::over(dial(hub.address, &ca, &rustls::version::TLS13).await, "").await;
    client.connect("").await;
    // a socket that goes without a word of TLS is gone
    let (stream, _) = dial(hub.address, &ca, &rustls::version::TLS13).await.into_inner();
    drop(stream);
    // noise in the place of a record ends that socket alone
    let noisy = Client::over(dial(hub.address, &ca, &rustls::version::TLS13).await, "").await;
    let (mut stream, _) = noisy.socket.into_inner().into_inner();
    tokio::io::AsyncWriteExt::write_all(&mut stream, &[0x17, 3, 3, 0, 20, 1, 2, 3].repeat(9)).await.unwrap();
    let mut rest = Vec::new();
    let end = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut rest);
    let _ = tokio::time::timeout(Duration::from_secs(20), end).await.expect("it is closed");
    let reply = client.ask("rpc", json!({ "method": "time" })).await;
    assert!(reply.get("rpc").is_some(), "{reply}");
}
