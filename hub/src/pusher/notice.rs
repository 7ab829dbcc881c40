//! What connections of Pusher's are told besides publications: who comes and goes, how many there are, that a user
//! has to leave.

use bytes::Bytes;
use domain::Topic;
use protocol::pusher::topics::Form;
use protocol::pusher::write::MemberView;
use protocol::pusher::{Channel, Prefix, ServerMessage, SocketId};

use super::AppNumber;
use super::roster::Listed;
use crate::wire::Wire;

/// How a subscriber knows its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChannelTerms {
    /// In whose name it follows the topic.
    pub(crate) app: AppNumber,
    /// How the topic is named to it.
    pub(crate) form: Form,
    /// Itself.
    pub(crate) socket_id: SocketId,
}

/// Something for the connections of every shard.
#[derive(Debug, Clone)]
pub(crate) enum Notice {
    /// For the subscribers of a channel.
    Channel {
        /// What the channel is.
        topic: Topic,
        /// How its subscribers name it.
        form: Form,
        /// The only application concerned; `None`: all.
        app: Option<AppNumber>,
        /// Who knows already.
        except: Option<SocketId>,
        /// A whole frame.
        frame: Bytes,
    },
    /// The connections of a user are to be closed.
    Terminate {
        /// Whose user.
        app: AppNumber,
        /// The user's id.
        user: String,
    },
}

/// What the subscribers of a presence channel are told, under each name by which they may know it, when a user comes or
/// goes with `client`.
pub(super) fn of_turn(topic: &Topic, turn: (&Listed, bool), client: &str) -> Vec<Notice> {
    let ((user_id, user_info), joined) = turn;
    let forms = [Form::Own, Form::Shared(Prefix::Presence), Form::Shared(Prefix::PresenceCache)];
    let notice = |form: Form| {
        let name = form.channel_name(topic);
        Channel::parse(&name, name.len()).ok().filter(|channel| channel.prefix().has_presence())?;
        let message = if joined {
            let member = MemberView { user_id, user_info: user_info.as_deref() };
            ServerMessage::MemberAdded { channel: &name, member }
        } else {
            ServerMessage::MemberRemoved { channel: &name, user_id }
        };
        let mut frame = Vec::new();
        message.write(&mut frame);
        let (topic, except) = (topic.clone(), client.parse().ok());
        Some(Notice::Channel { topic, form, app: None, except, frame: Wire::Pusher.pack(&frame) })
    };
    forms.into_iter().filter_map(notice).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_told_of_under_names_of_presence_channels() {
        let names = |topic: &str| -> Vec<String> {
            let topic = Topic::new(topic).unwrap();
            let notices = of_turn(&topic, (&("1".into(), None), true), "1.2");
            let name = |notice: &Notice| match notice {
                Notice::Channel { form, except: Some(SocketId(1, 2)), .. } => form.channel_name(&topic),
                other => panic!("{other:?}"),
            };
            notices.iter().map(name).collect()
        };
        assert_eq!(names("staff:gate"), ["presence-staff.gate", "presence-cache-staff.gate"]);
        assert!(names("presence-room").contains(&"presence-room".to_owned()));
        assert!(names("shop:presence-room").contains(&"presence-room".to_owned()));
    }
}
