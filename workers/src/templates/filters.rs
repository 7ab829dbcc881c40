//! What templates can do with values: insert them between isolates, count, and tell times.

use domain::{Language, PluralForm, Timestamp};
use jiff::Zoned;
use jiff::tz::TimeZone;
use minijinja::value::{Kwargs, Value};
use minijinja::{Environment, Error, ErrorKind, Output, State};

use super::{Digits, moment};

/// First strong isolate: what follows has a direction of its own.
const ISOLATE: char = '\u{2068}';
/// Pop directional isolate: its end.
const POP: char = '\u{2069}';

/// Adds the filters.
pub(super) fn add(environment: &mut Environment<'static>, digits: Digits) {
    environment.add_filter("plain", |value: String| Value::from_safe_string(cleaned(&value)));
    environment.add_filter("plural", move |state: &State, count: u64, forms: Kwargs| {
        plural(language(state), count, &forms, digits)
    });
    environment
        .add_filter("moment", move |state: &State, at: String| time(state, &at, digits, moment::moment));
    environment.add_filter("day", move |state: &State, at: String| time(state, &at, digits, moment::day));
    environment.add_filter("clock", move |state: &State, at: String| time(state, &at, digits, moment::clock));
}

/// Writes a value where a template inserts it.
pub(super) fn insert(out: &mut Output, state: &State, value: &Value, digits: Digits) -> Result<(), Error> {
    if value.is_none() {
        return Ok(());
    }
    let text = match value.as_str() {
        Some(text) if value.is_safe() => text.to_owned(),
        Some(text) => isolated(text),
        None if value.is_number() => isolated(&in_digits(&value.to_string(), language(state), digits)),
        None => {
            return Err(Error::new(ErrorKind::InvalidOperation, "only texts and numbers can be inserted"));
        }
    };
    out.write_str(&text).map_err(Error::from)
}

/// The language of the template that runs, by its name.
fn language(state: &State) -> Language {
    let tag = state.name().rsplit('.').nth(1).unwrap_or_default();
    Language::of_tag(tag).unwrap_or_default()
}

/// A value set off from the direction of what surrounds it.
fn isolated(value: &str) -> String {
    format!("{ISOLATE}{}{POP}", cleaned(value))
}

/// Without control characters and without bidi controls, which could open or close more than the value.
fn cleaned(value: &str) -> String {
    let turns = |one: char| matches!(one, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    value.chars().filter(|one| !turns(*one) && (!one.is_control() || matches!(one, '\n' | '\t'))).collect()
}

/// The wording of a count; `{n}` in it is the number. All forms of the language have to be there, so that a forgotten
/// one is found before it is needed.
fn plural(language: Language, count: u64, forms: &Kwargs, digits: Digits) -> Result<Value, Error> {
    let mut chosen = None;
    for form in PluralForm::of_language(language) {
        let missing = |_| {
            let word = form.as_str();
            Error::new(
                ErrorKind::MissingArgument,
                format!("plural needs the form \"{word}\" in {}", language.as_str()),
            )
        };
        let wording: String = forms.get(form.as_str()).map_err(missing)?;
        if *form == PluralForm::of(language, count) {
            chosen = Some(wording);
        }
    }
    forms.assert_all_used()?;
    let number = isolated(&in_digits(&count.to_string(), language, digits));
    let wording = chosen.expect("every count has a form of its language, a test proves it");
    Ok(Value::from_safe_string(wording.replace("{n}", &number)))
}

type Telling = fn(&Zoned, Language) -> String;

/// An instant told in the template's language and in the zone of the value `time_zone`.
fn time(state: &State, at: &str, digits: Digits, telling: Telling) -> Result<Value, Error> {
    let wrong = |cause: String| Error::new(ErrorKind::InvalidOperation, cause);
    let at: Timestamp = at.parse().map_err(|cause: domain::TimestampError| wrong(cause.to_string()))?;
    let zone =
        state.lookup("time_zone").and_then(|zone| zone.as_str().map(str::to_owned)).unwrap_or_default();
    let zone = TimeZone::get(&zone).unwrap_or(TimeZone::UTC);
    let language = language(state);
    let told = telling(&at.as_jiff().to_zoned(zone), language);
    Ok(Value::from(in_digits(&told, language, digits)))
}

fn in_digits(text: &str, language: Language, digits: Digits) -> String {
    if language != Language::Ar || digits != Digits::Arabic {
        return text.to_owned();
    }
    let turned = |one: char| match one.to_digit(10) {
        Some(digit) => char::from_u32(0x0660 + digit).expect("the ten digits follow each other"),
        None => one,
    };
    text.chars().map(turned).collect()
}
