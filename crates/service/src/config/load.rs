//! Reads a TOML file, lays the environment over it, and finds every field that does not fit.

use std::collections::BTreeMap;
use std::path::Path;

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::{Fault, Faults};

/// What names of variables begin with; the rest is the field's path with `__` between its parts.
const PREFIX: &str = "MUNADI__";
/// After so many faults nobody reads on.
const FAULTS_MAX: usize = 100;

/// The variables that configure this process, by field path.
#[derive(Debug, Clone, Default)]
pub struct Environment(BTreeMap<Vec<String>, String>);

impl Environment {
    /// The environment of this process.
    pub fn of_process() -> Self {
        Self::new(
            std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
        )
    }

    /// Takes the variables whose names begin with `MUNADI__`.
    pub fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let fields = variables.into_iter().filter_map(|(name, value)| {
            let path = name.strip_prefix(PREFIX)?.to_lowercase();
            Some((path.split("__").map(str::to_owned).collect(), value))
        });
        Self(fields.collect())
    }
}

/// The configuration in `file` (none: every default) with `environment` over it.
///
/// Never stops at the first fault: a field that does not fit is noted and left at its default, so that the caller
/// can check the rest. The result is to be used only when `faults` stays empty.
pub fn load<C: DeserializeOwned + Default>(
    file: Option<&Path>,
    environment: &Environment,
    faults: &mut Faults,
) -> C {
    load_with_table(file, environment, faults).0
}

/// As [`load()`], with what was given, by file and environment, beside it.
pub fn load_with_table<C: DeserializeOwned + Default>(
    file: Option<&Path>,
    environment: &Environment,
    faults: &mut Faults,
) -> (C, Table) {
    let mut table = file.map(|path| read(path, faults)).unwrap_or_default();
    for (path, text) in &environment.0 {
        if !insert(&mut table, path, parsed(text)) {
            faults.found.push(Fault {
                field: variable(path),
                rule: "a part of its path is not a section in the file".to_owned(),
            });
        }
    }
    for _ in 0..FAULTS_MAX {
        let error = match serde_path_to_error::deserialize(Value::Table(table.clone())) {
            Ok(config) => return (config, table),
            Err(error) => error,
        };
        let path = path_of(&error);
        let text = environment.0.get(&path);
        if let Some(text) = text
            && take(&mut table, &path).is_some_and(|value| !value.is_str())
        {
            // `12345` is a number and a fine password: what does not fit as one may fit as the other
            insert(&mut table, &path, Value::String(text.clone()));
            continue;
        }
        let removed = take(&mut table, &path).is_some() || text.is_some();
        let mut field = path.join(".");
        if text.is_some() {
            field = format!("{field} (from {})", variable(&path));
        }
        faults.found.push(Fault { field, rule: rule_of(error.inner()) });
        if !removed && !remove_nearest(&mut table, path) {
            break;
        }
    }
    (C::default(), table)
}

fn read(path: &Path, faults: &mut Faults) -> Table {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            faults.add(&path.display().to_string(), format!("cannot be read: {error}"));
            return Table::new();
        }
    };
    text.parse().unwrap_or_else(|error: toml::de::Error| {
        let before = error.span().map_or("", |span| &text[..span.start.min(text.len())]);
        let line = before.matches('\n').count() + 1;
        faults.add(&format!("{} line {line}", path.display()), format!("is not TOML: {}", error.message()));
        Table::new()
    })
}

/// A number, list or truth value where the text is one; else the text.
fn parsed(text: &str) -> Value {
    let document = format!("value = {text}").parse::<Table>();
    match document.ok().and_then(|mut table| if table.len() == 1 { table.remove("value") } else { None }) {
        Some(Value::Datetime(_)) | None => Value::String(text.to_owned()),
        Some(value) => value,
    }
}

/// Sets the value at `path`, making the sections on the way; false when one of them is something else.
fn insert(table: &mut Table, path: &[String], value: Value) -> bool {
    match path {
        [] => false,
        [field] => {
            table.insert(field.clone(), value);
            true
        }
        [section, rest @ ..] => {
            let entry = table.entry(section.clone()).or_insert_with(|| Value::Table(Table::new()));
            entry.as_table_mut().is_some_and(|inner| insert(inner, rest, value))
        }
    }
}

fn take(table: &mut Table, path: &[String]) -> Option<Value> {
    match path {
        [] => None,
        [field] => table.remove(field),
        [section, rest @ ..] => take(table.get_mut(section)?.as_table_mut()?, rest),
    }
}

/// Removes the closest section or list around `path`, so that the next round gets past it.
fn remove_nearest(table: &mut Table, mut path: Vec<String>) -> bool {
    while path.pop().is_some() {
        if take(table, &path).is_some() {
            return true;
        }
    }
    false
}

fn path_of(error: &serde_path_to_error::Error<toml::de::Error>) -> Vec<String> {
    use serde_path_to_error::Segment;
    let segments = error.path().iter().filter_map(|segment| match segment {
        Segment::Map { key } => Some(key.clone()),
        Segment::Enum { variant } => Some(variant.clone()),
        Segment::Seq { index } => Some(index.to_string()),
        Segment::Unknown => None,
    });
    segments.collect()
}

fn rule_of(error: &toml::de::Error) -> String {
    // the path is said by the field
    error.message().lines().next().unwrap_or("does not fit").to_owned()
}

fn variable(path: &[String]) -> String {
    format!("{PREFIX}{}", path.join("__").to_uppercase())
}

#[cfg(test)]
mod tests;
