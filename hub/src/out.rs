//! What a conversation says to its client, and what it leaves behind to be carried out.

use domain::{DeliveryId, DeliveryState};
use protocol::centrifuge::json;
use protocol::centrifuge::reply::{Answer, Event, Push, Reply};
use protocol::pusher::ServerMessage;

use crate::publish::Submission;
use crate::wire::Wire;

/// What a session says.
#[derive(Debug)]
pub(crate) struct Out {
    /// How the client that is spoken to wants its messages.
    pub(crate) wire: Wire,
    /// Messages in its dialect: the payload of one frame.
    pub(crate) messages: Vec<u8>,
    /// What has to become durable before it is answered.
    pub(crate) confirmations: Vec<Confirmation>,
    /// What has to be in the change log before it is answered.
    pub(crate) submissions: Vec<Submission>,
}

/// A client's word that a delivery has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Confirmation {
    /// The command to answer; `None`: nobody waits for it.
    pub(crate) command: Option<u32>,
    /// Which delivery.
    pub(crate) delivery: DeliveryId,
    /// [`DeliveryState::Delivered`] or [`DeliveryState::Opened`].
    pub(crate) state: DeliveryState,
    /// How the client has shown it.
    pub(crate) proof: Proof,
}

/// How a client shows that a delivery has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    /// It said so, with the delivery's code.
    Word,
    /// It came back with a position that lies after it.
    Position,
}

impl Out {
    /// Nothing said yet.
    pub(crate) fn new() -> Self {
        Self {
            wire: Wire::JsonSocket,
            messages: Vec::new(),
            confirmations: Vec::new(),
            submissions: Vec::new(),
        }
    }

    /// Adds a push.
    pub(crate) fn push(&mut self, push: Push<'_>) {
        self.wire.write_push(&mut self.messages, push);
    }

    /// Adds a message of Pusher's protocol.
    pub(crate) fn tell(&mut self, message: &ServerMessage<'_>) {
        if !self.messages.is_empty() {
            self.messages.push(json::SEPARATOR);
        }
        message.write(&mut self.messages);
    }

    /// Adds the answer to a command. Who connects in one direction is told of the connection by a push.
    pub(crate) fn answer(&mut self, command: u32, answer: Answer<'_>) {
        match answer {
            Answer::Connect(result) if self.wire.is_one_way() => {
                self.push(Push::to_connection(Event::Connect(result)));
            }
            answer => self.wire.dialect().write_reply(&mut self.messages, &Reply::Answer(command, answer)),
        }
    }
}
