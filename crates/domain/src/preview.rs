//! What a message would look like before it is sent: asked by the API, answered by the workers' own templates and
//! payloads.

use std::fmt;
use std::sync::Arc;

use crate::{Channel, EventSnapshot, Lane, Language, LocalizedText, NotificationKind};

/// A message to look at.
#[derive(Debug, Clone, PartialEq)]
pub struct PreviewDraft {
    /// Which templates.
    pub kind: NotificationKind,
    /// How urgent it would be.
    pub lane: Lane,
    /// Headline, of an announcement.
    pub title: LocalizedText,
    /// Text, of an announcement.
    pub body: LocalizedText,
    /// What news or a reminder is about.
    pub event: Option<EventSnapshot>,
    /// Minutes before its start, of a reminder; messages that were not read, of a digest.
    pub count: u32,
}

/// How the message leaves through one channel, in one language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviewedMessage {
    /// The channel.
    pub channel: Channel,
    /// The reader's language.
    pub language: Language,
    /// Headline as it is shown.
    pub title: String,
    /// Text as it is written, before it is shortened.
    pub body: String,
    /// What leaves, without addresses; as text.
    pub payload: String,
    /// How many bytes of it count.
    pub bytes: usize,
    /// How many may; `None`: the channel sets no limit.
    pub bytes_max: Option<usize>,
    /// Whether the text loses its end to fit.
    pub shortened: bool,
    /// Whether it fits, shortened if need be; if not, the channel refuses it.
    pub fits: bool,
}

/// Answers a draft.
type Show = dyn Fn(&PreviewDraft) -> Vec<PreviewedMessage> + Send + Sync;

/// Shows how a draft would leave. The process joins who asks and who answers.
#[derive(Clone)]
pub struct Previewer(Arc<Show>);

impl Previewer {
    /// Answers with `show`.
    pub fn new(show: impl Fn(&PreviewDraft) -> Vec<PreviewedMessage> + Send + Sync + 'static) -> Self {
        Self(Arc::new(show))
    }

    /// The draft in both languages on every channel.
    pub fn show(&self, draft: &PreviewDraft) -> Vec<PreviewedMessage> {
        (self.0)(draft)
    }
}

impl fmt::Debug for Previewer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Previewer(…)")
    }
}
