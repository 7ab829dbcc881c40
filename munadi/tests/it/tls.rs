//! TLS on the public port of the real binary: every transport, and certificates that are exchanged under way.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use service::http_client;
use testkit::ca::Ca;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::process::{DEADLINE, Place, Serving, file_says, text};

/// A place whose processes speak TLS.
fn secret(ca: &Ca) -> Place {
    let place = Place::new();
    exchange(&place, &ca.issue());
    ca.write(&place.path("")).unwrap();
    let (certificate, key) = (place.path("certificate.pem"), place.path("key.pem"));
    place
        .with("HTTP__TLS__CERTIFICATE_FILE", certificate.to_str().unwrap())
        .with("HTTP__TLS__KEY_FILE", key.to_str().unwrap())
        .with("HTTP__TLS__RELOAD_MS", "86400000")
        .with("HUB__STALE_AFTER_MS", "60000")
}

fn exchange(place: &Place, (certificate, key): &(String, String)) {
    std::fs::write(place.path("certificate.pem"), certificate).unwrap();
    std::fs::write(place.path("key.pem"), key).unwrap();
}

async fn dial(serving: &Serving, ca: &Ca) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.pem().as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(&serving.public).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

/// What the server shows for itself.
async fn shown(serving: &Serving, ca: &Ca) -> Vec<u8> {
    let stream = dial(serving, ca).await;
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

/// Asks a socket for the time.
async fn ask(socket: &mut WebSocketStream<TlsStream<TcpStream>>, command: &str) -> String {
    socket.send(Message::text(command)).await.unwrap();
    let answer = tokio::time::timeout(DEADLINE, socket.next()).await.expect("it answers");
    answer.unwrap().unwrap().into_text().unwrap().as_str().to_owned()
}

async fn hang_up(serving: &Serving, place: &Place, said: &str) {
    let id = serving.child.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
    file_says(&place.path("log"), said).await;
}

#[tokio::test]
async fn every_transport_speaks_tls_and_certificates_are_exchanged_under_way() {
    let ca = Ca::generate();
    let place = secret(&ca);
    let serving = place.serve(&[]).await;
    assert!(serving.told.contains("https://") && serving.told.contains("wss://"), "{}", serving.told);
    let config = http_client::Config { extra_ca_file: Some(place.path("ca.pem")), ..Default::default() };
    let client = http_client::build(&config).unwrap();
    let answer = client.get(format!("https://{}/api/openapi.json", serving.public)).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (200, reqwest::Version::HTTP_2));
    let url = format!("https://{}/connection/uni_sse", serving.public);
    let query = [("cf_connect", r#"{"subs":{"festival":{}}}"#)];
    let mut events = client.get(url).query(&query).send().await.unwrap();
    let first = tokio::time::timeout(DEADLINE, events.chunk()).await.expect("it answers");
    let mut said = first.unwrap().unwrap().to_vec();
    while !text(&said).contains("\"connect\"") {
        said.extend(events.chunk().await.unwrap().expect("it goes on"));
    }

    let stream = dial(&serving, &ca).await;
    let (mut socket, _) =
        tokio_tungstenite::client_async("wss://localhost/connection/websocket", stream).await.unwrap();
    assert!(ask(&mut socket, r#"{"id":1,"connect":{}}"#).await.contains("\"connect\""));
    let first = shown(&serving, &ca).await;
    exchange(&place, &ca.issue());
    hang_up(&serving, &place, "was read again").await;
    let second = shown(&serving, &ca).await;
    assert_ne!(first, second);
    std::fs::write(place.path("key.pem"), "no key").unwrap();
    hang_up(&serving, &place, "the old one stays").await;
    assert_eq!(shown(&serving, &ca).await, second);
    let answer = ask(&mut socket, r#"{"id":2,"rpc":{"method":"time"}}"#).await;
    assert!(answer.contains("\"rpc\""), "no socket is dropped: {answer}");
    let (_, metrics) = serving.admin("/metrics").await;
    for line in
        [r#"http_tls_reloads_total{outcome="done"} 1"#, r#"http_tls_reloads_total{outcome="failed"} 1"#]
    {
        assert!(metrics.contains(line), "no {line}");
    }
}

#[tokio::test]
async fn files_that_change_are_read_without_being_asked() {
    let ca = Ca::generate();
    let place = secret(&ca).with("HTTP__TLS__RELOAD_MS", "100");
    let serving = place.serve(&[]).await;
    let first = shown(&serving, &ca).await;
    exchange(&place, &ca.issue());
    let changed = async {
        while shown(&serving, &ca).await == first {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, changed).await.expect("the new certificate is shown");
}

#[tokio::test]
async fn a_bad_certificate_stops_the_start() {
    let ca = Ca::generate();
    let place = secret(&ca);
    let (_, other) = ca.issue();
    std::fs::write(place.path("key.pem"), other).unwrap();
    let refused = place.run(&["serve"]).await;
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(64), "{said}");
    assert!(
        said.contains("http.tls.key_file") && said.contains("is not the key of the certificate"),
        "{said}"
    );
}
