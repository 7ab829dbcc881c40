//! Bells that wake whoever waits for something to come in: one per name.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

/// The bells by name. A bell that is rung while nobody waits is heard by whoever listened before.
#[derive(Debug, Default)]
pub(crate) struct Bells(Mutex<HashMap<Box<str>, watch::Sender<()>>>);

impl Bells {
    /// Listens from now on.
    pub(crate) fn listen(&self, name: &str) -> watch::Receiver<()> {
        let mut bells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bells.entry(name.into()).or_default().subscribe()
    }

    /// Wakes who listens to `name`.
    pub(crate) fn ring(&self, name: &str) {
        let bells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bell) = bells.get(name) {
            bell.send_replace(());
        }
    }

    /// Wakes everybody.
    pub(crate) fn ring_all(&self) {
        for bell in self.0.lock().unwrap_or_else(PoisonError::into_inner).values() {
            bell.send_replace(());
        }
    }
}
