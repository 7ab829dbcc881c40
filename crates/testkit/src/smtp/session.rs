//! One conversation with a mail client, strict about order, line ends and dots.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio_rustls::TlsAcceptor;

use super::script::{self, Script};
use super::{Envelope, Relay, State};

/// Bytes of the longest line (RFC 5321 says 1,000 for text).
const LINE_BYTES_MAX: u64 = 1_000;
/// Bytes of the largest mail.
const MAIL_BYTES_MAX: usize = 10 * 1024 * 1024;

/// A stream, encrypted or not.
pub(super) trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// The conversation.
pub(super) struct Session {
    pub(super) state: Arc<State>,
    pub(super) tls: TlsAcceptor,
    pub(super) number: usize,
    pub(super) encrypted: bool,
    authenticated: bool,
    greeted: bool,
    mails: usize,
    envelope: Envelope,
}

/// What a command leads to.
enum Next {
    Reply(String),
    StartTls,
    Authenticate(Vec<String>),
    Content,
    Close(String),
}

impl Session {
    pub(super) fn new(state: Arc<State>, tls: TlsAcceptor, number: usize, encrypted: bool) -> Self {
        Self {
            state,
            tls,
            number,
            encrypted,
            authenticated: false,
            greeted: false,
            mails: 0,
            envelope: Envelope::default(),
        }
    }

