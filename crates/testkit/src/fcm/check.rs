//! The checks of FCM v1: what of a message is refused, and how.

use serde_json::{Value, json};

/// Bytes of a message without its target.
const MESSAGE_BYTES_MAX: usize = 4_096;
/// Bytes of a message to a topic.
const TOPIC_BYTES_MAX: usize = 2_048;
/// Seconds in four weeks, the longest life of a message.
const TTL_SECONDS_MAX: f64 = 2_419_200.0;

const TARGETS: [&str; 4] = ["token", "fid", "topic", "condition"];
const FIELDS: [&str; 7] = ["name", "data", "notification", "android", "webpush", "apns", "fcm_options"];
const NOTIFICATION: [&str; 3] = ["title", "body", "image"];
const ANDROID: [&str; 11] = [
    "collapse_key",
    "priority",
    "ttl",
    "restricted_package_name",
    "data",
    "notification",
    "fcm_options",
    "direct_boot_ok",
    "bandwidth_constrained_ok",
    "restricted_satellite_ok",
    "collapsible",
];
const ANDROID_NOTIFICATION: [&str; 16] = [
    "title",
    "body",
    "icon",
    "color",
    "sound",
    "tag",
    "click_action",
    "channel_id",
    "ticker",
    "sticky",
    "event_time",
    "notification_priority",
    "visibility",
    "notification_count",
    "image",
    "local_only",
];

/// A field and what is wrong with it.
pub(super) struct Violation {
    field: String,
    description: &'static str,
}

/// What a valid request asks for.
pub(super) struct Wanted {
    /// Which kind of target.
    pub(super) target_kind: &'static str,
    /// The target.
    pub(super) target: String,
    /// The message.
    pub(super) message: Value,
}

impl Violation {
    fn of(field: impl Into<String>, description: &'static str) -> Self {
        Self { field: field.into(), description }
    }

    /// The answer's body.
    pub(super) fn body(&self) -> Value {
        json!({ "error": {
            "code": 400,
            "message": format!("Invalid value at '{}': {}", self.field, self.description),
            "status": "INVALID_ARGUMENT",
            "details": [{
                "@type": "type.googleapis.com/google.rpc.BadRequest",
                "fieldViolations": [{ "field": self.field, "description": self.description }],
            }],
        }})
    }
}

/// Checks a request's body.
pub(super) fn check(body: &[u8]) -> Result<Wanted, Violation> {
    let request: Value = serde_json::from_slice(body).map_err(|_| Violation::of("", "not JSON"))?;
    known(&request, "", &["message", "validate_only"])?;
    let message = request.get("message").ok_or_else(|| Violation::of("message", "missing"))?;
    let fields: Vec<_> = FIELDS.iter().chain(&TARGETS).copied().collect();
    known(message, "message", &fields)?;
    let found: Vec<_> = TARGETS.into_iter().filter(|kind| message.get(kind).is_some()).collect();
    let &[target_kind] = found.as_slice() else {
        return Err(Violation::of("message", "exactly one of token, fid, topic or condition is required"));
    };
    let target = message[target_kind].as_str().filter(|target| !target.is_empty());
    let target = target.ok_or_else(|| Violation::of(format!("message.{target_kind}"), "no text"))?.to_owned();
    if target_kind == "topic"
        && !target.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~%".contains(&byte))
    {
        return Err(Violation::of("message.topic", "invalid character"));
    }
    data(message.get("data"), "message.data")?;
    known(message.get("notification").unwrap_or(&Value::Null), "message.notification", &NOTIFICATION)?;
    android(message.get("android").unwrap_or(&Value::Null))?;
    let mut bare = message.clone();
    bare.as_object_mut().expect("it was checked to be an object").remove(target_kind);
    let bytes_max = if target_kind == "topic" { TOPIC_BYTES_MAX } else { MESSAGE_BYTES_MAX };
    if bare.to_string().len() > bytes_max {
        return Err(Violation::of("message", "too large"));
    }
    Ok(Wanted { target_kind, target, message: message.clone() })
}

fn android(android: &Value) -> Result<(), Violation> {
    known(android, "message.android", &ANDROID)?;
    data(android.get("data"), "message.android.data")?;
    let notification = android.get("notification").unwrap_or(&Value::Null);
    known(notification, "message.android.notification", &ANDROID_NOTIFICATION)?;
    if android.get("priority").is_some_and(|priority| priority != "NORMAL" && priority != "HIGH") {
        return Err(Violation::of("message.android.priority", "not a priority"));
    }
    if let Some(ttl) = android.get("ttl") {
        let seconds = ttl.as_str().and_then(|text| text.strip_suffix('s')).and_then(|text| text.parse().ok());
        if !seconds.is_some_and(|seconds: f64| (0.0..=TTL_SECONDS_MAX).contains(&seconds)) {
            return Err(Violation::of("message.android.ttl", "not a duration of at most four weeks"));
        }
    }
    Ok(())
}

fn data(data: Option<&Value>, path: &str) -> Result<(), Violation> {
    let Some(data) = data else { return Ok(()) };
    let fields = data.as_object().ok_or_else(|| Violation::of(path, "not a map"))?;
    for (key, value) in fields {
        let reserved =
            key == "from" || key == "message_type" || key.starts_with("google") || key.starts_with("gcm");
        if reserved {
            return Err(Violation::of(format!("{path}[{key}]"), "reserved key"));
        }
        if !value.is_string() {
            return Err(Violation::of(format!("{path}[{key}]"), "not a string"));
        }
    }
    Ok(())
}

/// Refuses what is no object, or has fields of other names.
fn known(value: &Value, path: &str, names: &[&str]) -> Result<(), Violation> {
    match value {
        Value::Null if path.contains('.') => Ok(()),
        Value::Object(fields) => match fields.keys().find(|name| !names.contains(&name.as_str())) {
            Some(name) => Err(Violation::of(format!("{path}.{name}"), "unknown field")),
            None => Ok(()),
        },
        _ => Err(Violation::of(path, "not an object")),
    }
}
