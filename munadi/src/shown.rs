//! The configuration in effect, to be read by people: every field, secrets masked.

use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize as _;
use service::Faults;
use service::config::Environment;
use toml::{Table, Value};

use crate::commands::BadConfig;
use crate::config::Config;

/// Every field with its default.
const DEFAULTS: &str = include_str!("../../config/munadi.toml");
/// What stands in for a secret.
const MASK: &str = "(hidden)";
/// A text that stands nowhere in a configuration.
const PROBE: &str = "probe-5f1c7a";

/// A step from a value into one of its parts.
#[derive(Debug, Clone)]
enum Step {
    Field(String),
    Item(usize),
}

/// The configuration of this process as TOML.
///
/// # Errors
/// [`BadConfig`] with every field that does not fit.
pub(crate) fn text(file: Option<&Path>, environment: &Environment) -> anyhow::Result<String> {
    let mut faults = Faults::default();
    let (_, given): (Config, Table) = service::config::load_with_table(file, environment, &mut faults);
    if !faults.is_empty() {
        return Err(BadConfig(faults).into());
    }
    let mut whole = Value::Table(DEFAULTS.parse().context("the defaults are not TOML")?);
    lay_over(&mut whole, Value::Table(given));
    let mut texts = Vec::new();
    find_texts(&whole, &mut Vec::new(), &mut texts);
    for path in texts {
        let hidden = is_secret(&whole, &path);
        if let Some(Value::String(text)) = at(&mut whole, &path) {
            *text = if hidden { MASK.to_owned() } else { without_password(text) };
        }
    }
    toml::to_string(&whole).context("the configuration cannot be written as TOML")
}

/// Sections are joined field by field; anything else takes the place of what was there.
fn lay_over(below: &mut Value, above: Value) {
    match (below, above) {
        (Value::Table(below), Value::Table(above)) => {
            for (field, value) in above {
                match below.get_mut(&field) {
                    Some(known) => lay_over(known, value),
                    None => drop(below.insert(field, value)),
                }
            }
        }
        (below, above) => *below = above,
    }
}

fn find_texts(value: &Value, path: &mut Vec<Step>, found: &mut Vec<Vec<Step>>) {
    let mut visit = |step, part| {
        path.push(step);
        find_texts(part, path, found);
        path.pop();
    };
    match value {
        Value::Table(table) => table.iter().for_each(|(field, part)| visit(Step::Field(field.clone()), part)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, part)| visit(Step::Item(index), part));
        }
        Value::String(_) => found.push(path.clone()),
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => {}
    }
}

fn at<'a>(value: &'a mut Value, path: &[Step]) -> Option<&'a mut Value> {
    path.iter().try_fold(value, |value, step| match step {
        Step::Field(field) => value.get_mut(field),
        Step::Item(index) => value.get_mut(*index),
    })
}

/// Whether the field at `path` is a secret: its type takes any text and never shows it. So no list of secrets can fall
/// behind the configuration.
fn is_secret(whole: &Value, path: &[Step]) -> bool {
    let mut probed = whole.clone();
    if let Some(text) = at(&mut probed, path) {
        *text = Value::String(PROBE.to_owned());
    }
    Config::deserialize(probed).is_ok_and(|config| !format!("{config:?}").contains(PROBE))
}

/// A URL without the password in it; any other text as it is.
fn without_password(text: &str) -> String {
    let hidden = text.split_once("://").and_then(|(scheme, rest)| {
        let (authority, _) = rest.split_once('/').unwrap_or((rest, ""));
        let (user_info, _) = authority.rsplit_once('@')?;
        let (user, _) = user_info.split_once(':')?;
        Some(format!("{scheme}://{user}:{MASK}{}", &rest[user_info.len()..]))
    });
    hidden.unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(variables: &[(&str, &str)]) -> Table {
        let variables =
            variables.iter().map(|(name, value)| (format!("MUNADI__{name}"), (*value).to_owned()));
        text(None, &Environment::new(variables)).unwrap().parse().unwrap()
    }

    #[test]
    fn what_is_shown_is_what_is_in_effect() {
        let variables = [("HTTP__BACKLOG", "77"), ("WORKERS__APNS__TOPIC", "org.example.app")];
        let environment =
            || Environment::new(variables.map(|(name, value)| (format!("MUNADI__{name}"), value.to_owned())));
        let given = Config::load(None, &environment(), crate::roles::Role::All).unwrap();
        let again = Config::deserialize(Value::Table(shown(&variables))).unwrap();
        assert_eq!(format!("{again:#?}"), format!("{given:#?}"));
        assert_ne!(format!("{again:?}"), format!("{:?}", Config::default()));
    }

    #[test]
    fn secrets_are_hidden_wherever_they_stand() {
        let table = shown(&[
            ("STORE__URL", "postgres://munadi:very secret@db:5432/festival"),
            ("STREAMS__URL", "redis://localhost:6379/2"),
            ("WORKERS__EMAIL__PASSWORD", "hunter2"),
            ("WORKERS__EMAIL__USERNAME", "munadi"),
        ]);
        let text = toml::to_string(&table).unwrap();
        assert!(!text.contains("hunter2") && !text.contains("very secret"), "{text}");
        assert_eq!(table["store"]["url"].as_str(), Some("postgres://munadi:(hidden)@db:5432/festival"));
        assert_eq!(table["streams"]["url"].as_str(), Some("redis://localhost:6379/2"));
        assert_eq!(table["workers"]["email"]["password"].as_str(), Some(MASK));
        assert_eq!(table["workers"]["email"]["username"].as_str(), Some("munadi"));
    }
}
