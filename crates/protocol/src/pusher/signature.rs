//! Every signature of the protocol: HMAC-SHA256 with the application's secret, in hex, compared in constant time.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use hmac::{Hmac, Mac};
use md5::{Digest as _, Md5};
use sha2::Sha256;

use super::SocketId;

/// Names of query parameters that belong to the signature and not to the request.
pub const SIGNATURE_PARAMETERS: [&str; 5] =
    ["auth_key", "auth_timestamp", "auth_version", "auth_signature", "body_md5"];

/// Signs and checks in the name of one application.
#[derive(Clone)]
pub struct Signer {
    key: Box<str>,
    secret: Box<[u8]>,
}

/// A request of the HTTP API, as far as it is signed.
#[derive(Debug, Clone, Copy)]
pub struct SignedRequest<'a> {
    /// In capitals.
    pub method: &'a str,
    /// As it stands in the request line, without the query.
    pub path: &'a str,
    /// See [`query`].
    pub parameters: &'a BTreeMap<String, String>,
    /// As it was sent.
    pub body: &'a [u8],
}

/// Why a request of the HTTP API is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// A parameter of the signature is not there.
    #[error("the parameter {0} is missing")]
    Missing(&'static str),
    /// Another application's key, or none's.
    #[error("auth_key is not the key of this application")]
    Key,
    /// A version of the signature that nobody knows.
    #[error("auth_version is not 1.0")]
    Version,
    /// Not a number.
    #[error("auth_timestamp is not a number of seconds")]
    Timestamp,
    /// Signed too long ago, or in the future.
    #[error("auth_timestamp is {off_s} s away from the time of this server, which allows {allowed_s} s")]
    Skew {
        /// How far away.
        off_s: u64,
        /// How far it may be.
        allowed_s: u64,
    },
    /// The body is not the one that was signed.
    #[error("body_md5 is not the digest of the body")]
    Body,
    /// The secret was not known to whoever signed.
    #[error("auth_signature does not fit the request")]
    Signature,
}

impl Signer {
    /// For the application with this key and secret.
    pub fn new(key: &str, secret: &str) -> Self {
        Self { key: key.into(), secret: secret.as_bytes().into() }
    }

    /// The key, which is public.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The `auth` that opens `channel` to a connection; with `channel_data` for presence channels.
    pub fn channel_auth(&self, socket_id: SocketId, channel: &str, channel_data: Option<&str>) -> String {
        self.auth(&channel_text(socket_id, channel, channel_data))
    }

    /// Whether `auth` opens `channel` to the connection. `channel_data` exactly as it was sent.
    pub fn opens_channel(
        &self,
        auth: &str,
        socket_id: SocketId,
        channel: &str,
        channel_data: Option<&str>,
    ) -> bool {
        self.is_auth(auth, &channel_text(socket_id, channel, channel_data))
    }

    /// As [`Signer::channel_auth`], with text for whoever checks it: no client looks into an `auth`.
    pub fn channel_auth_for(
        &self,
        bearer: &str,
        socket_id: SocketId,
        channel: &str,
        channel_data: Option<&str>,
    ) -> String {
        let text = bearer_text(bearer, &channel_text(socket_id, channel, channel_data));
        format!("{}:{}", self.auth(&text), hex::encode(bearer))
    }

    /// The text in an `auth` of [`Signer::channel_auth_for`]; `None` when it does not open the channel.
    pub fn opens_channel_for(
        &self,
        auth: &str,
        socket_id: SocketId,
        channel: &str,
        channel_data: Option<&str>,
    ) -> Option<String> {
        let (auth, bearer) = auth.rsplit_once(':').filter(|(auth, _)| auth.contains(':'))?;
        let bearer = hex::decode(bearer).ok().and_then(|bytes| String::from_utf8(bytes).ok())?;
        let text = bearer_text(&bearer, &channel_text(socket_id, channel, channel_data));
        self.is_auth(auth, &text).then_some(bearer)
    }

