//! `[workers.email]`: how mail leaves.

use std::path::PathBuf;

use lettre::Address;
use lettre::message::Mailbox;
use secrecy::SecretString;
use serde::Deserialize;
use service::Faults;

/// The mail relay: `[workers.email]` in `config/munadi.toml`. Used when a host is given.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Host name of the relay, as its certificate says.
    pub host: String,
    /// Its port: usually 587 with `starttls`, 465 with `implicit`.
    pub port: u16,
    /// How the connection is encrypted.
    pub tls: Tls,
    /// A PEM file with an authority to trust besides the system's; for rehearsals with stand-ins.
    pub ca_file: Option<PathBuf>,
    /// User at the relay; empty when it wants no login.
    pub username: String,
    /// Password of that user. Give this or `password_file`.
    pub password: Option<SecretString>,
    /// A file with that password.
    pub password_file: Option<PathBuf>,
    /// The name by which Munadi greets the relay: this machine's name in DNS.
    pub hello_name: String,
    /// What recipients see as the sender, such as `Al-Alamein Festival <news@festival.example>`.
    pub from: String,
    /// The same for the emergency lane; empty: as `from`. A domain of its own keeps the reputation of promotional
    /// mail away from emergencies.
    pub emergency_from: String,
    /// Where answers go; empty: to `from`.
    pub reply_to: String,
    /// Address to which undeliverable mail returns; empty: the one of `from`.
    pub envelope_from: String,
    /// Domain of the addresses to which undeliverable mail returns, one for each delivery, such as
    /// `bounces.festival.example`. The relay for that domain hands what comes back to `POST /api/v1/mail/bounces`
    /// (`docs/mail.md`). Empty: everything returns to `envelope_from`, and nobody learns of late bounces.
    pub bounce_domain: String,
    /// Whether relays that offer DSN are asked to report mails that reached their mailbox, too, and not only those
    /// that did not. Off: less mail comes back, and no mail is ever proved to be delivered.
    pub dsn_success: bool,
    /// Where this installation's API is for people outside, such as `https://festival.example`: promotional mail links
    /// there to be unsubscribed from. Empty: promotional mail has no such link, and large mailbox providers refuse it.
    pub public_url: String,
    /// Connections for each lane. 1 to 32. Too low: slow mailings. Too high: the relay refuses some.
    pub connections_per_lane: u32,
    /// Mails after which a connection is closed. 1 to 10,000. Too low: many handshakes. Too high: relays close it
    /// in between.
    pub mails_per_connection: u32,
    /// Idle time after which a connection is not used again, in milliseconds. 1,000 to 600,000. Too low: many
    /// handshakes. Too high: the relay has closed it meanwhile, and the next mail starts over.
    pub idle_ms: u32,
    /// Wait for a free connection, in milliseconds. 100 to 600,000. Too low: bursts go back to the queue. Too high:
    /// a stuck relay keeps its work items.
    pub connection_wait_ms: u32,
    /// For connecting, TLS, greeting and login, in milliseconds. 100 to 300,000. Too low: slow relays never
    /// connect. Too high: a dead one delays the retry.
    pub connect_timeout_ms: u32,
    /// For each command and its reply, in milliseconds. 100 to 300,000. Too low: slow relays fail. Too high: a
    /// stuck one holds its deliveries.
    pub command_timeout_ms: u32,
    /// For the content, in milliseconds. 100 to 600,000. Too low: large mails on slow lines fail. Too high: as above.
    pub content_timeout_ms: u32,
    /// For the reply to the content, in milliseconds. 100 to 600,000; RFC 5321 asks for 10 minutes. Too low: mails
    /// that were taken count as unknown and are repeated. Too high: a stuck relay holds its deliveries.
    pub final_timeout_ms: u32,
    /// Shortest wait after greylisting outside the emergency lane, in milliseconds. 0 to 3,600,000. Too low: the
    /// mail is refused again. Too high: it comes late.
    pub greylist_wait_ms: u32,
}

/// How a connection to the relay is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// Plain at first; STARTTLS is required before anything else.
    #[default]
    Starttls,
    /// From the first byte.
    Implicit,
    /// Not at all: only for a relay on this machine.
    None,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            host: String::new(),
            port: 587,
            tls: Tls::default(),
            ca_file: None,
            username: String::new(),
            password: None,
            password_file: None,
            hello_name: "localhost".to_owned(),
            from: String::new(),
            emergency_from: String::new(),
            reply_to: String::new(),
            envelope_from: String::new(),
            bounce_domain: String::new(),
            dsn_success: true,
            public_url: String::new(),
            connections_per_lane: 4,
            mails_per_connection: 100,
            idle_ms: 30_000,
            connection_wait_ms: 60_000,
            connect_timeout_ms: 30_000,
            command_timeout_ms: 30_000,
            content_timeout_ms: 60_000,
            final_timeout_ms: 300_000,
            greylist_wait_ms: 300_000,
        }
    }
}

