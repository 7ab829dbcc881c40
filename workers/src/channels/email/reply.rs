//! What a reply of the relay means: provider-contracts, "Reply codes". The enhanced code (RFC 3463) outranks the
//! basic one.

use domain::Action;

/// Where in the conversation something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Connecting, the banner, EHLO.
    Connect,
    /// STARTTLS with its handshake.
    Encrypt,
    /// The login.
    Login,
    /// MAIL.
    Sender,
    /// RCPT.
    Recipient,
    /// DATA and the content up to its final dot.
    Content,
    /// The reply to the final dot.
    Final,
}

/// A reply that is no acceptance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    /// The basic code.
    pub(super) code: u16,
    /// The enhanced one.
    pub(super) enhanced: Option<Enhanced>,
}

/// An enhanced status code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Enhanced(pub(super) u8, pub(super) u16, pub(super) u16);

impl Reply {
    /// Reads the enhanced code at the beginning of `text`; one of another class than `code` does not count.
    pub(super) fn new(code: u16, text: &str) -> Self {
        let enhanced = Enhanced::read(text).filter(|enhanced| u16::from(enhanced.0) == code / 100);
        Self { code, enhanced }
    }
}

impl Enhanced {
    fn read(text: &str) -> Option<Self> {
        let word = text.split_whitespace().next()?;
        let mut parts = word.split('.');
        let (class, subject, detail) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() || class.len() != 1 || subject.len() > 3 || detail.len() > 3 {
            return None;
        }
        Some(Self(class.parse().ok()?, subject.parse().ok()?, detail.parse().ok()?))
    }
}

/// What to do about a refusal, and our word for it.
pub(super) fn judge(phase: Phase, reply: &Reply) -> (Action, &'static str) {
    if reply.code == 421 {
        return (Action::Retry, "service_closing");
    }
    let by_phase = match phase {
        Phase::Connect if reply.code >= 500 => Some((Action::FixConfig, "relay_refused")),
        Phase::Login | Phase::Encrypt if reply.code >= 500 => Some((Action::FixConfig, "login_refused")),
        Phase::Login | Phase::Encrypt => Some((Action::Retry, "login_unavailable")),
        _ => None,
    };
    by_phase
        .or_else(|| reply.enhanced.and_then(|enhanced| by_enhanced(phase, enhanced)))
        .unwrap_or_else(|| by_code(phase, reply.code))
}

fn by_enhanced(phase: Phase, enhanced: Enhanced) -> Option<(Action, &'static str)> {
    let judged = match (enhanced, phase) {
        (Enhanced(4, 7, _), _) => (Action::Retry, "greylisted"),
        (Enhanced(4 | 5, 2, 2), _) => (Action::Retry, "mailbox_full"),
        (Enhanced(4, ..), _) => (Action::Retry, "deferred"),
        // never the recipient's fault: policy, reputation, authentication of our domain
        (Enhanced(5, 7, _), _) => (Action::FixConfig, "policy"),
        (Enhanced(5, 1, _), Phase::Sender) | (Enhanced(5, 1, 7 | 8), _) => {
            (Action::FixConfig, "sender_refused")
        }
        (Enhanced(5, 1, _), _) => (Action::DropTarget, "mailbox_unknown"),
        (Enhanced(5, 2, 1), _) => (Action::Quarantine, "mailbox_disabled"),
        (Enhanced(5, 3, 4) | Enhanced(5, 2, 3), _) => (Action::FixMessage, "too_large"),
        (Enhanced(5, 6, _), _) => (Action::FixMessage, "content_refused"),
        (Enhanced(5, 5, _), _) => (Action::FixConfig, "protocol"),
        _ => return None,
    };
    Some(judged)
}

fn by_code(phase: Phase, code: u16) -> (Action, &'static str) {
    match (code, phase) {
        (400..=499, _) => (Action::Retry, "deferred"),
        (500..=504, _) => (Action::FixConfig, "protocol"),
        (530 | 534 | 535 | 538, _) => (Action::FixConfig, "login_refused"),
        (551 | 553 | 556, Phase::Recipient) => (Action::DropTarget, "mailbox_unknown"),
        (552, Phase::Recipient) => (Action::Retry, "mailbox_full"),
        (554, Phase::Recipient) | (500..=599, Phase::Sender) => (Action::FixConfig, "relay_refused"),
        // without an enhanced code nobody knows whether the mailbox or our reputation is meant
        (500..=599, Phase::Recipient) => (Action::Quarantine, "mailbox_unavailable"),
        (552, _) => (Action::FixMessage, "too_large"),
        (500..=599, _) => (Action::FixMessage, "content_refused"),
        // a positive reply where a final one is due: the conversation is out of step
        (_, Phase::Final) => (Action::Unknown, "out_of_step"),
        _ => (Action::Retry, "out_of_step"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enhanced_codes_are_read_from_the_beginning_only() {
        assert_eq!(Reply::new(550, "5.1.1 no such user").enhanced, Some(Enhanced(5, 1, 1)));
        assert_eq!(Reply::new(550, "5.7.26 see 4.2.2").enhanced, Some(Enhanced(5, 7, 26)));
        for text in
            ["", "no such user", "5.1", "5.1.1.1 x", "4.1.1 wrong class", "10.0.0.1 is blocked", "5.x.1"]
        {
            assert_eq!(Reply::new(550, text).enhanced, None, "{text}");
        }
    }

    #[test]
    fn the_banner_and_the_login_speak_of_us_and_not_of_the_recipient() {
        let judged = |phase, code, text| judge(phase, &Reply::new(code, text)).0;
        assert_eq!(judged(Phase::Connect, 554, "5.7.1 go away"), Action::FixConfig);
        assert_eq!(judged(Phase::Connect, 521, ""), Action::FixConfig);
        assert_eq!(judged(Phase::Connect, 421, "4.3.2 busy"), Action::Retry);
        assert_eq!(judged(Phase::Login, 535, "5.7.8 no"), Action::FixConfig);
        assert_eq!(judged(Phase::Login, 454, "4.7.0 later"), Action::Retry);
        assert_eq!(judged(Phase::Encrypt, 454, "4.7.0 later"), Action::Retry);
        assert_eq!(judged(Phase::Final, 354, ""), Action::Unknown);
    }
}
