//! The counts of one notification, as the API shows them, and what has to hold of them at every look.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use domain::{Channel, DeliveryState};
use tokio::time::{Instant, sleep};

use crate::api::Api;

/// Between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// How a notification stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// People it is for, as far as planning has come.
    pub recipients: u64,
    /// Deliveries planned.
    pub deliveries: u64,
    /// Deliveries by state.
    pub by_state: BTreeMap<String, u64>,
    /// Deliveries by channel and state.
    pub by_channel: BTreeMap<String, BTreeMap<String, u64>>,
}

/// What the looks found until the notification was over.
#[derive(Debug)]
pub(crate) struct Watched {
    /// The last look.
    pub last: Tally,
    /// Looks taken.
    pub looks: u64,
    /// Looks at which the states did not add up to the deliveries, in words.
    pub wrong: Vec<String>,
}

impl Tally {
    /// Looks at an announcement.
    ///
    /// # Errors
    /// When the API refuses or shows no counts.
    pub(crate) async fn of(api: &Api, announcement_id: i64) -> Result<Self> {
        let answer = api.get(&format!("/api/v1/announcements/{announcement_id}")).await?;
        let counts = &answer.data["receipts"];
        let states = |value: &serde_json::Value| -> BTreeMap<String, u64> {
            serde_json::from_value(value.clone()).unwrap_or_default()
        };
        Ok(Self {
            recipients: counts["recipients"].as_u64().context("no count of recipients")?,
            deliveries: counts["deliveries"].as_u64().context("no count of deliveries")?,
            by_state: states(&counts["by_state"]),
            by_channel: serde_json::from_value(counts["by_channel"].clone()).unwrap_or_default(),
        })
    }

    /// How many deliveries have not ended. A mail that was accepted lies in a mailbox: that is an end.
    pub(crate) fn open(&self) -> u64 {
        let open = |states: &BTreeMap<String, u64>, but: Option<DeliveryState>| -> u64 {
            DeliveryState::ALL
                .into_iter()
                .filter(|state| !state.is_end() && Some(*state) != but)
                .filter_map(|state| states.get(state.as_str()))
                .sum()
        };
        self.by_channel
            .iter()
            .map(|(channel, states)| {
                open(states, (channel == Channel::Email.as_str()).then_some(DeliveryState::Accepted))
            })
            .sum()
    }

    /// What does not add up; `None` when everything does.
    pub(crate) fn fault(&self) -> Option<String> {
        let states: u64 = self.by_state.values().sum();
        let channels: u64 = self.by_channel.values().flat_map(BTreeMap::values).sum();
        (states != self.deliveries || channels != self.deliveries).then(|| {
            format!("{} deliveries, but {states} by state and {channels} by channel", self.deliveries)
        })
    }

    /// One line: `delivered 3, failed 1`.
    pub(crate) fn text(&self) -> String {
        let states: Vec<String> =
            self.by_state.iter().map(|(state, count)| format!("{state} {count}")).collect();
        states.join(", ")
    }
}

/// Looks again and again until `enough`, at most `at_most`.
///
/// # Errors
/// When the API refuses.
pub(crate) async fn watch(
    api: &Api,
    announcement_id: i64,
    at_most: Duration,
    enough: impl Fn(&Tally) -> bool,
) -> Result<Watched> {
    let deadline = Instant::now() + at_most;
    let mut watched = Watched { last: Tally::default(), looks: 0, wrong: Vec::new() };
    loop {
        watched.last = Tally::of(api, announcement_id).await?;
        watched.looks += 1;
        watched.wrong.extend(watched.last.fault());
        if enough(&watched.last) || Instant::now() > deadline {
            return Ok(watched);
        }
        sleep(LOOK_INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_accepted_is_still_open_and_sums_are_checked() {
        let states =
            |pairs: &[(&str, u64)]| pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        let by_state: BTreeMap<_, _> = states(&[("accepted", 2), ("delivered", 3), ("failed", 1)]);
        let half: BTreeMap<_, _> = states(&[("accepted", 1), ("delivered", 3)]);
        let mails: BTreeMap<_, _> = states(&[("accepted", 1), ("failed", 1)]);
        let by_channel = BTreeMap::from([("socket".to_owned(), half), ("email".to_owned(), mails)]);
        let tally = Tally { recipients: 6, deliveries: 6, by_state, by_channel };
        assert_eq!((tally.open(), tally.fault()), (1, None));
        let short = Tally { deliveries: 7, ..tally };
        assert_eq!(short.fault().unwrap(), "7 deliveries, but 6 by state and 6 by channel");
    }
}
