//! The values of a statement under construction: each gets its place (`$1`, `$2`, …) when it is bound.

use sea_orm::Value;

/// Values in the order of their places.
#[derive(Debug, Default)]
pub(crate) struct Binds(Vec<Value>);

impl Binds {
    /// Takes a value and gives its place.
    pub(crate) fn one(&mut self, value: impl Into<Value>) -> String {
        self.0.push(value.into());
        format!("${}", self.0.len())
    }

    /// Takes values and gives their places, for `IN (…)`. Of none it makes `NULL`, which nothing equals.
    pub(crate) fn all<V: Into<Value>>(&mut self, values: impl IntoIterator<Item = V>) -> String {
        let places: Vec<_> = values.into_iter().map(|value| self.one(value)).collect();
        if places.is_empty() { "NULL".to_owned() } else { places.join(", ") }
    }

    /// Takes a row and gives its places in parentheses, for `VALUES`.
    pub(crate) fn row(&mut self, values: impl IntoIterator<Item = Value>) -> String {
        format!("({})", self.all(values))
    }

    /// The values.
    pub(crate) fn take(self) -> Vec<Value> {
        self.0
    }
}
