use std::fmt::Write as _;

use domain::{EventId, EventSnapshot, VenueId, VenueSnapshot};
use proptest::prelude::*;

use super::*;
use crate::render;

fn concert() -> EventSnapshot {
    EventSnapshot {
        id: EventId(17),
        version: 2,
        status: "published".to_owned(),
        title: LocalizedText {
            ar: Some("ليلة النجوم".to_owned()), en: Some("Night of Stars".to_owned())
        },
        venue: VenueSnapshot { id: VenueId(5), name: LocalizedText::english("North Stage"), capacity: None },
        starts_at: "2026-07-18T17:30:00Z".parse().unwrap(),
        ends_at: "2026-07-18T19:00:00Z".parse().unwrap(),
        time_zone: "Africa/Cairo".to_owned(),
    }
}

fn built_in() -> Templates {
    Templates::load(&Config::default()).unwrap()
}

/// The isolates as brackets, to be seen.
fn visible(text: &str) -> String {
    text.replace('\u{2068}', "[").replace('\u{2069}', "]")
}

fn shown(texts: &Texts) -> String {
    let mut all = String::new();
    for language in Language::ALL {
        let (title, body) = (texts.title.pick(language), texts.body.pick(language));
        writeln!(all, "{}: {}\n    {}", language.as_str(), visible(title), visible(body)).unwrap();
    }
    all
}

#[test]
fn the_catalogue_reads_like_this() {
    let (templates, event) = (built_in(), concert());
    let news =
        [NotificationKind::EventMoved, NotificationKind::EventVenueChanged, NotificationKind::EventCancelled];
    let all: String = news.map(|kind| shown(&render::event(&templates, kind, &event))).concat();
    insta::assert_snapshot!("news", all);
}

#[test]
fn reminders_use_every_plural_form() {
    let (templates, event) = (built_in(), concert());
    let titles: Vec<String> = [0, 1, 2, 10, 30, 100, 60, 120, 180, 1_440, 4_320]
        .into_iter()
        .map(|minutes| {
            let title = render::reminder(&templates, &event, minutes).title;
            format!(
                "{minutes}: {} / {}",
                visible(title.pick(Language::Ar)),
                visible(title.pick(Language::En))
            )
        })
        .collect();
    insta::assert_snapshot!("reminders", titles.join("\n"));
}

#[test]
fn a_digest_lists_the_newest_and_counts_the_rest() {
    let templates = built_in();
    let at = "2026-07-18T17:30:00Z".parse().unwrap();
    let items =
        [render::Unread { title: "Storm".to_owned(), at }, render::Unread { title: "عاصفة".to_owned(), at }];
    let told: Vec<String> = Language::ALL
        .into_iter()
        .map(|language| {
            let (title, body) = render::digest(&templates, language, 5, &items, "Africa/Cairo");
            visible(&format!("{title}\n{body}"))
        })
        .collect();
    insta::assert_snapshot!("digest", told.join("\n--\n"));
}

#[test]
fn an_announcement_keeps_its_languages_and_its_words() {
    let title = LocalizedText { ar: Some("عاصفة".to_owned()), en: None };
    let body = LocalizedText { ar: Some("توجهوا إلى\nالقاعة {{ 7 }}".to_owned()), en: None };
    let texts = render::announcement(&built_in(), &title, &body);
    assert_eq!((texts.title, texts.body), (title, body));
}

#[test]
fn arabic_digits_are_for_arabic_texts_alone() {
    let config = Config { digits: Digits::Arabic, ..Config::default() };
    let texts = render::reminder(&Templates::load(&config).unwrap(), &concert(), 10);
    assert_eq!(visible(texts.title.pick(Language::Ar)), "[ليلة النجوم] بعد [١٠] دقائق");
    assert!(texts.body.pick(Language::Ar).contains("٢٠:٣٠"));
    assert!(texts.body.pick(Language::En).contains("20:30"));
}

fn directory(files: &[(&str, &str)]) -> (tempfile::TempDir, Config) {
    let dir = tempfile::tempdir().unwrap();
    for (name, source) in files {
        std::fs::write(dir.path().join(name), source).unwrap();
    }
    let config = Config { dir: dir.path().to_owned(), ..Config::default() };
    (dir, config)
}

