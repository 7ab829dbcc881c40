//! Every error code of the API: its word, its status and what it says in two languages.
//!
//! Codes are a promise: clients act on them. Texts are not, and may be reworded.

use axum::http::StatusCode;
use domain::Language;

/// Declares the codes: `Variant = status, "word", "English.", "Arabic.";`
macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $status:ident, $word:literal, $en:literal, $ar:literal;)+) => {
        /// Why a request was refused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) enum Code { $($(#[$doc])* $name,)+ }

        impl Code {
            /// Every code.
            pub(crate) const ALL: &[Self] = &[$(Self::$name,)+];

            /// The stable word in `code` and at the end of `type`.
            pub(crate) fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }

            /// The HTTP status it is sent with.
            pub(crate) fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)+ }
            }

            /// What it says to a person.
            pub(crate) fn text(self, language: Language) -> &'static str {
                match (self, language) {
                    $((Self::$name, Language::En) => $en, (Self::$name, Language::Ar) => $ar,)+
                }
            }
        }
    };
}

codes! {
    // the request's form
    /// Not JSON.
    MalformedJson = BAD_REQUEST, "malformed_json", "The body is not valid JSON.", "نص الطلب ليس JSON صالحًا.";
    /// JSON, but not of the documented form.
    InvalidBody = UNPROCESSABLE_ENTITY, "invalid_body", "The body does not have the documented form.", "نص الطلب لا يطابق الشكل الموثق.";
    /// Of the documented form, but a value breaks a rule.
    ValidationFailed = UNPROCESSABLE_ENTITY, "validation_failed", "Some values are not acceptable.", "بعض القيم غير مقبولة.";
    /// The query string is not as documented.
    InvalidQuery = BAD_REQUEST, "invalid_query", "The query string is not valid.", "معاملات الاستعلام غير صالحة.";
    /// A part of the path is not what belongs there.
    InvalidPath = BAD_REQUEST, "invalid_path", "A part of the path is not valid.", "جزء من المسار غير صالح.";
    /// A header is not as documented.
    InvalidHeader = BAD_REQUEST, "invalid_header", "A header is not valid.", "إحدى الترويسات غير صالحة.";
    /// A cursor that this list did not make.
    InvalidCursor = BAD_REQUEST, "invalid_cursor", "The cursor does not belong to this list. Begin again without it.", "المؤشر لا ينتمي إلى هذه القائمة. ابدأ من جديد بدونه.";
    /// The body did not arrive whole.
    IncompleteBody = BAD_REQUEST, "incomplete_body", "The body did not arrive completely.", "لم يصل نص الطلب كاملًا.";
    /// The body is too long.
    BodyTooLarge = PAYLOAD_TOO_LARGE, "body_too_large", "The body is too large.", "نص الطلب كبير جدًا.";
    /// The body is not of a type that is read here.
    UnsupportedMediaType = UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "The Content-Type is not supported here.", "نوع المحتوى غير مدعوم هنا.";

    // what it asks for
    /// Nothing is at this path.
    RouteNotFound = NOT_FOUND, "route_not_found", "There is nothing at this address.", "لا يوجد شيء في هذا العنوان.";
    /// The thing does not exist, or is not for the caller's eyes.
    NotFound = NOT_FOUND, "not_found", "This does not exist.", "هذا غير موجود.";
    /// The path does not take this method.
    MethodNotAllowed = METHOD_NOT_ALLOWED, "method_not_allowed", "This address does not take this method.", "هذا العنوان لا يقبل هذه الطريقة.";

    // who asks
    /// A token is needed and was not sent.
    TokenMissing = UNAUTHORIZED, "token_missing", "Sign in first.", "سجّل الدخول أولًا.";
    /// The token is no token of ours.
    TokenInvalid = UNAUTHORIZED, "token_invalid", "The access token is not valid.", "رمز الدخول غير صالح.";
    /// The token was good and is no longer.
    TokenExpired = UNAUTHORIZED, "token_expired", "The access token has expired.", "انتهت صلاحية رمز الدخول.";
    /// Known, but not permitted.
    Forbidden = FORBIDDEN, "forbidden", "You are not permitted to do this.", "لا تملك صلاحية القيام بذلك.";

    // concurrency
    /// `If-Match` is needed.
    PreconditionRequired = PRECONDITION_REQUIRED, "precondition_required", "Send If-Match with the ETag of the version that you have seen.", "أرسل If-Match مع ETag للنسخة التي رأيتها.";
    /// `If-Match` names another version than the one there is.
    PreconditionFailed = PRECONDITION_FAILED, "precondition_failed", "Somebody else has changed this. The current version is in data.", "غيّر شخص آخر هذا. النسخة الحالية في data.";
    /// The configuration demands a key.
    IdempotencyKeyRequired = BAD_REQUEST, "idempotency_key_required", "Send an Idempotency-Key with writes.", "أرسل Idempotency-Key مع عمليات الكتابة.";
    /// The key was used for another request.
    IdempotencyKeyReused = UNPROCESSABLE_ENTITY, "idempotency_key_reused", "This Idempotency-Key was used for a different request.", "استُخدم Idempotency-Key هذا لطلب مختلف.";
    /// The first request with the key has not ended.
    IdempotencyInProgress = CONFLICT, "idempotency_in_progress", "The first request with this Idempotency-Key is still running.", "الطلب الأول بهذا المفتاح ما زال قيد التنفيذ.";

    // load
    /// Too many requests.
    QuotaExceeded = TOO_MANY_REQUESTS, "quota_exceeded", "Too many requests. Wait a little.", "طلبات كثيرة جدًا. انتظر قليلًا.";
    /// The server has no room.
    Overloaded = SERVICE_UNAVAILABLE, "overloaded", "The service is busy. Try again in a moment.", "الخدمة مشغولة. حاول بعد لحظات.";
    /// It took too long; whether it was done is not known.
    TimedOut = SERVICE_UNAVAILABLE, "timed_out", "The request took too long. Repeat it with the same Idempotency-Key.", "استغرق الطلب وقتًا طويلًا. كرره بنفس Idempotency-Key.";
    /// Our fault.
    Internal = INTERNAL_SERVER_ERROR, "internal", "Something went wrong on our side.", "حدث خطأ من جانبنا.";

    // accounts
    /// The address or the password is wrong, or there is no such account; which one is not said.
    CredentialsWrong = UNAUTHORIZED, "credentials_wrong", "The email address or the password is wrong.", "البريد الإلكتروني أو كلمة المرور غير صحيحة.";
    /// Too many wrong passwords.
    LoginLocked = TOO_MANY_REQUESTS, "login_locked", "Too many wrong passwords. Wait before the next attempt.", "محاولات خاطئة كثيرة. انتظر قبل المحاولة التالية.";
    /// The account is kept out; said only to who has its password.
    AccountBlocked = FORBIDDEN, "account_blocked", "This account is blocked.", "هذا الحساب محظور.";
    /// An admin's own account.
    OwnAccount = CONFLICT, "own_account", "Admins cannot change their own roles or block themselves. Ask another admin.", "لا يمكن للمشرف تغيير أدواره أو حظر نفسه. اطلب ذلك من مشرف آخر.";
    /// Not a refresh token that is good now.
    RefreshInvalid = UNAUTHORIZED, "refresh_invalid", "The refresh token is not valid. Sign in again.", "رمز التجديد غير صالح. سجّل الدخول من جديد.";
    /// A refresh token came back after its successor was used: the session is ended.
    RefreshReused = UNAUTHORIZED, "refresh_reused", "The refresh token was used before. The session is ended: sign in again.", "استُخدم رمز التجديد من قبل. انتهت الجلسة: سجّل الدخول من جديد.";
    /// The address has an account.
    EmailTaken = CONFLICT, "email_taken", "There is an account with this email address.", "يوجد حساب بهذا البريد الإلكتروني.";
    /// Registration is switched off.
    RegistrationClosed = FORBIDDEN, "registration_closed", "Registration is closed.", "التسجيل مغلق.";

    // programme
    /// The timetable has no room for it.
    ScheduleConflict = CONFLICT, "schedule_conflict", "This conflicts with the programme. The conflicts are in data; send override_reason to accept them.", "يتعارض هذا مع البرنامج. التعارضات في data؛ أرسل override_reason لقبولها.";
    /// The life of an event does not have that step.
    IllegalTransition = CONFLICT, "illegal_transition", "The event cannot take this step. The possible ones are in data.", "لا يمكن للفعالية الانتقال إلى هذه الحالة. الحالات الممكنة في data.";
    /// Only drafts are removed.
    EventNotDraft = CONFLICT, "event_not_draft", "Only drafts can be removed. Cancel the event instead.", "يمكن حذف المسودات فقط. ألغِ الفعالية بدلًا من ذلك.";
    /// Events refer to it.
    InUse = CONFLICT, "in_use", "Events refer to this. Their ids are in data.", "هناك فعاليات مرتبطة بهذا. أرقامها في data.";
    /// Another category has the slug.
    SlugTaken = CONFLICT, "slug_taken", "Another category has this slug.", "هناك فئة أخرى بهذا المعرّف.";

    // announcements
    /// It was withdrawn before.
    AnnouncementCancelled = CONFLICT, "announcement_cancelled", "The announcement was cancelled before.", "أُلغي هذا الإعلان من قبل.";
    /// The first author cannot be the second person.
    SecondPersonRequired = FORBIDDEN, "second_person_required", "Another organizer or admin has to confirm this.", "يجب أن يؤكد ذلك منظم أو مشرف آخر.";
    /// It went out, or needs nobody else.
    AnnouncementNotAwaiting = CONFLICT, "announcement_not_awaiting", "The announcement does not wait for a confirmation.", "هذا الإعلان لا ينتظر تأكيدًا.";
    /// The time in which it could be confirmed is over, or has not brought a confirmation yet.
    AnnouncementNotPublished = CONFLICT, "announcement_not_published", "The announcement was not published: nobody confirmed it, or not in time.", "لم يُنشر هذا الإعلان: لم يؤكده أحد أو لم يؤكده في الوقت المحدد.";
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn words_are_distinct_and_each_speaks_both_languages() {
        let words: HashSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(words.len(), Code::ALL.len());
        for code in Code::ALL {
            assert!(code.as_str().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'));
            assert!(code.text(Language::En).is_ascii() && !code.text(Language::Ar).is_ascii());
            assert!(code.status().is_client_error() || code.status().is_server_error());
        }
    }
}
