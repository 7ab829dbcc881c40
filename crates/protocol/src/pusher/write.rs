//! What the server sends: one JSON object in each text frame. Its `data` is the text of a document, in a JSON string,
//! because some clients insist on it; only `pusher:error` and `pusher:subscription_error` carry the document itself,
//! which is how clients read those.

use super::event::{quote, write_text};
use super::{Code, SocketId};

/// A message of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerMessage<'a> {
    /// The first message of a connection.
    ConnectionEstablished {
        /// The connection's id.
        socket_id: SocketId,
        /// Seconds of silence after which the client asks whether the server is there.
        activity_timeout_s: u32,
    },
    /// Something was not done.
    Error {
        /// Why; `None` when the protocol has no number for it.
        code: Option<Code>,
        /// The same for people.
        message: &'a str,
    },
    /// Asks for a pong.
    Ping,
    /// Answers a ping.
    Pong,
    /// The subscription stands. `presence`: who is there.
    SubscriptionSucceeded {
        /// To this channel.
        channel: &'a str,
        /// Members of a presence channel.
        presence: Option<&'a [MemberView<'a>]>,
    },
    /// The subscription was refused.
    SubscriptionError {
        /// To this channel.
        channel: &'a str,
        /// `AuthError` when a signature is missing or wrong.
        kind: &'a str,
        /// Why, for people.
        message: &'a str,
        /// A status as HTTP has them.
        status: u16,
    },
    /// How many connections follow a channel.
    SubscriptionCount {
        /// Which channel.
        channel: &'a str,
        /// Of all nodes together.
        count: u64,
    },
    /// The first connection of a member has come to a presence channel.
    MemberAdded {
        /// Which channel.
        channel: &'a str,
        /// Who.
        member: MemberView<'a>,
    },
    /// The last connection of a member has left a presence channel.
    MemberRemoved {
        /// Which channel.
        channel: &'a str,
        /// Who.
        user_id: &'a str,
    },
    /// A cache channel has no last event.
    CacheMiss {
        /// Which channel.
        channel: &'a str,
    },
    /// The user is signed in.
    SigninSuccess {
        /// As the client has sent it.
        user_data: &'a str,
    },
    /// An event of a channel.
    Event {
        /// Its name.
        event: &'a str,
        /// The channel.
        channel: &'a str,
        /// A JSON document, see [`super::event`].
        data: &'a str,
        /// Who sent it, for events of clients in presence channels.
        user_id: Option<&'a str>,
    },
}

/// A member of a presence channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberView<'a> {
    /// Who.
    pub user_id: &'a str,
    /// What others see of them: a JSON document.
    pub user_info: Option<&'a str>,
}

impl ServerMessage<'_> {
    /// Adds the message to the end of `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        match *self {
            Self::ConnectionEstablished { socket_id, activity_timeout_s } => {
                let data =
                    format!("{{\"socket_id\":\"{socket_id}\",\"activity_timeout\":{activity_timeout_s}}}");
                envelope(out, "pusher:connection_established", None, Some(&data));
            }
            Self::Error { code, message } => {
                out.extend_from_slice(b"{\"event\":\"pusher:error\",\"data\":{\"code\":");
                match code {
                    Some(code) => out.extend_from_slice(code.code().to_string().as_bytes()),
                    None => out.extend_from_slice(b"null"),
                }
                member(out, "message", message);
                out.extend_from_slice(b"}}");
            }
            Self::Ping => envelope(out, "pusher:ping", None, Some("{}")),
            Self::Pong => envelope(out, "pusher:pong", None, Some("{}")),
            Self::SubscriptionSucceeded { channel, presence } => {
                let data = presence.map_or_else(|| "{}".to_owned(), roster);
                envelope(out, "pusher_internal:subscription_succeeded", Some(channel), Some(&data));
            }
            Self::SubscriptionError { channel, kind, message, status } => {
                out.extend_from_slice(b"{\"event\":\"pusher:subscription_error\"");
                member(out, "channel", channel);
                out.extend_from_slice(b",\"data\":{\"type\":");
                quote(out, kind);
                member(out, "error", message);
                out.extend_from_slice(format!(",\"status\":{status}}}}}").as_bytes());
            }
            Self::SubscriptionCount { channel, count } => {
                let data = format!("{{\"subscription_count\":{count}}}");
                envelope(out, "pusher_internal:subscription_count", Some(channel), Some(&data));
            }
            Self::MemberAdded { channel, member } => {
                envelope(out, "pusher_internal:member_added", Some(channel), Some(&member.document()));
            }
            Self::MemberRemoved { channel, user_id } => {
                let mut data = b"{\"user_id\":".to_vec();
                quote(&mut data, user_id);
                data.push(b'}');
                envelope(out, "pusher_internal:member_removed", Some(channel), Some(&text(data)));
            }
            Self::CacheMiss { channel } => envelope(out, "pusher:cache_miss", Some(channel), None),
            Self::SigninSuccess { user_data } => {
                let mut data = b"{\"user_data\":".to_vec();
                quote(&mut data, user_data);
                data.push(b'}');
                envelope(out, "pusher:signin_success", None, Some(&text(data)));
            }
            Self::Event { event, channel, data, user_id } => write_event(out, event, channel, data, user_id),
        }
    }
}

impl MemberView<'_> {
    /// `{"user_id":…,"user_info":…}`; without info an empty object stands for it.
    fn document(&self) -> String {
        let mut out = b"{\"user_id\":".to_vec();
        quote(&mut out, self.user_id);
        out.extend_from_slice(b",\"user_info\":");
        out.extend_from_slice(self.info().as_bytes());
        out.push(b'}');
        text(out)
    }

    fn info(&self) -> &str {
        self.user_info.unwrap_or("{}")
    }
}

fn write_event(out: &mut Vec<u8>, event: &str, channel: &str, data: &str, user_id: Option<&str>) {
    out.extend_from_slice(b"{\"event\":");
    quote(out, event);
    member(out, "channel", channel);
    out.extend_from_slice(b",\"data\":");
    write_text(out, data);
    if let Some(user_id) = user_id {
        member(out, "user_id", user_id);
    }
    out.push(b'}');
}

/// A message whose data is the text of a document.
fn envelope(out: &mut Vec<u8>, event: &str, channel: Option<&str>, data: Option<&str>) {
    out.extend_from_slice(b"{\"event\":");
    quote(out, event);
    if let Some(channel) = channel {
        member(out, "channel", channel);
    }
    if let Some(data) = data {
        member(out, "data", data);
    }
    out.push(b'}');
}

/// One more member of an object that has one already.
fn member(out: &mut Vec<u8>, name: &str, value: &str) {
    out.push(b',');
    quote(out, name);
    out.push(b':');
    quote(out, value);
}

fn roster(members: &[MemberView<'_>]) -> String {
    let mut out = format!("{{\"presence\":{{\"count\":{},\"ids\":[", members.len()).into_bytes();
    for (index, one) in members.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        quote(&mut out, one.user_id);
    }
    out.extend_from_slice(b"],\"hash\":{");
    for (index, one) in members.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        quote(&mut out, one.user_id);
        out.push(b':');
        out.extend_from_slice(one.info().as_bytes());
    }
    out.extend_from_slice(b"}}}");
    text(out)
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("it was put together from text")
}
