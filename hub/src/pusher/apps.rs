//! The applications: who may connect in whose name.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use protocol::pusher::webhook::WebhookEvent;
use protocol::pusher::{Channel, Names, Signer, topics::Mapped};
use secrecy::ExposeSecret as _;

use crate::config::{self, WebhookKind};

/// Number of an application in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct AppNumber(u16);

/// Every application of the configuration.
#[derive(Debug, Clone)]
pub(crate) struct Apps(Arc<[Arc<App>]>);

/// One application.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) number: AppNumber,
    pub(crate) id: String,
    pub(crate) config: config::App,
    pub(crate) signer: Signer,
    names: Names,
    connections: AtomicU32,
}

/// One connection's place among those that its application may have; given back when dropped.
pub(crate) struct Place(Arc<App>);

impl Apps {
    /// As they are configured.
    pub(super) fn new(config: &config::Pusher) -> Self {
        let app = |(number, (id, config)): (usize, (&String, &config::App))| {
            let secret = config.read_secret().unwrap_or_default();
            Arc::new(App {
                number: AppNumber(u16::try_from(number).expect("there are fewer than 65,536 applications")),
                id: id.clone(),
                signer: Signer::new(&config.key, secret.expose_secret()),
                names: Names::new(config.shared.clone(), &config.class),
                connections: AtomicU32::new(0),
                config: config.clone(),
            })
        };
        Self(config.apps.iter().enumerate().map(app).collect())
    }

    /// Whether there is none: Pusher's protocol is off.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The application with this number.
    pub(crate) fn get(&self, number: AppNumber) -> &Arc<App> {
        &self.0[usize::from(number.0)]
    }

    /// The application with this id.
    pub(crate) fn by_id(&self, id: &str) -> Option<&Arc<App>> {
        self.0.iter().find(|app| app.id == id)
    }

    /// The application with this key.
    pub(crate) fn by_key(&self, key: &str) -> Option<&Arc<App>> {
        self.0.iter().find(|app| app.signer.key() == key)
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<App>> {
        self.0.iter()
    }
}

impl App {
    /// A place for one more connection; `None` when there is none.
    pub(crate) fn admit(self: &Arc<Self>) -> Option<Place> {
        let more = |count| (count < self.config.connections_max).then_some(count + 1);
        self.connections.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Place(Arc::clone(self)))
    }

    /// Its connections on this node.
    pub(crate) fn connections(&self) -> u32 {
        self.connections.load(Ordering::Relaxed)
    }

    /// The topic of a channel.
    pub(crate) fn topic(&self, channel: Channel<'_>) -> Option<Mapped> {
        self.names.topic(channel)
    }

    /// Whether its back end is told of such an event.
    pub(crate) fn wants(&self, event: &WebhookEvent) -> bool {
        let kind = match event {
            WebhookEvent::ChannelOccupied { .. } | WebhookEvent::ChannelVacated { .. } => {
                WebhookKind::ChannelExistence
            }
            WebhookEvent::MemberAdded { .. } | WebhookEvent::MemberRemoved { .. } => WebhookKind::Presence,
            WebhookEvent::ClientEvent { .. } => WebhookKind::ClientEvents,
            WebhookEvent::CacheMiss { .. } => WebhookKind::CacheMisses,
            WebhookEvent::SubscriptionCount { .. } => WebhookKind::SubscriptionCounts,
        };
        self.config.webhook_url.is_some() && self.config.webhook_events.contains(&kind)
    }
}

impl Place {
    /// Whose.
    pub(crate) fn app(&self) -> &Arc<App> {
        &self.0
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Place").field(&self.0.id).finish()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_given_back() {
        let json = r#"{"apps":{"a":{"key":"k","secret":"0123456789abcdef","connections_max":1}}}"#;
        let apps = Apps::new(&serde_json::from_str(json).unwrap());
        let app = apps.by_key("k").unwrap();
        let place = app.admit();
        assert!(place.is_some() && app.admit().is_none() && app.connections() == 1);
        drop(place);
        assert!(app.admit().is_some());
        assert!(apps.by_id("a").is_some() && apps.by_id("k").is_none() && apps.by_key("a").is_none());
    }
}
