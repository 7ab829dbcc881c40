//! Sessions against rustls's own client, in memory; and files that are good or bad.

use std::io::{Read as _, Write as _};

use proptest::prelude::*;
use rcgen::{CertifiedKey as Made, generate_simple_self_signed};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, SupportedProtocolVersion};

use super::*;

fn made() -> Made<rcgen::KeyPair> {
    generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap()
}

/// A session, and a client that trusts it.
fn pair(version: &'static SupportedProtocolVersion) -> (Session, ClientConnection) {
    let Made { cert, signing_key } = made();
    let provider = Arc::new(ring::default_provider());
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    (Session::new(Arc::new(server)).unwrap(), ClientConnection::new(Arc::new(client), name).unwrap())
}

/// Carries what both have to say, `step` bytes at a time, until nobody has; gives what the server and the client hear.
fn carry(
    server: &mut Session,
    client: &mut ClientConnection,
    step: usize,
) -> Result<(Vec<u8>, Vec<u8>), rustls::Error> {
    let (mut heard, mut read) = (Vec::new(), Vec::new());
    loop {
        let mut up = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut up).unwrap();
        }
        for piece in up.chunks_mut(step) {
            server.open(piece, &mut heard)?;
        }
        let mut down = Vec::new();
        let sent = server.flush(|bytes| {
            down.extend_from_slice(&bytes[..bytes.len().min(step)]);
            Ok(bytes.len().min(step))
        });
        assert!(sent.unwrap());
        if up.is_empty() && down.is_empty() {
            return Ok((heard, read));
        }
        let mut down = &*down;
        while !down.is_empty() {
            client.read_tls(&mut down).unwrap();
            client.process_new_packets()?;
            let _ = client.reader().read_to_end(&mut read); // until nothing more is there
        }
    }
}

#[test]
fn both_hear_what_the_other_says_however_it_is_cut() {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for step in [1, 7, 4_096, 1 << 20] {
            let (mut server, mut client) = pair(version);
            carry(&mut server, &mut client, step).unwrap();
            assert!(!server.is_handshaking() && !client.is_handshaking(), "{version:?} by {step}");
            let long: Vec<u8> = (0..40_000_u32).map(|at| at.to_le_bytes()[0]).collect();
            for words in [&b"a"[..], &long] {
                client.writer().write_all(words).unwrap();
                assert_eq!(carry(&mut server, &mut client, step).unwrap().0, words);
                server.seal(words).unwrap();
                assert_eq!(carry(&mut server, &mut client, step).unwrap().1, words);
            }
            assert_eq!((server.waiting(), server.has_ended()), (0, false));
            client.send_close_notify();
            carry(&mut server, &mut client, step).unwrap();
            assert!(server.has_ended());
            server.end().unwrap();
            carry(&mut server, &mut client, step).unwrap();
            assert!(server.seal(b"more").is_err(), "after the end");
        }
    }
}

/// Goal: keys that are changed under way, the message in two records with our own words in between.
#[test]
fn keys_may_change() {
    let (mut server, mut client) = pair(&rustls::version::TLS13);
    carry(&mut server, &mut client, 1 << 20).unwrap();
    for _ in 0..3 {
        client.refresh_traffic_keys().unwrap();
        client.writer().write_all(b"new").unwrap();
        let mut up = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut up).unwrap();
        }
        let mut heard = Vec::new();
        for byte in up.chunks_mut(1) {
            server.open(byte, &mut heard).unwrap();
            server.seal(b".").unwrap();
        }
        assert_eq!(heard, b"new");
        let (_, read) = carry(&mut server, &mut client, 1 << 20).unwrap();
        assert_eq!(read, vec![b'.'; up.len()]);
    }
}

#[test]
fn a_stranger_is_told_why_and_nothing_else() {
    let alert_of = |words: &mut [u8]| {
        let (mut server, _) = pair(&rustls::version::TLS13);
        let mut said = Vec::new();
        assert!(server.open(words, &mut said).is_err());
        assert!(server.open(words, &mut said).is_err() && server.seal(b"x").is_err() && said.is_empty());
        let mut alert = Vec::new();
        server
            .flush(|bytes| {
                alert.extend_from_slice(bytes);
                Ok(bytes.len())
            })
            .unwrap();
        alert
    };
    let plain = alert_of(&mut b"GET / HTTP/1.1\r\n\r\n".to_vec());
    let early = alert_of(&mut [0x17, 3, 3, 0, 1, 0]); // data before the handshake
    for alert in [plain, early] {
        assert!(alert.is_empty() || alert[0] == 0x15, "{alert:?}");
    }
}

proptest! {
    /// Goal: whatever comes, before and after the handshake, there is an error at worst.
    #[test]
    fn noise_does_no_harm(noise in prop::collection::vec(any::<u8>(), 0..600), at in 0..2_000_usize, shaken in any::<bool>()) {
        let (mut server, mut client) = pair(&rustls::version::TLS13);
        if shaken {
            carry(&mut server, &mut client, 1 << 20).unwrap();
            client.writer().write_all(&[7; 900]).unwrap();
        }
        let mut up = Vec::new();
        client.write_tls(&mut up).unwrap();
        let at = at % up.len();
        let end = (at + noise.len()).min(up.len());
        up[at..end].copy_from_slice(&noise[..end - at]);
        up.extend_from_slice(&noise);
        let mut said = Vec::new();
        for piece in up.chunks_mut(97) {
            if server.open(piece, &mut said).is_err() {
                break;
            }
            let _ = server.seal(b"x");
        }
        prop_assert!(server.waiting() <= 131_072);
    }
}

#[test]
fn files_are_checked_before_anything_starts() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (made(), made());
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        Some(path)
    };
    let certificate = write("one.pem", &one.cert.pem());
    let key = write("one.key", &one.signing_key.serialize_pem());
    let wrong = write("other.key", &other.signing_key.serialize_pem());
    let empty = write("empty", "");
    let absent = Some(dir.path().join("absent"));
    for (certificate_file, key_file, expected) in [
        (&certificate, &key, vec![]),
        (&None, &None, vec![]),
        (&certificate, &None, vec!["key_file"]),
        (&None, &key, vec!["certificate_file"]),
        (&certificate, &wrong, vec!["key_file"]),
        (&certificate, &empty, vec!["key_file"]),
        (&empty, &key, vec!["certificate_file"]),
        (&absent, &key, vec!["certificate_file"]),
        (&key, &key, vec!["certificate_file"]),
    ] {
        let config = Config {
            certificate_file: certificate_file.clone(),
            key_file: key_file.clone(),
            ..Config::default()
        };
        let mut faults = Faults::default();
        config.check(&mut faults);
        let found: Vec<_> = faults.list().iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(found, expected, "{certificate_file:?} {key_file:?}");
    }
}
