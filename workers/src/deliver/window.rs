//! How many messages may be under way to a provider at once: more while it takes them, half when it says that it is
//! too much (additive increase, multiplicative decrease, as TCP does it).
//!
//! One for each channel and lane, so that a throttled promotion never slows an emergency down.

use std::sync::Mutex;
use std::time::Duration;

use domain::Action;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::gateway::{Outcome, Verdict};

/// After a decrease, others do not count for so long: they are about the same congestion.
const DECREASE_WAIT: Duration = Duration::from_secs(1);
/// Messages that may begin at once while nothing is known of the provider.
const START: f64 = 32.0;

/// The window of one lane.
#[derive(Debug)]
pub(crate) struct Window {
    max: f64,
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug)]
struct State {
    limit: f64,
    /// Below this the window doubles by the round trip, above it it grows by one.
    steady_from: f64,
    under_way: usize,
    decreased_at: Option<Instant>,
}

/// The right to one message under way; ends with [`Turn::ended`], or when it is dropped.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    window: &'a Window,
}

/// What an outcome says about the provider's load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Load {
    Fine,
    TooMuch,
    /// It was about something else.
    Silent,
}

impl Window {
    /// At most `max` messages at once; `eager` begins there, because what is urgent cannot wait to learn.
    pub(crate) fn new(max: usize, eager: bool) -> Self {
        let max = f64::from(u32::try_from(max).unwrap_or(u32::MAX)).max(1.0);
        let state = State {
            limit: if eager { max } else { max.min(START) },
            steady_from: max,
            under_way: 0,
            decreased_at: None,
        };
        Self { max, state: Mutex::new(state), freed: Notify::new() }
    }

    /// Waits for the right to send one message.
    pub(crate) async fn enter(&self) -> Turn<'_> {
        loop {
            let freed = self.freed.notified();
            {
                let mut state = self.lock();
                if state.under_way < whole(state.limit) {
                    state.under_way += 1;
                    return Turn { window: self };
                }
            }
            freed.await;
        }
    }

    /// How many may be under way now.
    pub(crate) fn limit(&self) -> usize {
        whole(self.lock().limit)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }

    fn learn(&self, load: Load, now: Instant) {
        let mut state = self.lock();
        match load {
            Load::Silent => {}
            Load::Fine => {
                let step = if state.limit < state.steady_from { 1.0 } else { 1.0 / state.limit };
                state.limit = (state.limit + step).min(self.max);
            }
            Load::TooMuch => {
                if state.decreased_at.is_none_or(|at| now.duration_since(at) >= DECREASE_WAIT) {
                    state.limit = (state.limit / 2.0).max(1.0);
                    state.steady_from = state.limit;
                    state.decreased_at = Some(now);
                }
            }
        }
    }
}

impl Turn<'_> {
    /// The message has got its outcome.
    pub(crate) fn ended(self, outcome: &Outcome) {
        self.window.learn(load(outcome), Instant::now());
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.window.lock().under_way -= 1;
        // one for the place that is free now, one for the place that the window may have grown by
        self.window.freed.notify_one();
        self.window.freed.notify_one();
    }
}

fn load(outcome: &Outcome) -> Load {
    match (outcome.verdict, outcome.status_code) {
        (Verdict::Refused(Action::Retry | Action::Unknown), Some(429 | 503 | 421 | 451 | 452)) => {
            Load::TooMuch
        }
        (Verdict::Refused(_), None) if outcome.reason == "timeout" => Load::TooMuch,
        (Verdict::Accepted, _) | (Verdict::Refused(Action::DropTarget | Action::Quarantine), Some(_)) => {
            Load::Fine
        }
        (Verdict::Refused(_), _) => Load::Silent,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it lies between 1 and the maximum"
)]
fn whole(limit: f64) -> usize {
    limit as usize
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn outcome(verdict: Verdict, status_code: Option<u16>) -> Outcome {
        Outcome {
            verdict,
            provider_id: None,
            status_code,
            reason: "x".to_owned(),
            retry_after: None,
            bytes_left: true,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_grows_while_messages_are_taken_and_halves_once_a_second_when_it_is_too_much() {
        let window = Window::new(200, false);
        let fine = outcome(Verdict::Accepted, Some(200));
        let much = outcome(Verdict::Refused(Action::Retry), Some(429));
        for _ in 0..300 {
            window.enter().await.ended(&fine);
        }
        assert_eq!(window.limit(), 200, "never above its maximum");
        let turns: Vec<_> = (0..200).map(|_| window.enter().now_or_never().unwrap()).collect();
        assert!(window.enter().now_or_never().is_none(), "one more has to wait");
        for turn in turns {
            turn.ended(&much);
        }
        assert_eq!(window.limit(), 100, "two hundred complaints about one moment halve it once");
        tokio::time::advance(DECREASE_WAIT).await;
        window.enter().await.ended(&much);
        assert_eq!(window.limit(), 50);
        for _ in 0..51 {
            window.enter().await.ended(&fine);
        }
        assert_eq!(window.limit(), 51, "then by one for a whole window of them");
        for _ in 0..20 {
            tokio::time::advance(DECREASE_WAIT).await;
            window.enter().await.ended(&much);
        }
        assert_eq!(window.limit(), 1, "one is always permitted, or nobody would learn that it is over");
    }

    #[tokio::test]
    async fn whoever_waits_goes_on_when_a_place_is_free() {
        let window = Window::new(1, true);
        let first = window.enter().await;
        let mut second = std::pin::pin!(window.enter());
        assert!(second.as_mut().now_or_never().is_none());
        drop(first);
        second.await.ended(&outcome(Verdict::Accepted, None));
    }
}
