//! How publications are asked of a server.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;

use domain::Clock as _;
use memchr::memmem;
use protocol::pusher::Signer;
use protocol::pusher::signature::{SignedRequest, body_md5};
use protocol::ws::{Opcode, masked_frame};
use serde_json::json;
use service::SystemClock;

use super::Message;

/// Commands in one request or frame.
const TOGETHER_MAX: usize = 250;
/// Events in one batch of Pusher's.
const PUSHER_TOGETHER_MAX: usize = 10;

/// Which way publications take.
#[derive(Debug, Clone)]
pub(crate) enum Way {
    /// Centrifugo's HTTP API.
    Centrifugo {
        /// Where it listens.
        address: SocketAddr,
        /// The path in front of `publish` and `batch`.
        path: String,
        /// Its key.
        key: String,
    },
    /// Pusher's HTTP API.
    Pusher {
        /// Where it listens.
        address: SocketAddr,
        /// Id of the application.
        app: String,
        /// Its key and secret.
        signer: Signer,
    },
    /// `POST` of the bare message.
    Raw {
        /// Where it is taken.
        address: SocketAddr,
        /// `{topic}` in it is the topic's name.
        path: String,
    },
    /// The `publish` command of a client of the Centrifuge JSON protocol.
    Socket {
        /// Where the server listens.
        address: SocketAddr,
        /// The path of its sockets.
        path: String,
        /// Who publishes; empty: nobody.
        token: String,
    },
}

impl Way {
    pub(super) fn address(&self) -> SocketAddr {
        match self {
            Self::Centrifugo { address, .. }
            | Self::Pusher { address, .. }
            | Self::Raw { address, .. }
            | Self::Socket { address, .. } => *address,
        }
    }

    pub(super) fn is_socket(&self) -> bool {
        matches!(self, Self::Socket { .. })
    }

    /// What a connection says before it publishes: an upgrade, and behind its answer a command.
    pub(super) fn login(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        let Self::Socket { address, path, token } = self else { return None };
        let upgrade = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: bXVuYWRpLWxvYWR0ZXN0IQ==\r\n\r\n"
        );
        let connect = json!({ "id": 1, "connect": { "token": token, "name": "loadtest" } }).to_string();
        Some((upgrade.into_bytes(), masked_frame(Opcode::Text, connect.as_bytes(), [0; 4])))
    }

    /// The bytes that publish `messages`, in as few requests as there can be, and how many answers they have. `number`
    /// is that of the last command of the connection.
    pub(super) fn requests(&self, messages: &[Message], number: &mut u32) -> (Vec<u8>, u64) {
        let mut out = Vec::new();
        let mut answers = 0;
        match self {
            Self::Centrifugo { address, path, key } => {
                for part in messages.chunks(TOGETHER_MAX) {
                    let (method, body) = centrifugo_body(part);
                    answers += part.len() as u64;
                    let fields = format!("X-API-Key: {key}\r\nContent-Type: application/json\r\n");
                    post(&mut out, *address, &format!("{path}{method}"), &fields, &body);
                }
            }
            Self::Pusher { address, app, signer } => {
                for part in messages.chunks(PUSHER_TOGETHER_MAX) {
                    let (method, body) = pusher_body(part);
                    answers += 1;
                    let path = signed(&format!("/apps/{app}/{method}"), &body, signer);
                    post(&mut out, *address, &path, "Content-Type: application/json\r\n", &body);
                }
            }
            Self::Raw { address, path } => {
                for Message { topic, payload } in messages {
                    answers += 1;
                    post(&mut out, *address, &path.replace("{topic}", topic), "", payload);
                }
            }
            Self::Socket { .. } => {
                for part in messages.chunks(TOGETHER_MAX) {
                    let mut commands = String::new();
                    for Message { topic, payload } in part {
                        *number += 1;
                        let id = *number + 1;
                        let line = if commands.is_empty() { "" } else { "\n" };
                        write!(
                            commands,
                            r#"{line}{{"id":{id},"publish":{{"channel":"{topic}","data":{payload}}}}}"#
                        )
                        .expect("a String takes everything");
                        answers += 1;
                    }
                    out.extend(masked_frame(Opcode::Text, commands.as_bytes(), [0; 4]));
                }
            }
        }
        (out, answers)
    }

    /// How many publications the answers confirm, and how many they refuse.
    pub(super) fn count_answers(&self, answers: &[u8]) -> (u64, u64) {
        let count = |text: &str| memmem::find_iter(answers, text.as_bytes()).count() as u64;
        let well = count("HTTP/1.1 2");
        let badly = count("HTTP/1.1 ") - well;
        match self {
            Self::Centrifugo { .. } => {
                (count("\"result\":") + count("\"publish\":{"), badly + count("\"error\":"))
            }
            Self::Socket { .. } => (count("\"publish\":{"), count("\"error\":")),
            Self::Pusher { .. } | Self::Raw { .. } => (well, badly),
        }
    }
}

