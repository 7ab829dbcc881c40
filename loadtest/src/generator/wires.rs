//! What clients say until they are subscribed, and what they answer to a ping, in each dialect.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use clap::ValueEnum;
use domain::{Claims, Clock as _, Role};
use hmac::{Hmac, Mac as _};
use protocol::centrifuge::command::{ConnectRequest, SubscribeRequest};
use protocol::centrifuge::reply::{Answer, SubscribeResult};
use protocol::centrifuge::{Command, Dialect, Reply, Request};
use protocol::pusher::Signer;
use protocol::ws::{Opcode, masked_frame};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use service::{SystemClock, TokenSigner};
use sha2::Sha256;

use super::order::{Order, Token};

/// Seconds that tokens are valid.
const TOKEN_SECS: i64 = 24 * 3_600;

/// What clients speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Wire {
    /// Centrifuge's protocol in JSON.
    CentrifugeJson,
    /// Centrifuge's protocol in Protobuf.
    CentrifugeProtobuf,
    /// Pusher's protocol.
    Pusher,
    /// Bare messages: the upgrade alone subscribes, to the topic in the URL.
    Raw,
    /// Centrifuge's server-sent events in one direction.
    OneWaySse,
}

/// Where a subscription stands: what a client that comes back sends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// Incarnation of the stream.
    pub epoch: String,
    /// Its last offset.
    pub offset: u64,
}

/// What a message means to a client that is not subscribed to everything yet.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Step {
    /// Answers that were waited for.
    pub answered: u32,
    /// What to say now.
    pub say: Vec<u8>,
    /// Where the first subscription stands, and whether nothing was missed.
    pub place: Option<(Place, bool)>,
}

/// How the clients of an order get in.
pub(super) struct Login {
    order: Order,
    own: Option<TokenSigner>,
    app: Option<Signer>,
}

impl Wire {
    /// Whether what comes after the head consists of WebSocket frames.
    pub(super) fn is_socket(self) -> bool {
        self != Self::OneWaySse
    }

    /// The status that lets a client in.
    pub(super) fn status(self) -> &'static str {
        if self.is_socket() { "101" } else { "200" }
    }

    /// What to answer to `message`, where it is a ping of the dialect's own.
    pub(crate) fn pong(self, message: &[u8]) -> Option<Vec<u8>> {
        let (is_ping, opcode, pong): (bool, _, &[u8]) = match self {
            Self::CentrifugeJson => {
                (message.starts_with(b"{}") || message.ends_with(b"\n{}"), Opcode::Text, b"{}")
            }
            Self::CentrifugeProtobuf => (message.first() == Some(&0), Opcode::Binary, &[0]),
            Self::Pusher => (
                message.len() < 100 && memchr::memmem::find(message, b"\"pusher:ping\"").is_some(),
                Opcode::Text,
                br#"{"event":"pusher:pong","data":{}}"#,
            ),
            Self::Raw | Self::OneWaySse => return None,
        };
        is_ping.then(|| masked_frame(opcode, pong, [0; 4]))
    }

    fn dialect(self) -> Dialect {
        if self == Self::CentrifugeProtobuf { Dialect::Protobuf } else { Dialect::Json }
    }
}

impl Login {
    /// # Errors
    /// When the key in the order is none.
    pub(super) fn new(order: &Order) -> anyhow::Result<Self> {
        let own = match &order.token {
            Token::Own(pem) => Some(TokenSigner::from_pem(pem)?),
            _ => None,
        };
        let app = match &order.token {
            Token::App(key, secret) => Some(Signer::new(key, secret)),
            _ => None,
        };
        Ok(Self { order: order.clone(), own, app })
    }

    /// The number of the first topic that client `local` of this generator follows; the others come after it.
    pub(super) fn first_topic(&self, local: u32) -> u32 {
        let number = u64::from(self.order.first) + u64::from(local);
        let first = number * u64::from(self.order.topics_each) % u64::from(self.order.topics.max(1));
        u32::try_from(first).unwrap_or(0)
    }

