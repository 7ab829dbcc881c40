//! What the stand-in for a mail relay does with a recipient: its local part names a script.

/// What happens to a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Script {
    /// Taken.
    Ok,
    /// The recipient is refused with this reply.
    Recipient(String),
    /// The mail is refused with this reply after its final dot.
    Content(String),
    /// The first try is refused as greylisting does.
    Grey,
    /// No reply after the final dot.
    Silent,
    /// The connection closes after the final dot.
    Drop,
    /// The connection closes in the middle of the content.
    Cut,
}

/// The script of a recipient. `reply-550-5.1.1@…` and `data-552-5.3.4@…` spell out their reply.
pub(super) fn of(address: &str) -> Script {
    let local = address.split('@').next().unwrap_or_default();
    match local {
        "full" => Script::Recipient("552 5.2.2 mailbox full".to_owned()),
        "disabled" => Script::Recipient("550 5.2.1 mailbox disabled".to_owned()),
        "policy" => Script::Recipient("550 5.7.26 unauthenticated mail is not accepted".to_owned()),
        "defer" => Script::Recipient("450 4.2.0 try again later".to_owned()),
        "size" => Script::Content("552 5.3.4 message too large".to_owned()),
        "grey" => Script::Grey,
        "silent" => Script::Silent,
        "drop" => Script::Drop,
        "cut" => Script::Cut,
        _ => spelled(local),
    }
}

fn spelled(local: &str) -> Script {
    let mut words = local.split('-');
    match (words.next(), words.next(), words.next()) {
        (Some("bounce"), Some(digits), _) if digits.len() == 3 => {
            let dotted: Vec<String> = digits.chars().map(String::from).collect();
            Script::Recipient(format!("550 {} no such mailbox", dotted.join(".")))
        }
        (Some("reply"), Some(code), enhanced) => Script::Recipient(reply(code, enhanced)),
        (Some("data"), Some(code), enhanced) => Script::Content(reply(code, enhanced)),
        _ => Script::Ok,
    }
}

fn reply(code: &str, enhanced: Option<&str>) -> String {
    match enhanced {
        Some(enhanced) => format!("{code} {enhanced} as scripted"),
        None => format!("{code} as scripted"),
    }
}