#[test]
fn an_operator_replaces_single_templates() {
    let own = "{% block title %}{{ event }}!{% endblock %}{% block body %}{{ starts_at | day }}, {{ starts_at | clock }}{% endblock %}";
    let (_dir, config) = directory(&[("event_moved.en.jinja", own), ("notes.txt", "not a template")]);
    let texts = render::event(&Templates::load(&config).unwrap(), NotificationKind::EventMoved, &concert());
    assert_eq!(visible(texts.title.pick(Language::En)), "[Night of Stars]!");
    assert_eq!(visible(texts.body.pick(Language::En)), "[Saturday 18 July], [20:30]");
    assert_eq!(visible(texts.title.pick(Language::Ar)), "موعد جديد: [ليلة النجوم]");
}

#[test]
fn every_fault_is_found_at_the_start_with_its_file_and_line() {
    let table = [
        ("event_moved.fr.jinja", "", 1, "names no template"),
        (
            "event_moved.ar.jinja",
            "{% block title %}x{% endblock %}\n{% block body %}\n{{ evnt }}{% endblock %}",
            3,
            "undefined value",
        ),
        (
            "event_moved.en.jinja",
            "{% block title %}x{% endblock %}\n\n{% block body %}{{ event | upside_down }}{% endblock %}",
            3,
            "unknown filter",
        ),
        ("event_cancelled.en.jinja", "{% block title %}x{% endblock %}\n{% if %}", 2, "syntax error"),
        ("event_cancelled.ar.jinja", "{% block title %}x{% endblock %}", 1, "body"),
        (
            "announcement.en.jinja",
            "{% block title %} {% endblock %}{% block body %}x{% endblock %}",
            1,
            "must not be empty",
        ),
        (
            "event_reminder.ar.jinja",
            "{% block title %}x{% endblock %}\n{% block body %}{{ minutes | plural(one='x', other='{n}') }}{% endblock %}",
            2,
            "plural needs the form \"zero\" in ar",
        ),
        (
            "event_reminder.en.jinja",
            "{% block title %}{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}{% endblock %}{% block body %}x{% endblock %}",
            1,
            "fuel",
        ),
        (
            "digest.en.jinja",
            "{% block title %}x{% endblock %}\n{% block body %}{{ items }}{% endblock %}",
            2,
            "only texts and numbers",
        ),
    ];
    let files: Vec<(&str, &str)> = table.iter().map(|(name, source, ..)| (*name, *source)).collect();
    let (dir, config) = directory(&files);
    let faults = Templates::load(&config).unwrap_err();
    assert_eq!(faults.len(), table.len());
    for (name, _, line, words) in table {
        let fault = faults.iter().find(|one| one.file == dir.path().join(name)).unwrap();
        assert!(fault.line == line && fault.fault.contains(words), "{name}: {fault}");
    }
    let gone = Config { dir: dir.path().join("gone"), ..Config::default() };
    assert!(Templates::load(&gone).unwrap_err()[0].fault.contains("cannot be read"));
}

proptest! {
    /// Whatever a title holds, it is one isolate inside the sentence and turns nothing outside of it.
    #[test]
    fn inserted_values_cannot_leave_their_isolates(title in "(\\PC|[\u{202A}-\u{202E}\u{2066}-\u{2069}]){1,40}") {
        let mut event = concert();
        event.title = LocalizedText { ar: Some(title.clone()), en: Some(title) };
        let texts = render::event(&built_in(), NotificationKind::EventMoved, &event);
        for text in [texts.title.pick(Language::Ar), texts.body.pick(Language::En)] {
            let mut depth = 0_i32;
            for one in text.chars() {
                depth += match one { '\u{2068}' => 1, '\u{2069}' => -1, _ => 0 };
                prop_assert!((0..=1).contains(&depth), "{text:?}");
                let turns = matches!(one, '\u{202A}'..='\u{202E}' | '\u{2066}' | '\u{2067}');
                prop_assert!(!turns, "an override got through");
            }
            prop_assert_eq!(depth, 0);
        }
    }
}
