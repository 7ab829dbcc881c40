//! The catalogue of texts: a template for each kind of notification and language, built in, and replaceable by an
//! operator's own files in a directory.
//!
//! A template is Jinja with two blocks, `title` and `body`. Every inserted value is put between bidi isolates (U+2068,
//! U+2069), so that an English title inside an Arabic sentence, or the reverse, does not turn the words around it;
//! `plain` leaves them out. What a template may use is listed in `docs/operations/templates.md`.

mod filters;
mod moment;
mod samples;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use domain::{Language, LocalizedText, NotificationKind};
use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, Error, UndefinedBehavior};
use serde::{Deserialize, Serialize};
use service::Faults;
use tracing::error;

/// Steps that one text may take to write; a loop without end runs out of them.
const FUEL: u64 = 100_000;
/// What the names of templates end with.
const EXTENSION: &str = "jinja";

/// Declares the built-in templates by the words of their kinds.
macro_rules! built_in {
    ($($word:literal),+) => {
        const BUILT_IN: &[(&str, &str)] = &[$(
            (concat!($word, ".ar.jinja"), include_str!(concat!("../templates/", $word, ".ar.jinja"))),
            (concat!($word, ".en.jinja"), include_str!(concat!("../templates/", $word, ".en.jinja"))),
        )+];
    };
}

built_in!(
    "event_moved",
    "event_cancelled",
    "event_venue_changed",
    "announcement",
    "event_reminder",
    "digest"
);

/// `[workers.templates]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Directory with templates in place of the built-in ones, named like `event_moved.ar.jinja`. Empty: none.
    pub dir: PathBuf,
    /// Digits of numbers and times in Arabic texts: `latin` (20:30) or `arabic` (٢٠:٣٠).
    pub digits: Digits,
}

/// Digits of numbers in Arabic texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Digits {
    /// 0123456789.
    #[default]
    Latin,
    /// ٠١٢٣٤٥٦٧٨٩.
    Arabic,
}

/// What is wrong with a template, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}, line {line}: {fault}", file.display())]
pub struct TemplateFault {
    /// The file.
    pub file: PathBuf,
    /// Its line, from 1.
    pub line: usize,
    /// What is wrong.
    pub fault: String,
}

/// Headline and text, in the languages that there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Texts {
    pub(crate) title: LocalizedText,
    pub(crate) body: LocalizedText,
}

/// The catalogue. Cloning is cheap.
#[derive(Clone)]
pub struct Templates(Arc<Inner>);

struct Inner {
    own: Environment<'static>,
    built_in: Environment<'static>,
}

impl fmt::Debug for Templates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own: Vec<&str> = self.0.own.templates().map(|(name, _)| name).collect();
        f.debug_struct("Templates").field("own", &own).finish_non_exhaustive()
    }
}

impl Config {
    /// Notes every fault of `[workers.templates]`, those of the templates among them.
    pub(crate) fn check(&self, faults: &mut Faults) {
        if let Err(found) = Templates::load(self) {
            for fault in found {
                faults.add("dir", fault.to_string());
            }
        }
    }
}

