//! What a run found: figures to read, checks that hold or not.

use std::fmt::Display;

use serde::Serialize;
use serde_json::{Map, Value};

/// The outcome of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Which command made it.
    pub command: &'static str,
    /// What was measured, by name.
    pub figures: Map<String, Value>,
    /// What was asserted.
    pub checks: Vec<Check>,
    /// Everything in detail: not for people.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub details: Value,
}

/// One assertion.
#[derive(Debug, Serialize)]
pub(crate) struct Check {
    /// What should hold.
    pub rule: String,
    /// Whether it does.
    pub holds: bool,
    /// What was found.
    pub found: String,
}

impl Report {
    /// An empty report of `command`.
    pub(crate) fn new(command: &'static str) -> Self {
        Self { command, figures: Map::new(), checks: Vec::new(), details: Value::Null }
    }

    /// Notes a figure.
    pub(crate) fn figure(&mut self, name: &str, value: impl Serialize) {
        let value = serde_json::to_value(value).expect("figures are plain data");
        self.figures.insert(name.to_owned(), value);
    }

    /// Notes everything that was measured.
    pub(crate) fn detail(&mut self, details: impl Serialize) {
        self.details = serde_json::to_value(details).expect("details are plain data");
    }

    /// Notes whether `rule` holds, with what was found.
    pub(crate) fn check(&mut self, rule: impl Into<String>, holds: bool, found: impl Into<String>) {
        self.checks.push(Check { rule: rule.into(), holds, found: found.into() });
    }

    /// Notes that `found` has to be `wanted`.
    pub(crate) fn equal<T: PartialEq + Display + Copy>(&mut self, rule: &str, found: T, wanted: T) {
        let holds = found == wanted;
        let found = if holds { found.to_string() } else { format!("{found}, not {wanted}") };
        self.check(rule, holds, found);
    }

    /// Whether every check holds.
    pub(crate) fn holds(&self) -> bool {
        self.checks.iter().all(|check| check.holds)
    }

    /// Figures and checks as pairs of text.
    pub(crate) fn lines(&self) -> Vec<(String, String)> {
        let figures = self.figures.iter().map(|(name, value)| (name.clone(), figure(value)));
        let checks = self.checks.iter().map(|check| {
            let mark = if check.holds { "holds" } else { "does not hold" };
            (check.rule.clone(), format!("{mark}: {}", check.found))
        });
        figures.chain(checks).collect()
    }

    /// Prints it to standard output, for people or as one JSON document.
    #[expect(clippy::print_stdout, reason = "the report is what the command is for")]
    pub(crate) fn print(&self, json: bool) {
        if json {
            println!("{}", serde_json::to_string_pretty(self).expect("reports are plain data"));
        } else {
            println!("{}", self.text());
        }
    }

    fn text(&self) -> String {
        let mut lines = vec![format!("loadtest {}", self.command)];
        for (name, value) in &self.figures {
            lines.push(format!("  {name:<28} {}", figure(value)));
        }
        for check in &self.checks {
            let mark = if check.holds { "ok    " } else { "FAILED" };
            lines.push(format!("  {mark} {}: {}", check.rule, check.found));
        }
        let hold = self.checks.iter().filter(|check| check.holds).count();
        lines.push(format!("{hold} of {} checks hold", self.checks.len()));
        lines.join("\n")
    }
}

/// A figure on one line: objects as `key value, key value`.
fn figure(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|(name, value)| format!("{name} {}", figure(value))).collect();
            fields.join(", ")
        }
        Value::Number(number) if number.is_f64() => format!("{:.2}", number.as_f64().unwrap_or_default()),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_broken_rule_fails_the_report_and_is_shown() {
        let mut report = Report::new("smoke");
        report.figure("latency", serde_json::json!({ "p50_ms": 1.5, "count": 3 }));
        report.equal("sockets that got it", 3, 3);
        assert!(report.holds());
        report.equal("mails", 2, 3);
        assert!(!report.holds());
        let text = report.text();
        assert!(text.contains("FAILED mails: 2, not 3") && text.ends_with("1 of 2 checks hold"), "{text}");
    }
}
