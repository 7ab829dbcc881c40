//! A configuration with many faults is told all of them.

use std::net::SocketAddr;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::*;

#[derive(Debug, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Config {
    name: String,
    listen: Vec<SocketAddr>,
    limits: Limits,
    mode: Mode,
    password: Option<SecretString>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Limits {
    bytes_max: u32,
    strict: bool,
}

#[derive(Debug, Deserialize, Default, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Mode {
    #[default]
    Plain,
    Fancy,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes_max: 7, strict: true }
    }
}

fn load_from(toml: &str, variables: &[(&str, &str)]) -> (Config, Vec<String>) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), toml).unwrap();
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let mut faults = Faults::default();
    let config = load(Some(file.path()), &Environment::new(variables), &mut faults);
    let name = file.path().display().to_string();
    (config, faults.list().iter().map(|fault| fault.to_string().replace(&name, "FILE")).collect())
}

#[test]
fn the_environment_lies_over_the_file_and_the_file_over_the_defaults() {
    let (config, faults) = load_from(
        "name = 'file'\n[limits]\nstrict = false",
        &[
            ("MUNADI__NAME", "sqlite:here"),
            ("MUNADI__LISTEN", "['127.0.0.1:80', '[::1]:80']"),
            ("MUNADI__MODE", "fancy"),
            ("MUNADI__PASSWORD", "12345"),
            ("OTHER__NAME", "no"),
        ],
    );
    assert_eq!(faults, [""; 0]);
    assert_eq!((config.name.as_str(), config.listen.len(), config.mode), ("sqlite:here", 2, Mode::Fancy));
    assert_eq!((config.limits.bytes_max, config.limits.strict), (7, false));
    assert_eq!(config.password.unwrap().expose_secret(), "12345");
}

#[test]
fn every_fault_is_told_with_its_path() {
    let (_, faults) = load_from(
        "nmae = 'x'\nname = 3\nlisten = ['nowhere']\nmode = 'odd'\n[limits]\nbytes_max = -1\nstrickt = true\n[other]\nx = 1",
        &[("MUNADI__LIMITS__STRICT", "perhaps"), ("MUNADI__LIMIT__X", "1"), ("MUNADI__NAME__X", "1")],
    );
    let mut fields: Vec<_> = faults.iter().map(|fault| fault.split(": ").next().unwrap()).collect();
    fields.sort_unstable();
    assert_eq!(
        fields,
        [
            "MUNADI__NAME__X",
            "limit",
            "limits.bytes_max",
            "limits.strickt",
            "limits.strict (from MUNADI__LIMITS__STRICT)",
            "listen.0",
            "mode",
            "name",
            "nmae",
            "other",
        ],
        "{faults:#?}"
    );
    assert!(faults.iter().any(|fault| fault.contains("unknown field `strickt`, expected `bytes_max` or")));
}

#[test]
fn a_file_that_is_no_toml_is_told_by_line() {
    let (_, faults) = load_from("name = 'x'\n[limits\n", &[]);
    assert_eq!(faults.len(), 1);
    assert!(faults[0].starts_with("FILE line 2: is not TOML"), "{}", faults[0]);
    let mut faults = Faults::default();
    let _: Config = load(Some(Path::new("/nowhere/at.toml")), &Environment::default(), &mut faults);
    assert!(faults.list()[0].to_string().starts_with("/nowhere/at.toml: cannot be read"));
}
