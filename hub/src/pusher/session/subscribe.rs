//! `pusher:subscribe` and `pusher:unsubscribe`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use domain::{Publisher, Standing, Topic};
use protocol::centrifuge::minify;
use protocol::pusher::read::{Member, Subscribe};
use protocol::pusher::topics::{Form, Mapped};
use protocol::pusher::webhook::WebhookEvent;
use protocol::pusher::write::MemberView;
use protocol::pusher::{Channel, Prefix, ServerMessage};
use serde_json::value::RawValue;

use super::{Bearer, Seated, Session, Subscription};
use crate::classes::Caller;
use crate::config::Config;
use crate::history::Wish;
use crate::out::Out;
use crate::presence;
use crate::publication::channel_message;
use crate::pusher::roster::Whose;
use crate::revocations::Revocations;
use crate::topics::Terms;
use crate::world::World;

/// Why a subscription is refused.
struct Refusal {
    kind: &'static str,
    message: Cow<'static, str>,
    status: u16,
}

/// Members of a presence channel: id, and what others see.
type Members = BTreeMap<String, Option<String>>;

/// A subscription that may begin.
struct Granted {
    mapped: Mapped,
    member: Option<Member>,
    bearer: Option<Bearer>,
}

impl Refusal {
    fn auth(message: &'static str) -> Self {
        Self { kind: "AuthError", message: message.into(), status: 401 }
    }

    fn bad(message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind: "InvalidRequest", message: message.into(), status: 400 }
    }

    fn limit(message: &'static str) -> Self {
        Self { kind: "LimitReached", message: message.into(), status: 429 }
    }
}

impl Session {
    pub(super) fn subscribe(&mut self, request: &Subscribe<'_>, world: &mut World<'_>, out: &mut Out) {
        let name = &*request.channel;
        match self.grant(request, world) {
            Ok(granted) => self.begin(name, granted, world, out),
            Err(Refusal { kind, message, status }) => {
                out.tell(&ServerMessage::SubscriptionError {
                    channel: name,
                    kind,
                    message: &message,
                    status,
                });
            }
        }
    }

    pub(super) fn unsubscribe(&mut self, name: &str, world: &mut World<'_>) {
        let channel = Channel::parse(name, usize::from(self.pusher.config.channel_name_max)).ok();
        let Some(Mapped { topic, form }) = channel.and_then(|channel| self.app().topic(channel)) else {
            return;
        };
        if let Some(at) = self.subscription_to(&topic, form, world.topics) {
            let subscription = self.subscriptions.swap_remove(at);
            self.end(&subscription, world.topics);
        }
    }

    /// Whether the subscription is allowed, and what it is.
    fn grant(&self, request: &Subscribe<'_>, world: &World<'_>) -> Result<Granted, Refusal> {
        let name = &*request.channel;
        let channel = Channel::parse(name, usize::from(self.pusher.config.channel_name_max))
            .map_err(|error| Refusal::bad(error.to_string()))?;
        let mapped = self.app().topic(channel).ok_or_else(|| Refusal::bad("there is no such channel"))?;
        if self.subscription_to(&mapped.topic, mapped.form, world.topics).is_some() {
            return Err(Refusal::bad("the channel is subscribed already"));
        }
        if self.subscriptions.len() >= usize::from(world.config.limits.topics_per_connection_max) {
            return Err(Refusal::limit("the connection has too many channels"));
        }
        let prefix = channel.prefix();
        let (mut bearer, mut member) = (None, None);
        if prefix.is_signed() {
            bearer = self.check_auth(request, name, &world.authority.revocations)?;
            if prefix.has_presence() {
                let found = self.member(request)?;
                if self.is_full(&mapped.topic, &found.user_id, world) {
                    return Err(Refusal::limit("the channel has too many members"));
                }
                member = Some(found);
            }
        } else if prefix == Prefix::User {
            if self.user.as_ref().is_none_or(|user| user.id != channel.base()) {
                return Err(Refusal::auth("only the signed-in user may listen here"));
            }
        } else if !is_open(&mapped, world.config) {
            return Err(Refusal::auth("the topic is not open to everybody"));
        }
        if mapped.form != Form::Own && world.config.classes.of(&mapped.topic).is_none() {
            return Err(Refusal::bad("there is no such topic"));
        }
        Ok(Granted { mapped, member, bearer })
    }

    /// Checks the signature; gives whose access token is behind it, if one is.
    fn check_auth(
        &self,
        request: &Subscribe<'_>,
        name: &str,
        revocations: &Revocations,
    ) -> Result<Option<Bearer>, Refusal> {
        let Some(auth) = request.auth.as_deref().filter(|auth| !auth.is_empty()) else {
            return Err(Refusal::auth("the channel needs a signature"));
        };
        let (signer, data) = (&self.app().signer, request.channel_data.as_deref());
        if let Some(bearer) = signer.opens_channel_for(auth, self.socket_id, name, data) {
            let bearer = Bearer::read(&bearer).filter(|bearer| {
                // the session may have ended since it was signed
                revocations.standing(bearer.as_domain()) == Standing::Good
            });
            return bearer.map(Some).ok_or_else(|| Refusal::auth("the session has ended"));
        }
        if signer.opens_channel(auth, self.socket_id, name, data) {
            return Ok(None);
        }
        Err(Refusal::auth("the signature does not fit"))
    }

