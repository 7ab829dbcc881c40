//! Statements as text, for what reads better as SQL than as a builder. `$1`, `$2`, … work on both engines.

use domain::Timestamp;
use sea_orm::{DbBackend, QueryResult, Statement, TryGetable, Value};

use crate::{Engine, StoreError};

/// A statement of `engine` with its values.
pub(crate) fn statement(
    engine: Engine,
    sql: impl Into<String>,
    values: impl IntoIterator<Item = Value>,
) -> Statement {
    let backend = match engine {
        Engine::Sqlite => DbBackend::Sqlite,
        Engine::Postgres => DbBackend::Postgres,
    };
    Statement::from_sql_and_values(backend, sql, values)
}

/// The column named `column`.
pub(crate) fn get<T: TryGetable>(row: &QueryResult, column: &str) -> Result<T, StoreError> {
    Ok(row.try_get("", column)?)
}

/// The instant in the column named `column`.
pub(crate) fn get_at(row: &QueryResult, column: &'static str) -> Result<Timestamp, StoreError> {
    instant(column, get(row, column)?)
}

/// The instant in the column named `column`, or nothing.
pub(crate) fn get_at_null(row: &QueryResult, column: &'static str) -> Result<Option<Timestamp>, StoreError> {
    get::<Option<i64>>(row, column)?.map(|micros| instant(column, micros)).transpose()
}

/// The word in the column named `column`, as the domain knows it.
pub(crate) fn get_word<T: std::str::FromStr>(
    row: &QueryResult,
    column: &'static str,
) -> Result<T, StoreError> {
    let word: String = get(row, column)?;
    word.parse().map_err(|_| corrupt(column, &word))
}

/// The JSON in the column named `column`.
pub(crate) fn get_json<T: serde::de::DeserializeOwned>(
    row: &QueryResult,
    column: &'static str,
) -> Result<T, StoreError> {
    let text: String = get(row, column)?;
    serde_json::from_str(&text).map_err(|_| corrupt(column, &text))
}

/// `value` as JSON text.
pub(crate) fn json_text<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("our own types have string keys and no failing parts")
}

fn instant(column: &'static str, micros: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(micros).map_err(|_| corrupt(column, &micros.to_string()))
}

pub(crate) fn corrupt(column: &'static str, value: &str) -> StoreError {
    StoreError::Corrupt { column, value: value.chars().take(80).collect() }
}

/// The values of a statement under construction, and the places that they take in its text.
#[derive(Default)]
pub(crate) struct Values(pub(crate) Vec<Value>);

impl Values {
    /// Takes a value; gives its place.
    pub(crate) fn bind(&mut self, value: impl Into<Value>) -> String {
        self.0.push(value.into());
        format!("${}", self.0.len())
    }

    /// Takes a list; gives its places, joined by commas.
    pub(crate) fn bind_all<T: Into<Value>>(&mut self, values: impl IntoIterator<Item = T>) -> String {
        let mut places = String::new();
        for value in values {
            if !places.is_empty() {
                places.push_str(", ");
            }
            places.push_str(&self.bind(value));
        }
        places
    }

    /// Takes a row; gives its places in parentheses.
    pub(crate) fn bind_row(&mut self, values: impl IntoIterator<Item = Value>) -> String {
        format!("({})", self.bind_all(values))
    }
}

/// An instant as its column holds it.
pub(crate) fn at(instant: Timestamp) -> Value {
    Value::from(instant.as_microsecond())
}

/// An instant or nothing, as its column holds it.
pub(crate) fn at_null(instant: Option<Timestamp>) -> Value {
    Value::from(instant.map(Timestamp::as_microsecond))
}

/// A count or limit as SQL takes it.
pub(crate) fn count(number: u64) -> Value {
    Value::from(i64::try_from(number).unwrap_or(i64::MAX))
}
