//! A provider that answers as it is told.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use domain::{Action, DeliveryId, Lane, NotificationId};
use tokio::sync::Semaphore;
use workers::gateway::{Gateway, Outcome, Outgoing, Verdict};

/// One message that arrived.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) delivery_id: DeliveryId,
    pub(crate) notification_id: NotificationId,
    pub(crate) thread_id: NotificationId,
    pub(crate) target: String,
    pub(crate) title: String,
    pub(crate) lane: Lane,
    pub(crate) attempt: u32,
}

/// What a target answers before it accepts, and how long it asks to wait.
type Answers = VecDeque<(Action, Option<Duration>)>;

/// Accepts everything, unless a target has answers of its own or the configuration is said to be wrong.
#[derive(Debug)]
pub(crate) struct Scripted {
    answers: Mutex<HashMap<String, Answers>>,
    sent: Mutex<Vec<Sent>>,
    misconfigured: AtomicBool,
    /// Messages that may pass; many unless a test holds them.
    gate: Semaphore,
}

impl Default for Scripted {
    fn default() -> Self {
        Self {
            answers: Mutex::default(),
            sent: Mutex::default(),
            misconfigured: AtomicBool::new(false),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
        }
    }
}

impl Scripted {
    /// A provider that lets nothing pass before [`Scripted::let_pass`].
    pub(crate) fn held() -> Self {
        Self { gate: Semaphore::new(0), ..Self::default() }
    }

    pub(crate) fn let_pass(&self, messages: usize) {
        self.gate.add_permits(messages);
    }

    /// The next answers of `target`, before it accepts.
    pub(crate) fn script(&self, target: &str, answers: &[Action]) {
        let answers = answers.iter().map(|action| (*action, None)).collect();
        self.answers.lock().unwrap().insert(target.to_owned(), answers);
    }

    pub(crate) fn ask_to_wait(&self, target: &str, wait: Duration) {
        let answers = VecDeque::from([(Action::Retry, Some(wait))]);
        self.answers.lock().unwrap().insert(target.to_owned(), answers);
    }

    pub(crate) fn misconfigure(&self, wrong: bool) {
        self.misconfigured.store(wrong, Ordering::SeqCst);
    }

    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().clone()
    }
}

#[async_trait]
impl Gateway for Scripted {
    async fn send(&self, message: &Outgoing) -> Outcome {
        self.gate.acquire().await.unwrap().forget();
        self.sent.lock().unwrap().push(Sent {
            delivery_id: message.delivery_id,
            notification_id: message.notification_id,
            thread_id: message.thread_id,
            target: message.target.clone(),
            title: message.title.clone(),
            lane: message.lane,
            attempt: message.attempt,
        });
        let answer = if self.misconfigured.load(Ordering::SeqCst) {
            Some((Action::FixConfig, None))
        } else {
            self.answers.lock().unwrap().get_mut(&message.target).and_then(VecDeque::pop_front)
        };
        let (verdict, retry_after) = match answer {
            None => (Verdict::Accepted, None),
            Some((action, wait)) => (Verdict::Refused(action), wait),
        };
        Outcome {
            verdict,
            provider_id: Some(format!("provider-{}", message.attempt)),
            status_code: Some(200),
            reason: "scripted".to_owned(),
            retry_after,
            bytes_left: true,
        }
    }
}