    /// Who subscribes to a presence channel: as the signature says, or else the signed-in user.
    fn member(&self, request: &Subscribe<'_>) -> Result<Member, Refusal> {
        match (request.channel_data.as_deref(), self.user.as_deref()) {
            (Some(data), _) if data.len() > self.pusher.config.member_bytes_max as usize => {
                Err(Refusal::bad("channel_data is too long"))
            }
            (Some(data), _) => Member::read(data).map_err(|_| Refusal::bad("channel_data has no user_id")),
            (None, Some(user)) => Ok(Member { user_id: user.id.clone(), user_info: user.user_info.clone() }),
            (None, None) => Err(Refusal::auth("a presence channel needs channel_data, or a signed-in user")),
        }
    }

    /// Begins the subscription and says so, with the last event when the channel keeps it.
    fn begin(&mut self, name: &str, granted: Granted, world: &mut World<'_>, out: &mut Out) {
        let Granted { mapped: Mapped { topic, form }, member, bearer } = granted;
        let app = std::sync::Arc::clone(self.app());
        let partition = world.histories.partition_of(&topic);
        let last = Wish { since: None, limit: 1, reverse: true };
        let (from, cached) = {
            let history = world.histories.read(partition);
            (history.turn, history.page(&topic, last, world.now).pop())
        };
        let terms = Terms { channel: Some(self.terms(form)), ..Terms::default() };
        let id = world.topics.join(&topic, partition, (world.connection, from), terms.boxed());
        self.pusher.counts.enter(&app.id, name);
        if let Some(bearer) = bearer
            && !self.bearers.contains(&bearer)
        {
            self.bearers.push(bearer);
        }
        let (seated, members) = match member {
            Some(member) => {
                let (seated, members) = self.take_seat(name, &topic, member, world);
                (Some(Box::new(seated)), Some(members))
            }
            None => (None, None),
        };
        self.subscriptions.push(Subscription { id, form, seated });
        let views = members.as_ref().map(|members| members.iter().map(view).collect::<Vec<_>>());
        out.tell(&ServerMessage::SubscriptionSucceeded { channel: name, presence: views.as_deref() });
        if Channel::parse(name, name.len()).is_ok_and(|channel| channel.prefix().has_cache()) {
            if let Some(item) = cached {
                channel_message(&item, name, |message| out.tell(message));
            } else {
                out.tell(&ServerMessage::CacheMiss { channel: name });
                self.pusher.tell(app.number, WebhookEvent::CacheMiss { channel: name.to_owned() });
            }
        }
    }

    /// Gives a member its place in a presence channel; gives everybody who is known to be there, itself included.
    fn take_seat(&self, name: &str, topic: &Topic, member: Member, world: &World<'_>) -> (Seated, Members) {
        let Member { user_id, user_info } = member;
        let (client, app) = (self.socket_id.to_string(), self.app().number);
        self.pusher.roster.expect(topic, &client, Whose { app, channel: name.to_owned() });
        let mut members = self.pusher.roster.members(topic);
        members.entry(user_id.clone()).or_insert_with(|| user_info.clone());
        let line = user_info.as_deref().and_then(|info| minify(info.as_bytes()).ok());
        let line = line.and_then(|line| String::from_utf8(line.into_owned()).ok());
        let chan_info = line.and_then(|line| RawValue::from_string(line).ok());
        let info = Publisher { user: user_id.clone(), client, chan_info, ..Publisher::default() };
        let seat = world.presence.enter(topic, presence::Member { info, seen: true, announced: true });
        (Seated { user_id, _seat: seat }, members)
    }

    /// Whether a presence channel has no place for one more user.
    fn is_full(&self, topic: &Topic, user_id: &str, world: &World<'_>) -> bool {
        let Some(list) = world.presence.list(topic) else { return true };
        let users: BTreeSet<&str> = list.iter().map(|member| &*member.info.user).collect();
        !users.contains(user_id) && users.len() >= self.pusher.config.members_max as usize
    }
}

fn view<'m>((user_id, user_info): (&'m String, &'m Option<String>)) -> MemberView<'m> {
    MemberView { user_id, user_info: user_info.as_deref() }
}

/// Whether anybody may follow a topic: public channels of the application's own, and what its class opens.
fn is_open(mapped: &Mapped, config: &Config) -> bool {
    let topic = &mapped.topic;
    let caller = Caller { identity: None, subscribed: false, topic };
    mapped.form == Form::Own
        || config.classes.of(topic).is_some_and(|class| class.allows(class.subscribe, caller))
}

impl Bearer {
    /// As revocations judge it.
    pub(super) fn as_domain(&self) -> domain::Bearer<'_> {
        domain::Bearer { user_id: self.user_id, session: &self.session, issued_at: self.issued_at }
    }

    /// As a signature carries it.
    pub(crate) fn text(&self) -> String {
        format!("{}.{}.{}", self.user_id, self.issued_at, self.session)
    }

    fn read(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '.');
        let user_id = parts.next()?.parse().ok()?;
        let issued_at = parts.next()?.parse().ok()?;
        Some(Self { user_id, issued_at, session: parts.next()?.to_owned() })
    }
}
