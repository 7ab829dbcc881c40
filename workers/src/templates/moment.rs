//! Days and times in words, in Arabic and English.

use domain::Language;
use jiff::Zoned;
use jiff::civil::Weekday;

/// Such as `Saturday 18 July, 20:30`.
pub(super) fn moment(local: &Zoned, language: Language) -> String {
    let (day, time) = (day(local, language), clock(local, language));
    match language {
        Language::Ar => format!("{day} الساعة {time}"),
        Language::En => format!("{day}, {time}"),
    }
}

/// Such as `Saturday 18 July`.
pub(super) fn day(local: &Zoned, language: Language) -> String {
    format!("{} {} {}", weekday(local, language), local.day(), month(local, language))
}

/// Such as `20:30`.
pub(super) fn clock(local: &Zoned, _: Language) -> String {
    format!("{:02}:{:02}", local.hour(), local.minute())
}

fn weekday(local: &Zoned, language: Language) -> &'static str {
    let (ar, en) = match local.weekday() {
        Weekday::Saturday => ("السبت", "Saturday"),
        Weekday::Sunday => ("الأحد", "Sunday"),
        Weekday::Monday => ("الاثنين", "Monday"),
        Weekday::Tuesday => ("الثلاثاء", "Tuesday"),
        Weekday::Wednesday => ("الأربعاء", "Wednesday"),
        Weekday::Thursday => ("الخميس", "Thursday"),
        Weekday::Friday => ("الجمعة", "Friday"),
    };
    match language {
        Language::Ar => ar,
        Language::En => en,
    }
}

fn month(local: &Zoned, language: Language) -> &'static str {
    const NAMES: [(&str, &str); 12] = [
        ("يناير", "January"),
        ("فبراير", "February"),
        ("مارس", "March"),
        ("أبريل", "April"),
        ("مايو", "May"),
        ("يونيو", "June"),
        ("يوليو", "July"),
        ("أغسطس", "August"),
        ("سبتمبر", "September"),
        ("أكتوبر", "October"),
        ("نوفمبر", "November"),
        ("ديسمبر", "December"),
    ];
    let index = usize::from(local.month().unsigned_abs()) - 1;
    let (ar, en) = NAMES[index];
    match language {
        Language::Ar => ar,
        Language::En => en,
    }
}