fn centrifugo_body(part: &[Message]) -> (&'static str, String) {
    let publish =
        |Message { topic, payload }: &Message| format!(r#"{{"channel":"{topic}","data":{payload}}}"#);
    match part {
        [one] => ("publish", publish(one)),
        many => {
            let commands: Vec<String> =
                many.iter().map(|one| format!(r#"{{"publish":{}}}"#, publish(one))).collect();
            ("batch", format!(r#"{{"commands":[{}]}}"#, commands.join(",")))
        }
    }
}

fn pusher_body(part: &[Message]) -> (&'static str, String) {
    let event =
        |Message { topic, payload }: &Message| json!({ "name": "load", "channel": topic, "data": payload });
    match part {
        [one] => ("events", event(one).to_string()),
        many => ("batch_events", json!({ "batch": many.iter().map(event).collect::<Vec<_>>() }).to_string()),
    }
}

/// The path with the query that signs a request of Pusher's API.
fn signed(path: &str, body: &str, signer: &Signer) -> String {
    let mut parameters = BTreeMap::from([
        ("auth_key".to_owned(), signer.key().to_owned()),
        ("auth_timestamp".to_owned(), SystemClock.now().as_second().to_string()),
        ("auth_version".to_owned(), "1.0".to_owned()),
        ("body_md5".to_owned(), body_md5(body.as_bytes())),
    ]);
    let request = SignedRequest { method: "POST", path, parameters: &parameters, body: body.as_bytes() };
    let signature = signer.request(&request);
    parameters.insert("auth_signature".to_owned(), signature);
    let query: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!("{path}?{}", query.join("&"))
}

fn post(out: &mut Vec<u8>, address: SocketAddr, path: &str, fields: &str, body: &str) {
    let length = body.len();
    let request =
        format!("POST {path} HTTP/1.1\r\nHost: {address}\r\n{fields}Content-Length: {length}\r\n\r\n{body}");
    out.extend_from_slice(request.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::Head;

    fn messages(count: usize) -> Vec<Message> {
        (0..count)
            .map(|number| Message { topic: "t:0".to_owned(), payload: format!("{{\"n\":{number}}}") })
            .collect()
    }

    fn address() -> SocketAddr {
        "127.0.0.1:80".parse().unwrap()
    }

    #[test]
    fn bursts_take_as_few_requests_as_each_api_allows() {
        let requests = |way: &Way, count| {
            let (bytes, answers) = way.requests(&messages(count), &mut 0);
            (memmem::find_iter(&bytes, b"POST ").count(), answers)
        };
        let centrifugo =
            Way::Centrifugo { address: address(), path: "/api/".to_owned(), key: "k".to_owned() };
        assert_eq!((requests(&centrifugo, 1), requests(&centrifugo, 300)), ((1, 1), (2, 300)));
        let signer = Signer::new("key", "secret");
        let pusher = Way::Pusher { address: address(), app: "1".to_owned(), signer };
        assert_eq!((requests(&pusher, 1), requests(&pusher, 25)), ((1, 1), (3, 3)));
        let raw = Way::Raw { address: address(), path: "/pub/{topic}".to_owned() };
        assert_eq!(requests(&raw, 7), (7, 7));
        let (bytes, _) = raw.requests(&messages(1), &mut 0);
        let head = Head::first(&bytes).unwrap();
        assert_eq!((head.second_word(), head.body_bytes()), ("/pub/t:0", 7));
    }

    #[test]
    fn commands_of_a_socket_are_numbered_on_and_answers_counted() {
        let way = Way::Socket { address: address(), path: "/".to_owned(), token: String::new() };
        let mut number = 0;
        assert_eq!(way.requests(&messages(3), &mut number).1, 3);
        assert_eq!((way.requests(&messages(2), &mut number).1, number), (2, 5));
        let answers =
            b"{\"id\":2,\"publish\":{}}\n{\"id\":3,\"publish\":{}}{\"id\":4,\"error\":{\"code\":103}}";
        assert_eq!(way.count_answers(answers), (2, 1));
        let centrifugo = Way::Centrifugo { address: address(), path: "/api/".to_owned(), key: String::new() };
        assert_eq!(
            centrifugo.count_answers(b"HTTP/1.1 200 OK\r\n\r\n{\"result\":{}}HTTP/1.1 401 no"),
            (1, 1)
        );
    }
}
