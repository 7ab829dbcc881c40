//! What connections of Pusher's are told besides publications: who comes and goes, how many there are, that a user
//! has to leave.

use bytes::Bytes;
use domain::Topic;
use protocol::pusher::{SocketId, topics::Form};

use super::AppNumber;

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
