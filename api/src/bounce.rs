//! What a mail system says about a mail of ours: delivery reports (RFC 3464) and complaints (RFC 5965). Pure.

use mail_parser::{Message, MessageParser, MimeHeaders as _};

/// Recipients of one report that are looked at; our mails have one each.
const RECIPIENTS_MAX: usize = 16;
/// Headers that may hold the address that the report came to.
const ADDRESS_HEADERS: [&str; 4] = ["Delivered-To", "X-Original-To", "Envelope-To", "To"];

/// A report.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    /// Addresses that it came to, as the mail system noted them.
    pub(crate) addresses: Vec<String>,
    /// `Original-Envelope-Id`: what we told the mail system when we handed the mail over.
    pub(crate) envelope_id: Option<String>,
    /// What became of the mail.
    pub(crate) fates: Vec<Fate>,
}

/// What became of a mail for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It lies in the mailbox.
    Delivered(Status),
    /// It never will.
    Failed(Status),
    /// The recipient called it unwanted.
    Complained,
    /// Delayed, or handed to somebody who reports nothing: no evidence of anything.
    Open,
}

/// An enhanced status code (RFC 3463); zeros when the report has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Status(pub(crate) u16, pub(crate) u16, pub(crate) u16);

impl Status {
    fn read(text: &str) -> Self {
        let mut parts = text
            .split_whitespace()
            .next()
            .unwrap_or_default()
            .split('.')
            .map(|part| part.parse::<u16>().ok().filter(|number| *number < 1_000));
        match (parts.next().flatten(), parts.next().flatten(), parts.next().flatten()) {
            (Some(class), Some(subject), Some(detail)) => Self(class, subject, detail),
            _ => Self::default(),
        }
    }

    /// Whether the address itself is of no use, rather than our reputation, the content or the moment.
    pub(crate) fn is_dead_address(self) -> bool {
        matches!(self, Self(5, 1, detail) if detail != 7 && detail != 8)
            || matches!(self, Self(5, 4, 4) | Self(5, 2, 1))
    }

