//! The mail itself: text and HTML, Arabic and English, in the recipient's order.

use std::time::{Duration, UNIX_EPOCH};

use domain::{Lane, Language, Timestamp};
use lettre::Address;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, MultiPart};

use crate::gateway::Outgoing;

/// Sets a text off from the direction of what surrounds it (Unicode: first strong isolate, pop).
const ISOLATE: (char, char) = ('\u{2068}', '\u{2069}');

/// Whom mails come from.
#[derive(Debug, Clone)]
pub(super) struct Sender {
    /// For all lanes but the emergency.
    pub(super) from: Mailbox,
    /// For the emergency lane.
    pub(super) emergency_from: Mailbox,
    /// Where answers go.
    pub(super) reply_to: Option<Mailbox>,
    /// Where links to our API lead; empty: there are none.
    pub(super) public_url: String,
}

/// A text in one language.
struct Block<'a> {
    language: Language,
    title: &'a str,
    body: &'a str,
}

/// The mail as it goes over the wire.
///
/// # Errors
/// When a header cannot be made of what the message carries.
pub(super) fn render(
    message: &Outgoing,
    to: Address,
    sender: &Sender,
    now: Timestamp,
) -> Result<Vec<u8>, lettre::error::Error> {
    let from = if message.lane == Lane::Emergency { &sender.emergency_from } else { &sender.from };
    let since_1970 = Duration::from_micros(u64::try_from(now.as_microsecond()).unwrap_or(0));
    // the same for every attempt, so that a repetition is recognised
    let id = format!("<{}@{}>", message.delivery_id, from.email.domain());
    let mut builder = Message::builder()
        .from(from.clone())
        .to(Mailbox::new(None, to))
        .subject(one_line(&message.title))
        .date(UNIX_EPOCH + since_1970)
        .message_id(Some(id))
        .raw_header(header("Auto-Submitted", "auto-generated"))
        .raw_header(header("X-Auto-Response-Suppress", "All"))
        .raw_header(header("Content-Language", message.language.as_str()));
    let unsubscribe = unsubscribe_link(message, sender);
    if let Some(link) = &unsubscribe {
        // RFC 8058: a mailbox provider posts to the link when somebody presses its button
        builder = builder
            .raw_header(header("List-Unsubscribe", &format!("<{link}>")))
            .raw_header(header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"));
    }
    if let Some(reply_to) = &sender.reply_to {
        builder = builder.reply_to(reply_to.clone());
    }
    if message.lane == Lane::Emergency {
        builder = builder.raw_header(header("Importance", "high"));
    }
    let blocks = blocks(message);
    let mail = builder.multipart(MultiPart::alternative_plain_html(text(&blocks), html(&blocks)))?;
    Ok(mail.formatted())
}

/// The link that ends promotions. What people have to know is not to be unsubscribed from.
fn unsubscribe_link(message: &Outgoing, sender: &Sender) -> Option<String> {
    let wanted = message.lane == Lane::Promotional && !sender.public_url.is_empty();
    wanted.then(|| format!("{}/api/v1/unsubscribe/{}", sender.public_url, message.unsubscribe_token))
}

fn header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

/// The part of the mail that most people see.
pub(in crate::channels) fn html_part(message: &Outgoing) -> String {
    html(&blocks(message))
}

/// A header has no line breaks; lettre encodes the rest.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The recipient's language first; the other one too, where there is a text of its own.
fn blocks(message: &Outgoing) -> Vec<Block<'_>> {
    let other = message.language.other();
    let first = Block { language: message.language, title: &message.title, body: &message.body };
    let second = Block { language: other, title: &message.title_other, body: &message.body_other };
    let same = first.title == second.title && first.body == second.body;
    if same { vec![first] } else { vec![first, second] }
}

fn text(blocks: &[Block<'_>]) -> String {
    let isolate = |line: &str| match line.trim() {
        "" => String::new(),
        line => format!("{}{line}{}", ISOLATE.0, ISOLATE.1),
    };
    let lines = |text: &str| text.lines().map(isolate).collect::<Vec<_>>().join("\r\n");
    let parts: Vec<String> = blocks
        .iter()
        .map(|block| format!("{}\r\n\r\n{}\r\n", lines(block.title), lines(block.body)))
        .collect();
    parts.join("\r\n--------\r\n\r\n")
}

fn html(blocks: &[Block<'_>]) -> String {
    let first = blocks.first().map_or(Language::En, |block| block.language);
    let title = blocks.first().map_or_else(String::new, |block| escape(block.title));
    let rows: String = blocks.iter().map(row).collect();
    format!(
        "<!doctype html>\r\n<html lang=\"{}\" dir=\"{}\">\r\n<head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title></head>\r\n\
         <body style=\"margin:0;padding:24px;font-family:sans-serif;line-height:1.6\">\r\n\
         <table role=\"presentation\" width=\"100%\" style=\"max-width:600px;margin:auto\">\r\n{rows}\
         </table>\r\n</body>\r\n</html>\r\n",
        first.as_str(),
        first.direction(),
    )
}

fn row(block: &Block<'_>) -> String {
    let (language, direction) = (block.language.as_str(), block.language.direction());
    let align = if block.language == Language::Ar { "right" } else { "left" };
    let lines: Vec<String> =
        block.body.lines().map(|line| format!("<bdi>{}</bdi>", escape(line.trim()))).collect();
    format!(
        "<tr><td lang=\"{language}\" dir=\"{direction}\" align=\"{align}\" style=\"padding:12px 0\">\
         <h1 style=\"font-size:20px;margin:0 0 8px\"><bdi>{}</bdi></h1><p style=\"margin:0\">{}</p></td></tr>\r\n",
        escape(block.title),
        lines.join("<br>\r\n"),
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
