//! `GET /apps/{id}/channels`, `channels/{name}` and `channels/{name}/users`.

use std::collections::BTreeSet;

use axum::response::Response;
use domain::Topic;
use protocol::pusher::http::{CachedEvent, ChannelInfo, Channels, UserView, Users};
use protocol::pusher::{Channel, event};

use super::{ApiError, Desk, Signed, json};
use crate::pusher::App;

/// What can be asked about a channel.
const ASKED: [&str; 3] = ["user_count", "subscription_count", "cache"];

impl Desk {
    pub(super) fn channels(&self, signed: &Signed) -> Result<Response, ApiError> {
        let parameter = |name: &str| signed.parameters.get(name).map(String::as_str).unwrap_or_default();
        let (prefix, asked) = (parameter("filter_by_prefix"), parameter("info"));
        if asks(asked, "user_count") && !prefix.starts_with("presence-") {
            return Err(ApiError::Bad("user_count needs filter_by_prefix=presence-".to_owned()));
        }
        let occupied = self.pusher.counts.occupied(&signed.app.id, prefix).into_iter();
        let about = |name: String| {
            let info = self.info(&signed.app, &name, asked);
            (name, info)
        };
        Ok(json(&Channels { channels: occupied.map(about).collect() }))
    }

    pub(super) fn channel(&self, signed: &Signed, name: &str) -> Result<Response, ApiError> {
        let asked = signed.parameters.get("info").map(String::as_str).unwrap_or_default();
        let channel = self.name(name)?;
        if let Some(unknown) = asked.split(',').find(|one| !one.is_empty() && !ASKED.contains(one)) {
            return Err(ApiError::Bad(format!("\"{unknown}\" is nothing that can be asked about a channel")));
        }
        if asks(asked, "user_count") && !channel.prefix().has_presence() {
            return Err(ApiError::Bad("only presence channels have users".to_owned()));
        }
        let occupied = self.pusher.counts.count(&signed.app.id, name) > 0;
        Ok(json(&ChannelInfo { occupied: Some(occupied), ..self.info(&signed.app, name, asked) }))
    }

    pub(super) fn users(&self, signed: &Signed, name: &str) -> Result<Response, ApiError> {
        let channel = self.name(name)?;
        if !channel.prefix().has_presence() {
            return Err(ApiError::Bad("only presence channels have users".to_owned()));
        }
        let mapped = signed.app.topic(channel);
        let users = mapped.map(|mapped| self.users_of(&mapped.topic)).unwrap_or_default();
        Ok(json(&Users { users: users.into_iter().map(|id| UserView { id }).collect() }))
    }

    /// What was asked about a channel, as far as the channel has it.
    pub(super) fn info(&self, app: &App, name: &str, asked: &str) -> ChannelInfo {
        let Ok(channel) = self.name(name) else { return ChannelInfo::default() };
        let mapped = app.topic(channel);
        let user_count = mapped
            .as_ref()
            .filter(|_| asks(asked, "user_count") && channel.prefix().has_presence())
            .map(|mapped| self.users_of(&mapped.topic).len() as u64);
        let subscription_count =
            asks(asked, "subscription_count").then(|| self.pusher.counts.count(&app.id, name));
        let cache = asks(asked, "cache").then(|| self.cached(app, channel)).flatten();
        ChannelInfo { occupied: None, user_count, subscription_count, cache }
    }

    /// The users in a topic, as far as one answer of the presence goes.
    fn users_of(&self, topic: &Topic) -> BTreeSet<String> {
        let members = self.presence.list(topic).unwrap_or_default();
        members.iter().map(|member| member.info.user.clone()).filter(|user| !user.is_empty()).collect()
    }

    /// The last event of a cache channel.
    fn cached(&self, app: &App, channel: Channel<'_>) -> Option<CachedEvent> {
        let topic = app.topic(channel).filter(|_| channel.prefix().has_cache())?.topic;
        let now = self.clock.now();
        let history = self.histories.read(self.histories.partition_of(&topic));
        let known = history.topic(&topic)?;
        let oldest_at = known.oldest_at(now);
        let kept = known.ring.back().filter(|kept| kept.at >= oldest_at)?;
        let name = kept.item.attributes.as_ref().and_then(|attributes| attributes.event.as_deref());
        let mut text = Vec::new();
        event::write_text(&mut text, event::published(&kept.item.data, name).data);
        let ttl = (kept.at.as_microsecond() - oldest_at.as_microsecond()) / 1_000_000;
        Some(CachedEvent { data: serde_json::from_slice(&text).ok()?, ttl: u64::try_from(ttl).unwrap_or(0) })
    }
}

fn asks(asked: &str, what: &str) -> bool {
    asked.split(',').any(|one| one == what)
}
