//! `[hub.pusher.apps.<id>]`: one application.

use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use service::Faults;

use super::{WebhookKind, is_plain};

/// Characters of the shortest secret that nobody guesses.
const SECRET_CHARS_MIN: usize = 16;

/// An application that speaks Pusher's protocol: `[hub.pusher.apps.<id>]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct App {
    /// Whether it may be used. Clients of an application that is switched off are refused with 4003.
    pub enabled: bool,
    /// What clients show: public.
    pub key: String,
    /// What the application's back end signs with: at least 16 characters. Give this or `secret_file`. Whoever has it
    /// may publish to, and let anybody follow, every topic of the classes in `shared`.
    pub secret: Option<SecretString>,
    /// A file with that secret.
    pub secret_file: Option<PathBuf>,
    /// Classes of topics that the application reaches: its channel `venue.5` or `private-venue.5` is the topic `venue:5`.
    /// Take `user` out when the application's users are not ours.
    pub shared: Vec<String>,
    /// The class of its other channels, which are its own: `default` for topics that are named like the channel, or a
    /// name that keeps applications apart. Its section in `hub.classes`, if any, says what is kept.
    pub class: String,
    /// Whether clients may send events to each other in the application's own private and presence channels.
    pub client_events: bool,
    /// Whether clients are told how many subscribers a channel has.
    pub subscription_counts: bool,
    /// Connections of the application on this node; one more is refused with 4004. 1 to 10,000,000. Too low: people are
    /// turned away. Too high: one application can fill the node.
    pub connections_max: u32,
    /// Where the application's back end is told what happens; none: it is not.
    pub webhook_url: Option<String>,
    /// What it is told: `channel_existence`, `presence`, `client_events`, `cache_misses`, `subscription_counts`.
    pub webhook_events: Vec<WebhookKind>,
}

impl Default for App {
    fn default() -> Self {
        Self {
            enabled: true,
            key: String::new(),
            secret: None,
            secret_file: None,
            shared: ["festival", "venue", "event", "user", "staff"].map(str::to_owned).to_vec(),
            class: "default".to_owned(),
            client_events: true,
            subscription_counts: false,
            connections_max: 1_000_000,
            webhook_url: None,
            webhook_events: vec![
                WebhookKind::ChannelExistence,
                WebhookKind::Presence,
                WebhookKind::CacheMisses,
            ],
        }
    }
}

impl App {
    pub(super) fn check(&self, faults: &mut Faults) {
        if self.key.is_empty() || !self.key.bytes().all(is_plain) {
            faults.add("key", "must have letters, digits, - and _");
        }
        match (&self.secret, &self.secret_file) {
            (Some(secret), None) => check_length("secret", secret, faults),
            (None, Some(file)) => {
                if let Some(secret) = service::config::read_secret("secret_file", file, faults) {
                    check_length("secret_file", &secret, faults);
                }
            }
            (Some(_), Some(_)) => faults.add("secret_file", "give either secret or secret_file"),
            (None, None) => faults.add("secret", "is missing: give secret or secret_file"),
        }
        for class in &self.shared {
            if class == "default" || !is_class(class) {
                faults.add("shared", format!("\"{class}\" is no class of topics with names before a colon"));
            }
        }
        if !is_class(&self.class) {
            faults.add("class", "must be a class of topics");
        }
        faults.range("connections_max", self.connections_max, 1..=10_000_000);
        let is_http = |url: &str| url.starts_with("http://") || url.starts_with("https://");
        if self.webhook_url.as_deref().is_some_and(|url| !is_http(url)) {
            faults.add("webhook_url", "must begin with https:// or http://");
        }
    }

    /// The secret; `None` when the configuration was not checked, or the file has changed since.
    pub(crate) fn read_secret(&self) -> Option<SecretString> {
        let from_file = |file| service::config::read_secret("secret_file", file, &mut Faults::default());
        self.secret.clone().or_else(|| self.secret_file.as_deref().and_then(from_file))
    }
}

fn check_length(field: &str, secret: &SecretString, faults: &mut Faults) {
    if secret.expose_secret().len() < SECRET_CHARS_MIN {
        faults.add(field, format!("must have at least {SECRET_CHARS_MIN} characters"));
    }
}

fn is_class(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(is_plain)
}
