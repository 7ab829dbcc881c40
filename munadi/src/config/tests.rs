//! `config/munadi.toml` and `config/cluster.toml` say what the code says.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::*;

const ANNOTATED: &str = include_str!("../../../config/munadi.toml");
const CLUSTER: &str = include_str!("../../../config/cluster.toml");
const CONFORMANCE: &str = include_str!("../../../config/conformance.toml");

fn parsed(table: &Table) -> Result<Config, String> {
    serde::Deserialize::deserialize(Value::Table(table.clone()))
        .map_err(|error: toml::de::Error| error.to_string())
}

/// The fields of the section at `path`, as the code names them when it refuses an unknown one.
fn fields_of(table: &Table, path: &[&str]) -> Vec<String> {
    let mut changed = table.clone();
    let mut section = &mut changed;
    for part in path {
        section = section.get_mut(*part).and_then(Value::as_table_mut).expect("the section is in the file");
    }
    section.insert("no_such_field".to_owned(), Value::Boolean(true));
    let error = parsed(&changed).expect_err("unknown fields are refused");
    let Some((_, expected)) = error.split_once("unknown field `no_such_field`, expected ") else {
        // sections whose parts the operator names: what the file shows of them has to be whole
        assert!(error.contains("invalid type: boolean `true`, expected a map"), "{path:?}: {error}");
        let shown = path.iter().try_fold(table, |section, part| section.get(*part)?.as_table());
        return shown.into_iter().flat_map(Table::keys).cloned().collect();
    };
    let line = expected.lines().next().unwrap_or_default();
    line.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Every field below `path`, and whether the file sets it or shows it in a comment under its section's heading.
fn missing(table: &Table, shown: &BTreeMap<String, Vec<String>>, path: &[&str]) -> Vec<String> {
    let section = path.iter().try_fold(table, |section, part| section.get(*part)?.as_table());
    let section = section.expect("the section is in the file");
    let comments = shown.get(&path.join(".")).cloned().unwrap_or_default();
    let mut missing = Vec::new();
    for field in fields_of(table, path) {
        match section.get(&field) {
            Some(Value::Table(_)) => {
                missing.extend(self::missing(table, shown, &[path, &[field.as_str()]].concat()));
            }
            Some(_) => {}
            None if comments.contains(&field) => {}
            None => missing.push([path, &[field.as_str()]].concat().join(".")),
        }
    }
    missing
}

/// `# field = …` in each section of the file: fields without a default are shown, not set.
fn commented(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut section = String::new();
    let mut shown = BTreeMap::<String, Vec<String>>::new();
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix('[') {
            section = heading.trim_end_matches(']').to_owned();
        } else if let Some((field, _)) = line.strip_prefix("# ").and_then(|line| line.split_once(" = ")) {
            shown.entry(section.clone()).or_default().push(field.to_owned());
        }
    }
    shown
}

#[test]
fn the_annotated_file_is_the_default() {
    let table: Table = ANNOTATED.parse().unwrap();
    let from_file = parsed(&table).unwrap();
    assert_eq!(format!("{from_file:#?}"), format!("{:#?}", Config::default()));
}

#[test]
fn the_annotated_file_has_every_field() {
    let table: Table = ANNOTATED.parse().unwrap();
    assert_eq!(missing(&table, &commented(ANNOTATED), &[]), [""; 0]);
}

#[test]
fn a_missing_field_is_noticed() {
    let mut table: Table = ANNOTATED.parse().unwrap();
    table["http"].as_table_mut().unwrap().remove("backlog");
    assert_eq!(missing(&table, &commented(ANNOTATED), &[]), ["http.backlog"]);
}

/// Goal: what the file shows in comments, for what has no default, is whole too.
#[test]
fn the_shown_application_has_every_field() {
    let shown = "[hub.pusher.apps.example]";
    let (_, block) = ANNOTATED.split_once(&format!("# {shown}\n")).expect("it is shown");
    let fields = block.lines().map_while(|line| line.strip_prefix('#')).map(str::trim_start);
    let fields: Vec<_> =
        fields.filter(|line| line.split_once(" = ").is_some_and(|(name, _)| !name.contains(' '))).collect();
    let table: Table = format!("{shown}\n{}", fields.join("\n")).parse().unwrap();
    assert_eq!(missing(&table, &BTreeMap::new(), &["hub", "pusher", "apps", "example"]), [""; 0]);
}

#[test]
fn the_default_is_faultless() {
    let config = Config::load(None, &Environment::default(), Role::All);
    assert!(config.is_ok(), "{config:?}");
}

#[test]
fn the_cluster_file_lacks_nothing_but_its_keys() {
    let config = parsed(&CLUSTER.parse().unwrap()).unwrap();
    for role in [Role::Api, Role::Hub, Role::Workers] {
        let mut faults = Faults::default();
        config.check(role, &mut faults);
        let others: Vec<_> =
            faults.list().iter().filter(|fault| !fault.rule.contains("cannot be read")).collect();
        assert!(others.is_empty(), "{role:?}: {others:?}");
    }
}

#[test]
fn the_file_for_test_suites_is_faultless() {
    let config = parsed(&CONFORMANCE.parse().unwrap()).unwrap();
    let mut faults = Faults::default();
    config.check(Role::All, &mut faults);
    assert!(faults.is_empty(), "{:?}", faults.list());
}