    fn topics(&self, local: u32) -> impl Iterator<Item = String> + '_ {
        let (first, order) = (self.first_topic(local), &self.order);
        let own = (0..order.topics_each)
            .map(move |place| format!("{}{}", order.prefix, (first + place) % order.topics.max(1)));
        own.chain(order.topics_all.iter().cloned())
    }

    /// The request that a connection begins with.
    pub(super) fn request(&self, local: u32) -> Vec<u8> {
        let topic = self.topics(local).next().unwrap_or_default();
        let path = self.order.path.replace("{topic}", &topic);
        let host = self.order.address;
        if self.order.wire == Wire::OneWaySse {
            let subs: serde_json::Map<_, _> = self.topics(local).map(|topic| (topic, json!({}))).collect();
            let connect = json!({ "token": self.token(local), "subs": subs }).to_string();
            return format!(
                "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
                 Content-Length: {}\r\n\r\n{connect}",
                connect.len()
            )
            .into_bytes();
        }
        let key = STANDARD.encode((0x6d75_6e61_6469_u128 << 32 | u128::from(local)).to_be_bytes());
        let protocol = if self.order.wire == Wire::CentrifugeProtobuf {
            "Sec-WebSocket-Protocol: centrifuge-protobuf\r\n"
        } else {
            ""
        };
        format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n{protocol}\r\n"
        )
        .into_bytes()
    }

    /// Answers that a client waits for before it is subscribed to everything.
    pub(super) fn answers(&self) -> u32 {
        let topics = self.order.topics_each + u32::try_from(self.order.topics_all.len()).unwrap_or(0);
        match self.order.wire {
            Wire::CentrifugeJson | Wire::CentrifugeProtobuf | Wire::Pusher => 1 + topics,
            Wire::Raw => 0,
            Wire::OneWaySse => 1,
        }
    }

    /// What a client says first after the upgrade: in Centrifuge's protocol everything at once, as its SDK for browsers
    /// does; from `since` in its first topic.
    pub(super) fn greeting(&self, local: u32, since: Option<&Place>) -> Vec<u8> {
        if !matches!(self.order.wire, Wire::CentrifugeJson | Wire::CentrifugeProtobuf) {
            return Vec::new();
        }
        let dialect = self.order.wire.dialect();
        let mut commands = Vec::new();
        let token = self.token(local);
        let connect =
            ConnectRequest { token: token.into(), name: "loadtest".into(), ..ConnectRequest::default() };
        dialect
            .write_command(&mut commands, &Command { id: 1, request: Request::Connect(Box::new(connect)) });
        for (id, topic) in (2_u32..).zip(self.topics(local)) {
            let mut request = SubscribeRequest { channel: topic.into(), ..SubscribeRequest::default() };
            if let Some(since) = since.filter(|_| id == 2) {
                request.recover = true;
                request.epoch = since.epoch.as_str().into();
                request.offset = since.offset;
            }
            dialect.write_command(&mut commands, &Command { id, request: Request::Subscribe(request) });
        }
        let opcode = if dialect == Dialect::Json { Opcode::Text } else { Opcode::Binary };
        masked_frame(opcode, &commands, [0; 4])
    }

    /// Reads a message of the server to a client that is not subscribed to everything.
    ///
    /// # Errors
    /// Why the server does not let it in.
    pub(super) fn read(&self, local: u32, message: &[u8]) -> Result<Step, String> {
        match self.order.wire {
            Wire::CentrifugeJson | Wire::CentrifugeProtobuf => self.read_centrifuge(message),
            Wire::Pusher => self.read_pusher(local, message),
            Wire::Raw => Ok(Step::default()),
            Wire::OneWaySse => {
                let answered = u32::from(memchr::memmem::find(message, b"\"connect\":").is_some());
                Ok(Step { answered, ..Step::default() })
            }
        }
    }

    fn read_centrifuge(&self, message: &[u8]) -> Result<Step, String> {
        let mut step = Step::default();
        for reply in self.order.wire.dialect().replies(message) {
            match reply.map_err(|error| error.to_string())? {
                Reply::Answer(_, Answer::Error(error)) => {
                    return Err(format!("{} {}", error.code, error.message));
                }
                Reply::Answer(id, answer) => {
                    step.answered += 1;
                    if let (2, Answer::Subscribe(SubscribeResult { epoch, offset, recovered, .. })) =
                        (id, answer)
                    {
                        step.place = Some((Place { epoch: epoch.into_owned(), offset }, recovered));
                    }
                }
                Reply::Push(_) | Reply::Ping => {}
            }
        }
        Ok(step)
    }

    fn read_pusher(&self, local: u32, message: &[u8]) -> Result<Step, String> {
        let event: Value = serde_json::from_slice(message).map_err(|error| error.to_string())?;
        match event["event"].as_str().unwrap_or_default() {
            "pusher:connection_established" => {
                let data: Value = serde_json::from_str(event["data"].as_str().unwrap_or_default())
                    .map_err(|error| error.to_string())?;
                let socket_id = data["socket_id"].as_str().unwrap_or_default();
                let mut say = Vec::new();
                for channel in self.topics(local) {
                    let mut request = json!({ "channel": channel });
                    if let Some(app) = &self.app {
                        let id = socket_id.parse().map_err(|_| format!("socket id {socket_id}"))?;
                        request["auth"] = app.channel_auth(id, &channel, None).into();
                    }
                    let subscribe = json!({ "event": "pusher:subscribe", "data": request }).to_string();
                    say.extend(masked_frame(Opcode::Text, subscribe.as_bytes(), [0; 4]));
                }
                Ok(Step { answered: 1, say, place: None })
            }
            "pusher_internal:subscription_succeeded" => Ok(Step { answered: 1, ..Step::default() }),
            "pusher:error" | "pusher:subscription_error" | "pusher_internal:subscription_error" => {
                Err(event["data"].to_string())
            }
            _ => Ok(Step::default()),
        }
    }

    fn token(&self, local: u32) -> String {
        let user = self.order.first + local + 1;
        let now = SystemClock.now().as_second();
        match (&self.order.token, &self.own) {
            (Token::Secret(secret), _) => {
                hs256(secret, &json!({ "sub": user.to_string(), "exp": now + TOKEN_SECS }))
            }
            (_, Some(signer)) => signer.sign(&Claims {
                iss: "munadi".to_owned(),
                aud: "festival".to_owned(),
                sub: user.to_string(),
                sid: format!("loadtest-{user}"),
                roles: vec![Role::Attendee],
                iat: now,
                exp: now + TOKEN_SECS,
                topics: Vec::new(),
            }),
            _ => String::new(),
        }
    }
}