    /// The `auth` that says who the user of a connection is.
    pub fn user_auth(&self, socket_id: SocketId, user_data: &str) -> String {
        self.auth(&user_text(socket_id, user_data))
    }

    /// Whether `auth` says who the user of the connection is. `user_data` exactly as it was sent.
    pub fn knows_user(&self, auth: &str, socket_id: SocketId, user_data: &str) -> bool {
        self.is_auth(auth, &user_text(socket_id, user_data))
    }

    /// The signature of a webhook: over exactly the bytes that are sent.
    pub fn webhook(&self, body: &[u8]) -> String {
        self.sign(body)
    }

    /// The signature of a request; its parameters have to be there already.
    pub fn request(&self, request: &SignedRequest<'_>) -> String {
        self.sign(request_text(request, request.path).as_bytes())
    }

    /// Whether the request is signed by the application, lately, and came as it was signed. `now_s`: seconds since
    /// 1970.
    ///
    /// # Errors
    /// [`RequestError`].
    pub fn check_request(
        &self,
        request: &SignedRequest<'_>,
        now_s: i64,
        allowed_s: u64,
    ) -> Result<(), RequestError> {
        let parameter = |name: &'static str| {
            request.parameters.get(name).map(String::as_str).ok_or(RequestError::Missing(name))
        };
        if parameter("auth_key")? != &*self.key {
            return Err(RequestError::Key);
        }
        if parameter("auth_version")? != "1.0" {
            return Err(RequestError::Version);
        }
        let signed_s: i64 = parameter("auth_timestamp")?.parse().map_err(|_| RequestError::Timestamp)?;
        let off_s = signed_s.abs_diff(now_s);
        if off_s > allowed_s {
            return Err(RequestError::Skew { off_s, allowed_s });
        }
        let digest = request.parameters.get("body_md5");
        if !request.body.is_empty() && digest.is_none() {
            return Err(RequestError::Missing("body_md5"));
        }
        if digest.is_some_and(|digest| *digest != body_md5(request.body)) {
            return Err(RequestError::Body);
        }
        let signature = parameter("auth_signature")?;
        // libraries differ in whether they sign the path before or after they escape it
        let plain = unescape(request.path);
        let paths = [Some(request.path), (plain != request.path).then_some(&*plain)];
        let signed = |path: &str| self.is_signature(signature, request_text(request, path).as_bytes());
        if paths.into_iter().flatten().any(signed) { Ok(()) } else { Err(RequestError::Signature) }
    }

    fn auth(&self, text: &str) -> String {
        format!("{}:{}", self.key, self.sign(text.as_bytes()))
    }

    fn is_auth(&self, auth: &str, text: &str) -> bool {
        auth.split_once(':').is_some_and(|(key, signature)| {
            key == &*self.key && self.is_signature(signature, text.as_bytes())
        })
    }

    fn sign(&self, bytes: &[u8]) -> String {
        hex::encode(self.mac(bytes).finalize().into_bytes())
    }

    fn is_signature(&self, signature: &str, bytes: &[u8]) -> bool {
        hex::decode(signature).is_ok_and(|signature| self.mac(bytes).verify_slice(&signature).is_ok())
    }

    fn mac(&self, bytes: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).expect("HMAC takes keys of any length");
        mac.update(bytes);
        mac
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("key", &self.key).finish_non_exhaustive()
    }
}

/// The parameters of a query: names in small letters and without brackets, values unescaped; what is given several
/// times (`info[]=a&info[]=b`) is joined with commas.
pub fn query(query: &str) -> BTreeMap<String, String> {
    let mut parameters = BTreeMap::<String, String>::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = unescape(name);
        let name = name.split_once('[').map_or(&*name, |(name, _)| name).to_ascii_lowercase();
        let value = unescape(value);
        match parameters.entry(name) {
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(value.into_owned());
            }
            std::collections::btree_map::Entry::Occupied(mut entry) => {
                entry.get_mut().push(',');
                entry.get_mut().push_str(&value);
            }
        }
    }
    parameters
}