impl Config {
    /// Whether a relay is given.
    pub fn is_enabled(&self) -> bool {
        !self.host.is_empty()
    }

    /// Notes what is wrong. Nothing is required while no relay is given.
    pub fn check(&self, faults: &mut Faults) {
        faults.range("connections_per_lane", self.connections_per_lane, 1..=32);
        faults.range("mails_per_connection", self.mails_per_connection, 1..=10_000);
        faults.range("idle_ms", self.idle_ms, 1_000..=600_000);
        faults.range("connection_wait_ms", self.connection_wait_ms, 100..=600_000);
        faults.range("connect_timeout_ms", self.connect_timeout_ms, 100..=300_000);
        faults.range("command_timeout_ms", self.command_timeout_ms, 100..=300_000);
        faults.range("content_timeout_ms", self.content_timeout_ms, 100..=600_000);
        faults.range("final_timeout_ms", self.final_timeout_ms, 100..=600_000);
        faults.range("greylist_wait_ms", self.greylist_wait_ms, 0..=3_600_000);
        if self.is_enabled() {
            self.check_relay(faults);
        }
    }

    fn check_relay(&self, faults: &mut Faults) {
        if !self.bounce_domain.is_empty() && Address::new("b", &self.bounce_domain).is_err() {
            faults.add("bounce_domain", "must be a domain such as bounces.festival.example");
        }
        if !self.public_url.is_empty() {
            crate::channels::check_url(faults, "public_url", &self.public_url);
        }
        faults.range("port", self.port, 1..=u16::MAX);
        if self.tls == Tls::None && !is_this_machine(&self.host) {
            faults.add("tls", "must not be \"none\" for a relay on another machine");
        }
        if !self.hello_name.bytes().all(|byte| byte.is_ascii_graphic()) || self.hello_name.is_empty() {
            faults.add("hello_name", "must be a host name");
        }
        let mailboxes = [
            ("from", &self.from, true),
            ("emergency_from", &self.emergency_from, false),
            ("reply_to", &self.reply_to, false),
        ];
        for (field, text, required) in mailboxes {
            if (required || !text.is_empty()) && text.parse::<Mailbox>().is_err() {
                faults.add(field, "must be an address such as News <news@festival.example>");
            }
        }
        if !self.envelope_from.is_empty() && self.envelope_from.parse::<Address>().is_err() {
            faults.add("envelope_from", "must be an address such as bounces@festival.example");
        }
        let has_password = self.password.is_some() || self.password_file.is_some();
        if has_password == self.username.is_empty() {
            faults.add("username", "username and password go together");
        }
        if self.password.is_some() && self.password_file.is_some() {
            faults.add("password_file", "give either password or password_file");
        }
    }
}

/// Whether a host name is this machine's for sure.
fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        let mut faults = Faults::default();
        toml::from_str::<Config>(text).unwrap().check(&mut faults);
        faults.list().iter().map(|fault| fault.field.clone()).collect()
    }

    #[test]
    fn the_default_is_off_and_a_relay_needs_a_sender() {
        assert!(faults("").is_empty() && !Config::default().is_enabled());
        assert_eq!(faults("host = \"mail.example\""), ["from"]);
        assert!(faults("host = \"mail.example\"\nfrom = \"مهرجان <news@festival.example>\"").is_empty());
    }

    #[test]
    fn plain_text_is_for_this_machine_only() {
        let relay = |host: &str| format!("host = \"{host}\"\nfrom = \"a@b.example\"\ntls = \"none\"");
        assert_eq!(faults(&relay("mail.example")), ["tls"]);
        assert!(faults(&relay("127.0.0.1")).is_empty() && faults(&relay("localhost")).is_empty());
    }

    #[test]
    fn every_limit_and_the_login_are_checked() {
        let text = "connections_per_lane = 0\nmails_per_connection = 0\nidle_ms = 0\nconnection_wait_ms = 0\n\
            connect_timeout_ms = 0\ncommand_timeout_ms = 0\ncontent_timeout_ms = 0\nfinal_timeout_ms = 0\n\
            greylist_wait_ms = 9999999\nhost = \"mail.example\"\nport = 0\nhello_name = \"\"\nfrom = \"x\"\n\
            emergency_from = \"x\"\nreply_to = \"x\"\nenvelope_from = \"x\"\nusername = \"u\"";
        assert_eq!(faults(text).len(), 16);
    }
}