    /// Talks until either side closes.
    pub(super) async fn run(mut self, wire: Box<dyn Wire>) -> anyhow::Result<()> {
        let mut wire = BufReader::new(wire);
        say(&mut wire, &self.state.options.banner.clone()).await?;
        loop {
            let Some(line) = self.line(&mut wire).await? else { return Ok(()) };
            match self.command(&line) {
                Next::Reply(reply) => say(&mut wire, &reply).await?,
                Next::Close(reply) => return say(&mut wire, &reply).await,
                Next::Authenticate(words) => self.authenticate(&mut wire, &words).await?,
                Next::StartTls => {
                    say(&mut wire, "220 2.0.0 go ahead").await?;
                    anyhow::ensure!(wire.buffer().is_empty(), "commands before the handshake");
                    let encrypted: Box<dyn Wire> = Box::new(self.tls.accept(wire.into_inner()).await?);
                    wire = BufReader::new(encrypted);
                    self.encrypted = true;
                    self.greeted = false;
                }
                Next::Content => {
                    if !self.content(&mut wire).await? {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn command(&mut self, line: &str) -> Next {
        let words: Vec<String> = line.split_whitespace().map(ToOwned::to_owned).collect();
        let verb = words.first().map(|verb| verb.to_ascii_uppercase()).unwrap_or_default();
        let options = &self.state.options;
        let plain = options.relay == Relay::Plain;
        let reply = match verb.as_str() {
            "EHLO" => {
                self.greeted = true;
                self.envelope = Envelope::default();
                return Next::Reply(self.features());
            }
            "QUIT" => return Next::Close("221 2.0.0 bye".to_owned()),
            "NOOP" => "250 2.0.0 ok",
            "RSET" => {
                self.envelope = Envelope::default();
                "250 2.0.0 forgotten"
            }
            "STARTTLS" if options.relay == Relay::StartTls && !self.encrypted => return Next::StartTls,
            _ if !self.greeted => "503 5.5.1 say EHLO first",
            _ if !self.encrypted && !plain => "530 5.7.0 must issue STARTTLS first",
            "AUTH" if options.login.is_some() => return Next::Authenticate(words),
            "MAIL" if options.login.is_some() && !self.authenticated => "530 5.7.0 authentication required",
            "MAIL" => return self.mail(line),
            "RCPT" => return self.recipient(line),
            "DATA" if self.envelope.to.is_empty() => "503 5.5.1 no valid recipients",
            "DATA" => return Next::Content,
            _ => "502 5.5.2 command not known",
        };
        Next::Reply(reply.to_owned())
    }

    fn features(&self) -> String {
        let options = &self.state.options;
        let mut lines =
            vec!["stand-in.invalid", "PIPELINING", "SIZE 10485760", "8BITMIME", "ENHANCEDSTATUSCODES"];
        if options.relay == Relay::StartTls && !self.encrypted {
            lines.push("STARTTLS");
        }
        if options.dsn {
            lines.push("DSN");
        }
        let may_login = self.encrypted || options.relay == Relay::Plain;
        let mechanisms = format!("AUTH {}", options.mechanisms);
        if options.login.is_some() && may_login {
            lines.push(&mechanisms);
        }
        let last = lines.len() - 1;
        let lines: Vec<String> = lines
            .iter()
            .enumerate()
            .map(|(index, line)| format!("250{}{line}", if index == last { ' ' } else { '-' }))
            .collect();
        lines.join("\r\n")
    }

    fn mail(&mut self, line: &str) -> Next {
        let options = &self.state.options;
        if options.mails_max.is_some_and(|max| self.mails >= max) {
            return Next::Close("421 4.7.0 too many mails on this connection".to_owned());
        }
        if self.envelope.from.is_some() {
            return Next::Reply("503 5.5.1 nested MAIL".to_owned());
        }
        match path(line) {
            Some(from) if from.starts_with("forbidden@") => {
                Next::Reply("550 5.7.1 sender not allowed".to_owned())
            }
            Some(_) if !self.takes(line) => Next::Reply("555 5.5.4 parameter not known".to_owned()),
            Some(from) => {
                self.envelope.from = Some(from);
                Next::Reply("250 2.1.0 ok".to_owned())
            }
            None => Next::Reply("501 5.5.4 malformed path".to_owned()),
        }
    }

    /// Keeps the parameters of a line; false when one is not offered.
    fn takes(&mut self, line: &str) -> bool {
        let parameters: Vec<String> =
            line.rsplit('>').next().unwrap_or_default().split_whitespace().map(ToOwned::to_owned).collect();
        let is_dsn = |one: &String| {
            ["RET=", "ENVID=", "NOTIFY=", "ORCPT="].iter().any(|keyword| one.starts_with(keyword))
        };
        let dsn = self.state.options.dsn;
        let known =
            |one: &String| (dsn && is_dsn(one)) || one.starts_with("BODY=") || one.starts_with("SIZE=");
        let taken = parameters.iter().all(known);
        self.envelope.parameters.extend(parameters);
        taken
    }

    fn recipient(&mut self, line: &str) -> Next {
        if self.envelope.from.is_none() {
            return Next::Reply("503 5.5.1 MAIL first".to_owned());
        }
        let Some(to) = path(line).filter(|to| to.contains('@')) else {
            return Next::Reply("501 5.1.3 malformed address".to_owned());
        };
        if !self.takes(line) {
            return Next::Reply("555 5.5.4 parameter not known".to_owned());
        }
        let reply = match script::of(&to) {
            Script::Recipient(reply) => reply,
            Script::Grey if self.state.is_new(&to) => "451 4.7.1 greylisted, try again later".to_owned(),
            _ => {
                self.envelope.to.push(to);
                return Next::Reply("250 2.1.5 ok".to_owned());
            }
        };
        self.state.refused_recipients.fetch_add(1, Ordering::SeqCst);
        if reply.starts_with("421") { Next::Close(reply) } else { Next::Reply(reply) }
    }

    async fn authenticate(
        &mut self,
        wire: &mut BufReader<Box<dyn Wire>>,
        words: &[String],
    ) -> anyhow::Result<()> {
        if let Some(reply) = self.state.auth_failure() {
            return say(wire, reply).await;
        }
        let mechanism = words.get(1).map(|word| word.to_ascii_uppercase()).unwrap_or_default();
        let given = match mechanism.as_str() {
            "PLAIN" => {
                let text = match words.get(2) {
                    Some(text) => text.clone(),
                    None => self.ask(wire, "334 ").await?,
                };
                let parts: Vec<String> = decoded(&text).split('\0').map(ToOwned::to_owned).collect();
                (parts.get(1).cloned().unwrap_or_default(), parts.get(2).cloned().unwrap_or_default())
            }
            "LOGIN" => {
                let user = self.ask(wire, "334 VXNlcm5hbWU6").await?;
                let password = self.ask(wire, "334 UGFzc3dvcmQ6").await?;
                (decoded(&user), decoded(&password))
            }
            _ => return say(wire, "504 5.5.4 mechanism not known").await,
        };
        self.authenticated = self.state.options.login.as_ref() == Some(&given);
        say(wire, if self.authenticated { "235 2.7.0 welcome" } else { "535 5.7.8 wrong credentials" }).await
    }

    async fn ask(&self, wire: &mut BufReader<Box<dyn Wire>>, question: &str) -> anyhow::Result<String> {
        say(wire, question).await?;
        self.line(wire).await?.ok_or_else(|| anyhow::anyhow!("closed while authenticating"))
    }

    /// Takes the content; false when the connection is to be closed.
    async fn content(&mut self, wire: &mut BufReader<Box<dyn Wire>>) -> anyhow::Result<bool> {
        let envelope = std::mem::take(&mut self.envelope);
        let script = envelope.to.first().map_or(Script::Ok, |to| script::of(to));
        say(wire, "354 end with a dot").await?;
        if script == Script::Cut {
            return Ok(false);
        }
        let mut content = Vec::new();
        loop {
            let Some(line) = self.line(wire).await? else { return Ok(false) };
            if line == "." {
                break;
            }
            // a dot at the beginning of a line is doubled on the wire
            let line = line.strip_prefix('.').unwrap_or(&line);
            content.extend_from_slice(line.as_bytes());
            content.extend_from_slice(b"\r\n");
            anyhow::ensure!(content.len() <= MAIL_BYTES_MAX, "the mail is too large");
        }
        self.mails += 1;
        let latency = self.state.options.latency;
        tokio::time::sleep(latency).await;
        let (reply, taken) = match script {
            Script::Content(ref reply) => (reply.clone(), false),
            _ => (format!("250 2.0.0 Ok: queued as {:08X}", self.state.next_id()), true),
        };
        let number =
            if taken { self.state.record(self.number, self.encrypted, envelope, &content) } else { 0 };
        match script {
            Script::Drop => return Ok(false),
            Script::Silent => {
                while self.line(wire).await?.is_some() {}
                return Ok(false);
            }
            _ => {}
        }
        tracing::trace!(mail.number = number, "answered a mail");
        say(wire, &reply).await?;
        Ok(true)
    }

    /// The next line without its end; `None` when the client has closed.
    async fn line(&self, wire: &mut BufReader<Box<dyn Wire>>) -> anyhow::Result<Option<String>> {
        let mut line = Vec::new();
        wire.take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await?;
        if line.is_empty() {
            return Ok(None);
        }
        let Some(text) = line.strip_suffix(b"\r\n") else {
            self.state.bare_line_ends.fetch_add(1, Ordering::SeqCst);
            anyhow::bail!("a line that is too long or ends without CRLF");
        };
        if text.contains(&b'\r') {
            self.state.bare_line_ends.fetch_add(1, Ordering::SeqCst);
        }
        Ok(Some(String::from_utf8_lossy(text).into_owned()))
    }
}

async fn say(wire: &mut BufReader<Box<dyn Wire>>, reply: &str) -> anyhow::Result<()> {
    wire.write_all(format!("{reply}\r\n").as_bytes()).await?;
    Ok(wire.flush().await?)
}

/// The address between angle brackets.
fn path(line: &str) -> Option<String> {
    let (_, rest) = line.split_once('<')?;
    Some(rest.split_once('>')?.0.to_owned())
}

fn decoded(text: &str) -> String {
    STANDARD.decode(text).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}
