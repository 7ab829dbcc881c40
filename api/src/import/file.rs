//! The file as it is written: the parts of the format that are taken over. Other fields are passed over, because
//! every tool adds its own.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Deserialize;
use serde_path_to_error::Segment;

use super::ImportError;
use super::plan::Fault;

/// The whole file.
#[derive(Debug, Deserialize)]
pub(super) struct File {
    pub(super) schedule: Schedule,
}

/// `schedule`.
#[derive(Debug, Deserialize)]
pub(super) struct Schedule {
    pub(super) conference: Conference,
}

/// `schedule.conference`.
#[derive(Debug, Deserialize)]
pub(super) struct Conference {
    #[serde(default)]
    pub(super) acronym: Option<String>,
    pub(super) title: String,
    #[serde(default)]
    pub(super) time_zone_name: Option<String>,
    pub(super) days: Vec<Day>,
}

/// `schedule.conference.days[n]`.
#[derive(Debug, Deserialize)]
pub(super) struct Day {
    pub(super) rooms: BTreeMap<String, Vec<Item>>,
}

/// `schedule.conference.days[n].rooms[name][m]`.
#[derive(Debug, Deserialize)]
pub(super) struct Item {
    pub(super) guid: String,
    pub(super) date: String,
    pub(super) duration: String,
    pub(super) title: String,
    #[serde(default)]
    pub(super) subtitle: Option<String>,
    #[serde(default, rename = "abstract")]
    pub(super) summary: Option<String>,
    #[serde(default)]
    pub(super) description: Option<String>,
    #[serde(default)]
    pub(super) track: Option<String>,
    #[serde(default)]
    pub(super) language: Option<String>,
    #[serde(default)]
    pub(super) persons: Vec<Person>,
}

/// `persons[n]` of an item.
#[derive(Debug, Deserialize)]
pub(super) struct Person {
    #[serde(default)]
    pub(super) guid: Option<String>,
    #[serde(default)]
    pub(super) id: Option<PersonNumber>,
    /// What some tools write beside or instead of [`Self::name`].
    #[serde(default)]
    public_name: Option<String>,
    #[serde(default)]
    name: Option<String>,
}

impl Person {
    /// What they are called, where that is said.
    pub(super) fn public_name(&self) -> Option<&str> {
        self.public_name.as_deref().or(self.name.as_deref())
    }
}

/// Some tools write numbers, some texts.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum PersonNumber {
    Number(i64),
    Text(String),
}

/// Reads the file.
///
/// # Errors
/// [`ImportError::NotJson`], or [`ImportError::Faults`] with the path of the field that has another form.
pub(super) fn parse(bytes: &[u8]) -> Result<File, ImportError> {
    let mut decoder = serde_json::Deserializer::from_slice(bytes);
    let file = serde_path_to_error::deserialize(&mut decoder).map_err(|error| {
        if error.inner().is_data() {
            let path = path(error.path());
            ImportError::Faults(vec![Fault { path, rule: error.into_inner().to_string() }])
        } else {
            ImportError::NotJson(error.into_inner().to_string())
        }
    })?;
    decoder.end().map_err(|error| ImportError::NotJson(error.to_string()))?;
    Ok(file)
}

fn path(path: &serde_path_to_error::Path) -> String {
    let mut text = "$".to_owned();
    for segment in path {
        let written = match segment {
            Segment::Seq { index } => write!(text, "[{index}]"),
            Segment::Map { key } => write!(text, ".{key}"),
            Segment::Enum { .. } | Segment::Unknown => Ok(()),
        };
        written.expect("writing to a text does not fail");
    }
    text
}