/// A JWT.
pub(crate) fn hs256(secret: &str, claims: &Value) -> String {
    let header = URL_SAFE_NO_PAD.encode(br#"{"alg":"HS256","typ":"JWT"}"#);
    let text = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(wire: Wire, token: Token) -> Login {
        Login::new(&Order {
            address: "127.0.0.1:1".parse().unwrap(),
            path: "/sub/{topic}".to_owned(),
            wire,
            first: 7,
            clients: 1,
            prefix: "t.".to_owned(),
            topics: 5,
            topics_each: 2,
            topics_all: vec!["all".to_owned()],
            token,
            source: 9,
            in_flight: 1,
            stalled: 0,
        })
        .unwrap()
    }

    #[test]
    fn clients_take_turns_among_the_topics() {
        let login = login(Wire::Raw, Token::None);
        assert_eq!(login.topics(0).collect::<Vec<_>>(), ["t.4", "t.0", "all"]);
        assert_eq!(login.topics(1).collect::<Vec<_>>(), ["t.1", "t.2", "all"]);
        let request = String::from_utf8(login.request(0)).unwrap();
        assert!(request.starts_with("GET /sub/t.4 HTTP/1.1\r\n"), "{request}");
    }

    #[test]
    fn both_centrifuge_dialects_greet_and_understand_their_answers() {
        for wire in [Wire::CentrifugeJson, Wire::CentrifugeProtobuf] {
            let login = login(wire, Token::Secret("secret".to_owned()));
            assert_eq!(login.answers(), 4);
            let since = Place { epoch: "e".to_owned(), offset: 3 };
            let frame = login.greeting(0, Some(&since));
            let commands =
                &frame[frame.len() - crate::frames::first(&frame).map_or(0, |one| one.payload.len())..];
            let requests: Vec<_> = wire.dialect().commands(commands).map(Result::unwrap).collect();
            assert_eq!(requests.len(), 4);
            assert!(
                matches!(&requests[1].request, Request::Subscribe(one) if one.recover && one.offset == 3)
            );

            let mut replies = Vec::new();
            let result = SubscribeResult {
                epoch: "e".into(),
                offset: 9,
                recovered: true,
                ..SubscribeResult::default()
            };
            wire.dialect().write_reply(&mut replies, &Reply::Answer(2, Answer::Subscribe(result)));
            let step = login.read(0, &replies).unwrap();
            assert_eq!(step.answered, 1);
            assert_eq!(step.place, Some((Place { epoch: "e".to_owned(), offset: 9 }, true)));
            let mut refused = Vec::new();
            let refusal = Answer::refusal(protocol::codes::ErrorCode::PermissionDenied);
            wire.dialect().write_reply(&mut refused, &Reply::Answer(2, refusal));
            assert!(login.read(0, &refused).unwrap_err().starts_with("103"));
            let mut ping = Vec::new();
            wire.dialect().write_reply(&mut ping, &Reply::Ping);
            assert!(wire.pong(&ping).is_some() && wire.pong(&replies).is_none());
        }
    }

    #[test]
    fn pusher_clients_sign_their_subscriptions() {
        let login = login(Wire::Pusher, Token::App("key".to_owned(), "a secret of some length".to_owned()));
        let hello = br#"{"event":"pusher:connection_established","data":"{\"socket_id\":\"1.2\"}"}"#;
        let step = login.read(0, hello).unwrap();
        let said = String::from_utf8_lossy(&step.say).into_owned();
        assert!(step.answered == 1 && said.matches("\"auth\":\"key:").count() == 3, "{said}");
        let error = br#"{"event":"pusher:error","data":{"code":4001}}"#;
        assert_eq!(login.read(0, error).unwrap_err(), r#"{"code":4001}"#);
        assert!(Wire::Pusher.pong(br#"{"event":"pusher:ping","data":"{}"}"#).is_some());
    }

    #[test]
    fn tokens_are_what_verifiers_of_the_secret_believe() {
        let secret = "0123456789abcdef0123456789abcdef";
        let verifier = service::ForeignVerifier {
            keys: vec![service::ForeignKey::secret(secret).unwrap()],
            ..service::ForeignVerifier::default()
        };
        let token = hs256(secret, &json!({ "sub": "7", "exp": 4_102_444_800_i64 }));
        let claims: Value = verifier.verify(&token, SystemClock.now()).unwrap();
        assert_eq!(claims["sub"], "7");
    }
}