impl Templates {
    /// The built-in templates and those of the configured directory, each tried with every sample.
    ///
    /// # Errors
    /// Every fault of every file.
    pub fn load(config: &Config) -> Result<Self, Vec<TemplateFault>> {
        let (mut own, mut faults) = (environment(config.digits), Vec::new());
        if !config.dir.as_os_str().is_empty() {
            match files(&config.dir) {
                Ok(files) => faults = files.iter().filter_map(|file| add(&mut own, file).err()).collect(),
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() { Ok(Self::with(own, config.digits)) } else { Err(faults) }
    }

    fn with(own: Environment<'static>, digits: Digits) -> Self {
        let mut built_in = environment(digits);
        for (name, source) in BUILT_IN {
            built_in.add_template_owned(*name, *source).expect("a test renders every built-in template");
        }
        Self(Arc::new(Inner { own, built_in }))
    }

    /// What people read about `kind`, in both languages. An operator's own template that fails on `values`, which its
    /// samples did not show, is logged and stood in for by the built-in one.
    pub(crate) fn both(&self, kind: NotificationKind, values: impl Fn(Language) -> Value) -> Texts {
        let mut texts = Texts::default();
        for language in Language::ALL {
            let (title, body) = self.one(kind, language, values(language));
            texts.set(language, title, body);
        }
        texts
    }

    /// What people read about `kind` in `language`: headline and text.
    pub(crate) fn one(&self, kind: NotificationKind, language: Language, values: Value) -> (String, String) {
        let name = name(kind, language);
        if self.0.own.get_template(&name).is_ok() {
            match render(&self.0.own, &name, values.clone()) {
                Ok(texts) => return texts,
                Err(cause) => {
                    error!(template = name, "the template {name} failed, the built-in one is used: {cause}");
                }
            }
        }
        render(&self.0.built_in, &name, values).expect("a test renders every built-in template")
    }
}

impl Texts {
    /// Adds one language.
    pub(crate) fn set(&mut self, language: Language, title: String, body: String) {
        let (title_place, body_place) = match language {
            Language::Ar => (&mut self.title.ar, &mut self.body.ar),
            Language::En => (&mut self.title.en, &mut self.body.en),
        };
        (*title_place, *body_place) = (Some(title), Some(body));
    }
}

/// Where templates live: strict, bounded, and with the isolates around what they insert.
fn environment(digits: Digits) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_formatter(move |out, state, value| filters::insert(out, state, value, digits));
    filters::add(&mut environment, digits);
    environment
}

fn name(kind: NotificationKind, language: Language) -> String {
    format!("{}.{}.{EXTENSION}", kind.as_str(), language.as_str())
}

/// The kind and language of a template by its file name.
fn subject(name: &str) -> Option<(NotificationKind, Language)> {
    let all = NotificationKind::ALL.into_iter().flat_map(|kind| Language::ALL.map(|one| (kind, one)));
    all.into_iter().find(|(kind, language)| self::name(*kind, *language) == name)
}

/// Every template file of a directory, in the order of their names.
fn files(dir: &Path) -> Result<Vec<PathBuf>, TemplateFault> {
    let fault = |cause: std::io::Error| TemplateFault {
        file: dir.to_owned(),
        line: 1,
        fault: format!("cannot be read: {cause}"),
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        if path.extension().is_some_and(|extension| extension == EXTENSION) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Adds a file, and tries it with every sample of its kind.
fn add(environment: &mut Environment<'static>, file: &Path) -> Result<(), TemplateFault> {
    let fault = |line: usize, fault: String| TemplateFault { file: file.to_owned(), line, fault };
    let of_error = |cause: Error| fault(cause.line().unwrap_or(1), words(&cause));
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    let Some((kind, language)) = subject(&name) else {
        let known: Vec<&str> = NotificationKind::ALL.iter().map(|kind| kind.as_str()).collect();
        let kinds = known.join(", ");
        return Err(fault(1, format!("names no template; they are <kind>.<ar|en>.jinja of {kinds}")));
    };
    let source =
        std::fs::read_to_string(file).map_err(|cause| fault(1, format!("cannot be read: {cause}")))?;
    environment.add_template_owned(name.clone(), source).map_err(of_error)?;
    for sample in samples::of(kind, language) {
        let (title, body) = render(environment, &name, sample).map_err(of_error)?;
        if title.is_empty() || (body.is_empty() && kind != NotificationKind::Digest) {
            return Err(fault(1, "its title and body must not be empty".to_owned()));
        }
    }
    Ok(())
}

/// What is wrong, without the place, which stands elsewhere.
fn words(cause: &Error) -> String {
    match cause.detail() {
        Some(detail) => format!("{}: {detail}", cause.kind()),
        None => cause.kind().to_string(),
    }
}

fn render(environment: &Environment<'_>, name: &str, values: Value) -> Result<(String, String), Error> {
    let mut whole = environment.get_template(name)?.render_captured(values)?;
    let title = whole.with_state_mut(|state| state.render_block("title"))?;
    let body = whole.with_state_mut(|state| state.render_block("body"))?;
    let title = title.split_whitespace().collect::<Vec<_>>().join(" ");
    Ok((title, body.trim().to_owned()))
}

#[cfg(test)]
mod tests;