    /// Whether the mailbox was full.
    pub(crate) fn is_full(self) -> bool {
        matches!(self, Self(4 | 5, 2, 2))
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// Reads a mail that came to a bounce address; `None` when it is no report, such as somebody's automatic answer.
pub(crate) fn read(bytes: &[u8]) -> Option<Report> {
    let mail = MessageParser::default().parse(bytes)?;
    let kind = mail.content_type()?.attribute("report-type")?.to_ascii_lowercase();
    let mut report = Report { addresses: addresses(&mail), ..Report::default() };
    for part in &mail.parts {
        let Some(content_type) = part.content_type() else { continue };
        let subtype = content_type.subtype().unwrap_or_default().to_ascii_lowercase();
        match (kind.as_str(), subtype.as_str()) {
            ("delivery-status", "delivery-status" | "global-delivery-status") => {
                read_status(&String::from_utf8_lossy(part.contents()), &mut report);
            }
            ("feedback-report", "feedback-report") => {
                read_feedback(&String::from_utf8_lossy(part.contents()), &mut report);
            }
            _ => {}
        }
    }
    (!report.fates.is_empty()).then_some(report)
}

fn addresses(mail: &Message<'_>) -> Vec<String> {
    let raw = mail
        .headers_raw()
        .filter(|(name, _)| ADDRESS_HEADERS.iter().any(|one| one.eq_ignore_ascii_case(name)));
    raw.flat_map(|(_, value)| value.split([',', '<', '>', ' ', '\r', '\n']))
        .filter(|word| word.contains('@'))
        .take(RECIPIENTS_MAX)
        .map(ToOwned::to_owned)
        .collect()
}

/// The first block is about the message, each that follows about one recipient.
fn read_status(text: &str, report: &mut Report) {
    let text = text.replace("\r\n", "\n");
    let mut blocks = text.split("\n\n").map(fields).filter(|fields| !fields.is_empty());
    if let Some(message) = blocks.next() {
        report.envelope_id = field(&message, "original-envelope-id");
    }
    for recipient in blocks.take(RECIPIENTS_MAX) {
        let status = field(&recipient, "status").map_or_else(Status::default, |text| Status::read(&text));
        let action = field(&recipient, "action").unwrap_or_default().to_ascii_lowercase();
        report.fates.push(match action.as_str() {
            "failed" => Fate::Failed(status),
            "delivered" => Fate::Delivered(status),
            _ => Fate::Open,
        });
    }
}

fn read_feedback(text: &str, report: &mut Report) {
    let fields = fields(&text.replace("\r\n", "\n"));
    report.envelope_id = field(&fields, "original-envelope-id");
    // the address that we sent from is the bounce address
    report
        .addresses
        .extend(field(&fields, "original-mail-from").map(|from| from.trim_matches(['<', '>']).to_owned()));
    let kind = field(&fields, "feedback-type").unwrap_or_default();
    let is_complaint = matches!(kind.to_ascii_lowercase().as_str(), "abuse" | "fraud" | "opt-out");
    report.fates.push(if is_complaint { Fate::Complained } else { Fate::Open });
}

/// `Name: value` lines; a line that begins with a space goes on with the one before.
fn fields(block: &str) -> Vec<(String, String)> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in block.lines() {
        if line.starts_with([' ', '\t'])
            && let Some((_, value)) = fields.last_mut()
        {
            value.push(' ');
            value.push_str(line.trim());
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    fields
}

fn field(fields: &[(String, String)], name: &str) -> Option<String> {
    fields.iter().find(|(one, _)| one == name).map(|(_, value)| value.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Postfix writes it.
    fn report(action: &str, status: &str) -> String {
        format!(
            "Return-Path: <>\r\nDelivered-To: b+1.2@bounces.example\r\nTo: b+1.2@bounces.example\r\nFrom: \
             MAILER-DAEMON@mx.example (Mail Delivery System)\r\nSubject: Undelivered Mail Returned to Sender\r\n\
             Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; \
             report-type=delivery-status;\r\n\tboundary=\"B\"\r\n\r\nThis is a MIME-encapsulated message.\r\n\r\n--B\r\n\
             Content-Description: Notification\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\nSorry.\r\n\r\n--B\r\n\
             Content-Description: Delivery report\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; \
             mx.example\r\nOriginal-Envelope-Id: b+1.2\r\nX-Postfix-Queue-ID: 4F3A\r\n\r\nFinal-Recipient: rfc822; \
             amina@example.org\r\nOriginal-Recipient: rfc822;amina@example.org\r\nAction: {action}\r\nStatus: {status}\r\n\
             Remote-MTA: dns; mx.example.org\r\nDiagnostic-Code: smtp; 550 5.1.1\r\n <amina@example.org>: unknown\r\n\r\n\
             --B\r\nContent-Type: text/rfc822-headers\r\n\r\nSubject: x\r\n\r\n--B--\r\n"
        )
    }

    #[test]
    fn a_postfix_report_is_read() {
        let read = read(report("failed", "5.1.1").as_bytes()).unwrap();
        assert_eq!(read.envelope_id.as_deref(), Some("b+1.2"));
        assert!(read.addresses.contains(&"b+1.2@bounces.example".to_owned()), "{:?}", read.addresses);
        assert_eq!(read.fates, [Fate::Failed(Status(5, 1, 1))]);
        let fate = |action, status| super::read(report(action, status).as_bytes()).unwrap().fates.remove(0);
        assert_eq!(fate("delivered", "2.0.0"), Fate::Delivered(Status(2, 0, 0)));
        for action in ["relayed", "expanded", "delayed", "rumoured"] {
            assert_eq!(fate(action, "2.0.0"), Fate::Open, "{action}");
        }
        assert_eq!(fate("failed", "not a code"), Fate::Failed(Status(0, 0, 0)));
    }

    #[test]
    fn only_a_dead_address_is_dead() {
        for status in [Status(5, 1, 1), Status(5, 1, 10), Status(5, 4, 4), Status(5, 2, 1)] {
            assert!(status.is_dead_address(), "{status}");
        }
        for status in [
            Status(5, 7, 1),
            Status(5, 7, 26),
            Status(5, 1, 8),
            Status(5, 2, 2),
            Status(4, 4, 7),
            Status(0, 0, 0),
        ] {
            assert!(!status.is_dead_address(), "{status}");
        }
    }

    #[test]
    fn a_complaint_is_read_and_an_automatic_answer_is_none() {
        let complaint = "To: feedback@festival.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; \
            report-type=feedback-report; boundary=\"B\"\r\n\r\n--B\r\nContent-Type: text/plain\r\n\r\nSpam.\r\n\r\n--B\r\n\
            Content-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nUser-Agent: x/1\r\nVersion: 1\r\n\
            Original-Mail-From: <b+1.2@bounces.example>\r\n\r\n--B--\r\n";
        let read = read(complaint.as_bytes()).unwrap();
        assert_eq!(
            (read.fates, read.addresses.last().unwrap().as_str()),
            (vec![Fate::Complained], "b+1.2@bounces.example")
        );
        let answer = "To: b+1.2@bounces.example\r\nAuto-Submitted: auto-replied\r\nSubject: Away\r\n\r\nI am away.\r\n";
        assert_eq!(super::read(answer.as_bytes()), None);
        for noise in [
            &b""[..],
            b"\xff\xfe",
            b"Content-Type: multipart/report; report-type=delivery-status; boundary=B\r\n\r\n--B",
        ] {
            assert_eq!(super::read(noise), None);
        }
    }
}