/// The digest of a body, as `body_md5` has it.
pub fn body_md5(body: &[u8]) -> String {
    hex::encode(Md5::digest(body))
}

/// Takes the escapes of a URL out of `text`. What is no escape stays as it is.
pub fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        if let Some(byte) = escape.and_then(|digits| hex::decode(digits).ok()) {
            plain.extend_from_slice(&byte);
            at += 3;
        } else {
            plain.push(if bytes[at] == b'+' { b' ' } else { bytes[at] });
            at += 1;
        }
    }
    Cow::Owned(String::from_utf8_lossy(&plain).into_owned())
}

fn channel_text(socket_id: SocketId, channel: &str, channel_data: Option<&str>) -> String {
    match channel_data {
        Some(channel_data) => format!("{socket_id}:{channel}:{channel_data}"),
        None => format!("{socket_id}:{channel}"),
    }
}

/// Begins as nothing that an application signs for its clients.
fn bearer_text(bearer: &str, text: &str) -> String {
    format!("munadi:{}:{bearer}:{text}", bearer.len())
}

fn user_text(socket_id: SocketId, user_data: &str) -> String {
    format!("{socket_id}::user::{user_data}")
}

fn request_text(request: &SignedRequest<'_>, path: &str) -> String {
    let pairs = request.parameters.iter().filter(|(name, _)| *name != "auth_signature");
    let pairs: Vec<_> = pairs.map(|(name, value)| format!("{name}={value}")).collect();
    format!("{}\n{path}\n{}", request.method, pairs.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Key, secret, time and results of the worked examples in Pusher's documentation.
    fn signer() -> Signer {
        Signer::new("278d425bdf160c739803", "7ad3773142a6692b25b8")
    }

    const SOCKET: SocketId = SocketId(1234, 1234);

    #[test]
    fn signatures_are_those_of_the_documentation() {
        let private = "278d425bdf160c739803:58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4";
        assert_eq!(signer().channel_auth(SOCKET, "private-foobar", None), private);
        assert!(signer().opens_channel(private, SOCKET, "private-foobar", None));
        let data = r#"{"user_id":10,"user_info":{"name":"Mr. Channels"}}"#;
        let presence =
            "278d425bdf160c739803:31935e7d86dba64c2a90aed31fdc61869f9b22ba9d8863bba239c03ca481bc80";
        assert_eq!(signer().channel_auth(SOCKET, "presence-foobar", Some(data)), presence);
        let user = r#"{"id":"12345"}"#;
        let auth = signer().user_auth(SOCKET, user);
        assert!(signer().knows_user(&auth, SOCKET, user) && !signer().knows_user(&auth, SOCKET, data));
    }

    #[test]
    fn the_slightest_difference_closes() {
        let auth = signer().channel_auth(SOCKET, "presence-x", Some("{}"));
        let opens = |auth: &str, socket, channel, data| signer().opens_channel(auth, socket, channel, data);
        assert!(opens(&auth, SOCKET, "presence-x", Some("{}")));
        assert!(!opens(&auth, SocketId(1234, 1235), "presence-x", Some("{}")));
        assert!(!opens(&auth, SOCKET, "presence-y", Some("{}")));
        assert!(!opens(&auth, SOCKET, "presence-x", Some("{ }")));
        assert!(!opens(&auth, SOCKET, "presence-x", None));
        assert!(!opens(&auth[..auth.len() - 2], SOCKET, "presence-x", Some("{}")));
        for forged in
            ["", ":", "278d425bdf160c739803", "278d425bdf160c739803:", "other:00", "278d425bdf160c739803:zz"]
        {
            assert!(!opens(forged, SOCKET, "presence-x", Some("{}")), "{forged}");
        }
        assert!(!Signer::new("278d425bdf160c739803", "another").opens_channel(
            &auth,
            SOCKET,
            "presence-x",
            Some("{}")
        ));
    }

    #[test]
    fn an_auth_may_carry_who_is_behind_it() {
        let auth = signer().channel_auth_for("42.7.s", SOCKET, "private-x", None);
        let opens = |auth: &str, channel| signer().opens_channel_for(auth, SOCKET, channel, None);
        assert_eq!(opens(&auth, "private-x").as_deref(), Some("42.7.s"));
        assert_eq!(opens(&auth, "private-y"), None);
        assert_eq!(opens(&auth.replace("3432", "3433"), "private-x"), None, "it cannot be exchanged");
        assert!(!signer().opens_channel(&auth, SOCKET, "private-x", None));
        assert_eq!(opens(&signer().channel_auth(SOCKET, "private-x", None), "private-x"), None);
    }

    const BODY: &[u8] = br#"{"name":"foo","channels":["project-3"],"data":"{\"some\":\"data\"}"}"#;
    const QUERY: &str = "auth_key=278d425bdf160c739803&auth_timestamp=1353088179&auth_version=1.0\
                         &body_md5=ec365a775a4cd0599faeb73354201b6f\
                         &auth_signature=da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c";

    fn check(signer: &Signer, text: &str, body: &[u8], now_s: i64) -> Result<(), RequestError> {
        let parameters = query(text);
        let request = SignedRequest { method: "POST", path: "/apps/3/events", parameters: &parameters, body };
        signer.check_request(&request, now_s, 600)
    }

    #[test]
    fn requests_are_checked_as_in_the_documentation() {
        let check = |text: &str, body, now_s| check(&signer(), text, body, now_s);
        assert_eq!(check(QUERY, BODY, 1_353_088_179), Ok(()));
        assert_eq!(check(QUERY, BODY, 1_353_088_779), Ok(()));
        let skew = RequestError::Skew { off_s: 601, allowed_s: 600 };
        assert_eq!(check(QUERY, BODY, 1_353_088_780), Err(skew.clone()));
        assert_eq!(check(QUERY, BODY, 1_353_087_578), Err(skew));
        assert_eq!(check(QUERY, b"{}", 1_353_088_179), Err(RequestError::Body));
        let table = [
            (QUERY.replace("auth_key=2", "auth_key=3"), RequestError::Key),
            (QUERY.replace("=1.0", "=1.1"), RequestError::Version),
            (QUERY.replace("135308", "x"), RequestError::Timestamp),
            (QUERY.replace("1353088179", "1353088178"), RequestError::Signature),
            (QUERY.replace("&auth_signature", "&info=user_count&auth_signature"), RequestError::Signature),
            (QUERY.replace("auth_signature=da", "auth_signature=db"), RequestError::Signature),
            (QUERY.replace("auth_signature", "signature"), RequestError::Missing("auth_signature")),
            (QUERY.replace("body_md5", "md5"), RequestError::Missing("body_md5")),
        ];
        for (text, expected) in table {
            assert_eq!(check(&text, BODY, 1_353_088_179), Err(expected), "{text}");
        }
    }

    #[test]
    fn queries_are_sorted_joined_and_unescaped() {
        let parameters =
            query("Info[]=user_count&b=%40x&info[1]=subscription_count&a=1+2&&c&d=%zz%4&e=%d9%85");
        let shown: Vec<_> = parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            shown,
            ["a=1 2", "b=@x", "c=", "d=%zz%4", "e=\u{645}", "info=user_count,subscription_count"]
        );
    }

    #[test]
    fn an_escaped_path_may_be_signed_as_it_is_or_unescaped() {
        let unsigned = query("auth_key=278d425bdf160c739803&auth_timestamp=5&auth_version=1.0");
        for path in ["/apps/3/channels/a@b", "/apps/3/channels/a%40b"] {
            let request = SignedRequest { method: "GET", path, parameters: &unsigned, body: b"" };
            let mut parameters = unsigned.clone();
            parameters.insert("auth_signature".into(), signer().request(&request));
            let sent = SignedRequest { path: "/apps/3/channels/a%40b", parameters: &parameters, ..request };
            assert_eq!(signer().check_request(&sent, 0, 600), Ok(()));
        }
    }
}
