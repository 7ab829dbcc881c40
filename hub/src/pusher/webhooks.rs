//! Tells the back end of one application what happens: batches, signed over exactly the bytes that are sent, repeated
//! until it has them or too much time has passed.

use std::sync::Arc;
use std::time::Duration;

use domain::Clock;
use http::header::CONTENT_TYPE;
use protocol::pusher::webhook::{KEY_HEADER, SIGNATURE_HEADER, Webhook, WebhookEvent};
use rand::Rng as _;
use reqwest::Client;
use service::Lifecycle;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::warn;

use super::{App, millis};
use crate::config::Webhooks;
use crate::metrics;

/// Events that no back end will hear of.
pub(super) fn dropped(count: usize) {
    metrics::webhooks(metrics::Told::Dropped, count as u64);
}

/// Tells one application's back end.
pub(super) struct Teller {
    pub(super) app: Arc<App>,
    pub(super) url: String,
    pub(super) config: Webhooks,
    pub(super) client: Client,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) life: Lifecycle,
}

impl Teller {
    /// Runs until nobody can cause events any more.
    pub(super) async fn run(self, mut events: mpsc::Receiver<WebhookEvent>) {
        while let Some(first) = events.recv().await {
            let batch = self.collect(first, &mut events).await;
            self.tell(batch).await;
        }
    }

    /// What comes within the configured time, or until the batch is full.
    async fn collect(
        &self,
        first: WebhookEvent,
        events: &mut mpsc::Receiver<WebhookEvent>,
    ) -> Vec<WebhookEvent> {
        let until = Instant::now() + Duration::from_millis(self.config.batch_wait_ms);
        let mut batch = vec![first];
        while batch.len() < usize::from(self.config.batch_max) {
            match tokio::time::timeout_at(until, events.recv()).await {
                Ok(Some(event)) => batch.push(event),
                Ok(None) | Err(_) => break,
            }
        }
        batch
    }

    async fn tell(&self, events: Vec<WebhookEvent>) {
        let count = events.len();
        let body = Webhook { time_ms: millis(self.clock.now()), events }.to_body();
        let signature = self.app.signer.webhook(&body);
        let body = bytes::Bytes::from(body);
        let until = Instant::now() + Duration::from_millis(self.config.retry_for_ms);
        let mut pause_ms = self.config.retry_ms_min;
        loop {
            let request = self
                .client
                .post(&self.url)
                .header(CONTENT_TYPE, "application/json")
                .header(KEY_HEADER, self.app.signer.key())
                .header(SIGNATURE_HEADER, &signature)
                .body(body.clone());
            let failure = match request.send().await {
                Ok(answer) if answer.status().is_success() => {
                    return metrics::webhooks(metrics::Told::Done, count as u64);
                }
                Ok(answer) => format!("it answered {}", answer.status()),
                Err(error) => format!("{:#}", error.without_url()),
            };
            let jitter_ms = rand::rng().random_range(pause_ms / 2..=pause_ms);
            let next = Instant::now() + Duration::from_millis(jitter_ms);
            // a process that ends does not wait for a back end in trouble
            if next > until || self.life.drain().is_cancelled() {
                warn!(app.id = %self.app.id, "{count} webhooks were dropped: {failure}");
                return dropped(count);
            }
            metrics::webhooks(metrics::Told::Repeated, count as u64);
            tokio::select! { // sleeping changes nothing: cancel-safe
                () = tokio::time::sleep_until(next) => {}
                () = self.life.drain().cancelled() => {}
            }
            pause_ms = (pause_ms * 2).min(self.config.retry_ms_max);
        }
    }
}
