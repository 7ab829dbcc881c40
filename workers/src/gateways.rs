//! The providers that this installation has.

use std::fmt;
use std::sync::Arc;

use domain::Channel;

use crate::credentials::Renewable;
use crate::gateway::Gateway;

/// One gateway for each configured channel. Cloning is cheap.
#[derive(Clone, Default)]
pub struct Gateways {
    /// Apple's push service.
    pub apns: Option<Arc<dyn Gateway>>,
    /// Google's push service.
    pub fcm: Option<Arc<dyn Gateway>>,
    /// Browsers' push services.
    pub webpush: Option<Arc<dyn Gateway>>,
    /// The mail relay.
    pub email: Option<Arc<dyn Gateway>>,
    /// Those whose credentials are watched.
    pub renewable: Renewables,
}

/// The adapters whose credentials are in files that are watched.
#[derive(Debug, Clone, Default)]
pub struct Renewables(pub(crate) Vec<Arc<Renewable>>);

impl Gateways {
    /// The gateway of `channel`. Sockets have none: they are reached through the change log.
    pub fn of(&self, channel: Channel) -> Option<&Arc<dyn Gateway>> {
        match channel {
            Channel::Apns => self.apns.as_ref(),
            Channel::Fcm => self.fcm.as_ref(),
            Channel::Webpush => self.webpush.as_ref(),
            Channel::Email => self.email.as_ref(),
            Channel::Socket => None,
        }
    }

    /// Whether deliveries of `channel` can leave.
    pub fn reach(&self, channel: Channel) -> bool {
        channel == Channel::Socket || self.of(channel).is_some()
    }
}

impl fmt::Debug for Gateways {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let configured: Vec<&str> =
            Channel::ALL.into_iter().filter(|one| self.reach(*one)).map(Channel::as_str).collect();
        f.debug_tuple("Gateways").field(&configured).finish()
    }
}
