//! From what was typed to what is used: every fault is reported, none stops the check.
//!
//! [`load()`] reads a file and the environment into a configuration; its owner's `check` adds to the same [`Faults`].

mod load;
mod secret;

use std::fmt::{self, Display};
use std::ops::RangeInclusive;

pub use load::{Environment, load, load_with_table};
pub use secret::{read_pem, read_secret};

/// The exit code of a process whose configuration is wrong (`EX_USAGE` of sysexits).
pub const EXIT_CODE: u8 = 64;

/// The faults of a configuration, each with the field it is about.
#[derive(Debug, Default)]
pub struct Faults {
    section: Vec<String>,
    found: Vec<Fault>,
}

/// One thing that is wrong in a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Dotted path of the field, such as `hub.limits.queue_bytes_max`.
    pub field: String,
    /// The rule it breaks.
    pub rule: String,
}

impl Faults {
    /// Checks `section` with `check`; the faults found there have the section's name before their field.
    pub fn section(&mut self, section: &str, check: impl FnOnce(&mut Self)) {
        self.section.push(section.to_owned());
        check(self);
        self.section.pop();
    }

    /// Notes a fault of `field` in the current section.
    pub fn add(&mut self, field: &str, rule: impl Into<String>) {
        let mut path = self.section.clone();
        path.push(field.to_owned());
        self.found.push(Fault { field: path.join("."), rule: rule.into() });
    }

    /// Notes a fault unless `value` lies in `range`.
    #[expect(clippy::needless_pass_by_value, reason = "ranges are written in place")]
    pub fn range<T: PartialOrd + Display>(&mut self, field: &str, value: T, range: RangeInclusive<T>) {
        if !range.contains(&value) {
            self.add(field, format!("must be {} to {}, is {value}", range.start(), range.end()));
        }
    }

    /// Says `rule` of what was found wrong with `path`, the whole path of a field that is no more.
    pub fn reword(&mut self, path: &str, rule: &str) {
        let given = |field: &str| {
            field.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        };
        for fault in self.found.iter_mut().filter(|fault| given(&fault.field)) {
            rule.clone_into(&mut fault.rule);
        }
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// What is wrong, in the order of the checks.
    pub fn list(&self) -> &[Fault] {
        &self.found
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_found_and_named_by_its_path() {
        let mut faults = Faults::default();
        faults.section("hub", |faults| {
            faults.section("limits", |faults| faults.range("queue_bytes_max", 1, 4_096..=16_777_216));
            faults.add("origins", "must not be empty");
        });
        let texts: Vec<String> = faults.list().iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            ["hub.limits.queue_bytes_max: must be 4096 to 16777216, is 1", "hub.origins: must not be empty"]
        );
        faults.reword("hub.origins", "is gone");
        faults.reword("hub.limits", "is not concerned");
        assert_eq!(faults.list()[1].rule, "is gone");
        assert!(faults.list()[0].rule.starts_with("must be"));
    }
}
