//! `[api]` of the configuration: what may be asked, how much of it, and by whom.

use domain::Lane;
use serde::Deserialize;
use service::Faults;

/// `[api]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether visitors may make accounts (`POST /api/v1/auth/register`). Off: only admins make them.
    pub registration_open: bool,
    /// Whose `X-Forwarded-For` is believed: `http.trusted_proxies`, set by the process.
    #[serde(skip)]
    pub trusted_proxies: Vec<String>,
    /// How much a request may cost.
    pub limits: Limits,
    /// How often one may ask.
    pub rate_limits: RateLimits,
    /// Which web pages may call.
    pub cors: Cors,
    /// How repeated writes are recognised.
    pub idempotency: Idempotency,
    /// How passwords are hashed and guarded.
    pub passwords: Passwords,
    /// How long somebody stays signed in.
    pub sessions: Sessions,
    /// Where and when the festival takes place.
    pub festival: Festival,
    /// What announcements may be.
    pub announcements: Announcements,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            registration_open: true,
            trusted_proxies: Vec::new(),
            limits: Limits::default(),
            rate_limits: RateLimits::default(),
            cors: Cors::default(),
            idempotency: Idempotency::default(),
            passwords: Passwords::default(),
            sessions: Sessions::default(),
            festival: Festival::default(),
            announcements: Announcements::default(),
        }
    }
}

/// `[api.limits]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Bytes of a request body. 1 KiB to 64 MiB. Too low: long texts are refused with 413. Too high: a few
    /// requests fill the memory.
    pub body_bytes_max: usize,
    /// Bytes of a programme that is imported. 1 KiB to 256 MiB.
    pub import_bytes_max: usize,
    /// Requests that are worked on at once; the next gets 503. 1 to 100,000. Too low: refusals in a rush. Too high:
    /// all of them become slow together.
    pub requests_in_flight_max: usize,
    /// Milliseconds until a request is given up with 503. 100 to 300,000.
    pub request_timeout_ms: u64,
    /// Devices of one user that are pushed to; the oldest beyond are retired. 1 to 1,000.
    pub devices_per_user_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: 1 << 20,
            import_bytes_max: 16 << 20,
            requests_in_flight_max: 1_024,
            request_timeout_ms: 15_000,
            devices_per_user_max: 20,
        }
    }
}

/// `[api.rate_limits]`: each class of callers has a quota per key (a user, or an address prefix).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RateLimits {
    /// Without a token, per IPv4 address or IPv6 /64. A festival's visitors share few addresses: keep it high.
    pub anonymous: Quota,
    /// Signed in, per user.
    pub user: Quota,
    /// Who edits the programme or announces, per user.
    pub staff: Quota,
    /// Signing in and registering, per IPv4 address or IPv6 /64.
    pub auth: Quota,
    /// Keys remembered per class. 1,000 to 10,000,000; 100 bytes each. Above it, new addresses share one quota.
    pub keys_max: usize,
    /// Seconds between sweeps of keys that have their full quota again. 1 to 3,600.
    pub sweep_interval_secs: u64,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            anonymous: Quota { requests: 6_000, window_secs: 60 },
            user: Quota { requests: 600, window_secs: 60 },
            staff: Quota { requests: 6_000, window_secs: 60 },
            auth: Quota { requests: 1_200, window_secs: 60 },
            keys_max: 200_000,
            sweep_interval_secs: 30,
        }
    }
}

/// So many requests in so many seconds, refilled evenly.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// Requests at once, from a full quota. 1 to 1,000,000.
    pub requests: u32,
    /// Seconds in which an empty quota is full again. 1 to 86,400.
    pub window_secs: u32,
}

/// `[api.cors]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cors {
    /// Origins of web pages that may call (`https://festival.example`), or `["*"]` for all. Tokens travel in a
    /// header, never in cookies, so that `*` gives nothing away.
    pub origins: Vec<String>,
    /// Seconds for which a browser remembers the answer. 0 to 86,400.
    pub max_age_secs: u64,
}

impl Default for Cors {
    fn default() -> Self {
        Self { origins: vec!["*".to_owned()], max_age_secs: 3_600 }
    }
}

/// `[api.idempotency]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Idempotency {
    /// Whether writes without an `Idempotency-Key` are refused.
    pub required: bool,
    /// Hours for which a key is remembered. 1 to 720. Too low: a phone that was off repeats its write. Too high:
    /// the table grows.
    pub keep_hours: u64,
    /// Seconds between sweeps of forgotten keys. 1 to 86,400.
    pub sweep_interval_secs: u64,
}

impl Default for Idempotency {
    fn default() -> Self {
        Self { required: false, keep_hours: 24, sweep_interval_secs: 600 }
    }
}

/// `[api.passwords]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Passwords {
    /// KiB of memory of one Argon2id hash. 8,192 to 1,048,576; 19,456 is the OWASP minimum for two passes.
    pub memory_kib: u32,
    /// Passes over it. 1 to 20.
    pub passes: u32,
    /// Hashes at once; each takes a core and the memory. 1 to 256.
    pub parallel_max: usize,
    /// Requests that wait for a hash; the next gets 503. 1 to 100,000.
    pub waiting_max: usize,
    /// Wrong passwords that an account on one device (or address) has free. 1 to 100.
    pub free_attempts: u32,
    /// Seconds of the first lock after that; it doubles with each wrong password. 1 to 3,600.
    pub lock_secs: u64,
    /// Seconds of the longest lock. 1 to 86,400.
    pub lock_secs_max: u64,
    /// Accounts with wrong passwords that are remembered. 100 to 10,000,000.
    pub locks_max: usize,
}

impl Default for Passwords {
    fn default() -> Self {
        Self {
            memory_kib: 19_456,
            passes: 2,
            parallel_max: 4,
            waiting_max: 256,
            free_attempts: 5,
            lock_secs: 1,
            lock_secs_max: 900,
            locks_max: 100_000,
        }
    }
}

/// `[api.sessions]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sessions {
    /// Seconds that an access token is good for. 30 to 3,600. Too low: everybody refreshes all the time. Too high: a
    /// stolen token, or a role that was taken away, works longer.
    pub access_secs: u64,
    /// Milliseconds for which a session is believed to go on before the database is asked again. 0 to 10,000. Too low: two
    /// reads for every request. Too high: who was signed out or blocked goes on for so long.
    pub recheck_ms: u64,
    /// Hours that a refresh token is good for, from its making. 1 to 8,760.
    pub refresh_hours: u64,
    /// Seconds between sweeps of expired refresh tokens. 1 to 86,400.
    pub sweep_interval_secs: u64,
}

impl Default for Sessions {
    fn default() -> Self {
        Self { access_secs: 600, recheck_ms: 500, refresh_hours: 720, sweep_interval_secs: 3_600 }
    }
}

/// `[api.festival]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Festival {
    /// What the festival is called in calendars and schedule files. 1 to 200 characters.
    pub name: String,
    /// Scheme and host under which the public reaches this API, such as `https://api.festival.example`, for the addresses in
    /// calendars and schedule files. Empty: as each request says.
    pub public_url: String,
    /// IANA zone of the festival: local times are read in it and days are counted in it unless a request says
    /// otherwise.
    pub time_zone: String,
    /// Hour at which a festival day starts. 0 to 12. Too low: a show after midnight counts for the next day. Too
    /// high: a morning show counts for the day before.
    pub day_start_hour: u8,
    /// Events of one answer of `/schedule`. 10 to 20,000; above it the answer says that it is not complete. Too low:
    /// clients have to ask day by day. Too high: one request takes long and much memory.
    pub schedule_events_max: u32,
    /// Seconds for which proxies and clients may keep a schedule. 0 to 3,600. Too low: every visitor's look costs a
    /// query. Too high: who does not listen on a socket sees old times.
    pub schedule_max_age_secs: u64,
    /// Events of one calendar or schedule file. 100 to 100,000; above it the file is refused, and has to be asked for
    /// day by day. Too low: calendars stay empty. Too high: one request takes long and much memory.
    pub feed_events_max: u32,
}

impl Default for Festival {
    fn default() -> Self {
        Self {
            name: "Al-Alamein Festival".to_owned(),
            public_url: String::new(),
            time_zone: "Africa/Cairo".to_owned(),
            day_start_hour: 6,
            schedule_events_max: 2_000,
            schedule_max_age_secs: 15,
            feed_events_max: 20_000,
        }
    }
}

/// `[api.announcements]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Announcements {
    /// Characters of a title, in each language. 1 to 1,000. Too high: phones cut it.
    pub title_chars_max: usize,
    /// Characters of a text, in each language. 1 to 10,000. Push messages hold 4 KB, and an Arabic letter takes two
    /// bytes: above 1,200 the end is only in the mail and in the app.
    pub body_chars_max: usize,
    /// Seconds until an announcement expires when nothing is said. 60 to 2,592,000. Too low: a phone that was off
    /// never hears of it. Too high: it hears of what is long over.
    pub ttl_secs_default: u64,
    /// Seconds until an announcement expires at most. 60 to 31,536,000.
    pub ttl_secs_max: u64,
    /// Lanes whose announcements go out only when another organizer or admin has confirmed them; drills, recalls and all-clears
    /// need nobody else. Empty: one person is enough.
    pub second_person_lanes: Vec<Lane>,
    /// Seconds in which the second person has to confirm. 10 to 86,400. Too low: nobody is found in time, and nothing goes
    /// out. Too high: what is long over goes out.
    pub confirm_secs_max: u64,
    /// Who alerts come from in CAP documents: a name without spaces, commas or `<` and `&`, such as the festival's domain.
    pub sender: String,
}

impl Default for Announcements {
    fn default() -> Self {
        Self {
            title_chars_max: 200,
            body_chars_max: 2_000,
            ttl_secs_default: 86_400,
            ttl_secs_max: 2_592_000,
            second_person_lanes: Vec::new(),
            confirm_secs_max: 600,
            sender: "munadi".to_owned(),
        }
    }
}

impl Config {
    /// Checks every field; never stops at the first fault.
    pub fn check(&self, faults: &mut Faults) {
        faults.section("limits", |faults| self.limits.check(faults));
        faults.section("rate_limits", |faults| self.rate_limits.check(faults));
        faults.section("cors", |faults| self.cors.check(faults));
        faults.section("idempotency", |faults| {
            faults.range("keep_hours", self.idempotency.keep_hours, 1..=720);
            faults.range("sweep_interval_secs", self.idempotency.sweep_interval_secs, 1..=86_400);
        });
        faults.section("passwords", |faults| self.passwords.check(faults));
        faults.section("sessions", |faults| {
            faults.range("access_secs", self.sessions.access_secs, 30..=3_600);
            faults.range("recheck_ms", self.sessions.recheck_ms, 0..=10_000);
            faults.range("refresh_hours", self.sessions.refresh_hours, 1..=8_760);
            faults.range("sweep_interval_secs", self.sessions.sweep_interval_secs, 1..=86_400);
        });
        faults.section("festival", |faults| self.festival.check(faults));
        faults.section("announcements", |faults| {
            let rules = &self.announcements;
            faults.range("title_chars_max", rules.title_chars_max, 1..=1_000);
            faults.range("body_chars_max", rules.body_chars_max, 1..=10_000);
            faults.range(
                "ttl_secs_default",
                rules.ttl_secs_default,
                60..=rules.ttl_secs_max.clamp(60, 2_592_000),
            );
            faults.range("ttl_secs_max", rules.ttl_secs_max, 60..=31_536_000);
            faults.range("confirm_secs_max", rules.confirm_secs_max, 10..=86_400);
            let plain = |one: char| !one.is_whitespace() && !matches!(one, ',' | '<' | '&');
            if rules.sender.is_empty() || !rules.sender.chars().all(plain) {
                faults.add("sender", "must be a name without spaces, commas, < and &");
            }
        });
    }
}

impl Limits {
    fn check(&self, faults: &mut Faults) {
        faults.range("body_bytes_max", self.body_bytes_max, 1 << 10..=64 << 20);
        faults.range("import_bytes_max", self.import_bytes_max, 1 << 10..=256 << 20);
        faults.range("requests_in_flight_max", self.requests_in_flight_max, 1..=100_000);
        faults.range("request_timeout_ms", self.request_timeout_ms, 100..=300_000);
        faults.range("devices_per_user_max", self.devices_per_user_max, 1..=1_000);
    }
}

impl RateLimits {
    fn check(&self, faults: &mut Faults) {
        let classes =
            [("anonymous", self.anonymous), ("user", self.user), ("staff", self.staff), ("auth", self.auth)];
        for (class, quota) in classes {
            faults.section(class, |faults| {
                faults.range("requests", quota.requests, 1..=1_000_000);
                faults.range("window_secs", quota.window_secs, 1..=86_400);
            });
        }
        faults.range("keys_max", self.keys_max, 1_000..=10_000_000);
        faults.range("sweep_interval_secs", self.sweep_interval_secs, 1..=3_600);
    }
}

impl Cors {
    /// Whether every origin may call.
    pub(crate) fn is_open(&self) -> bool {
        self.origins.iter().any(|origin| origin == "*")
    }

    fn check(&self, faults: &mut Faults) {
        faults.range("max_age_secs", self.max_age_secs, 0..=86_400);
        for origin in self.origins.iter().filter(|origin| *origin != "*") {
            let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            if !host.is_some_and(|host| !host.is_empty() && !host.contains('/') && host.is_ascii()) {
                faults.add("origins", format!("\"{origin}\" is not of the form https://host"));
            }
        }
    }
}

impl Festival {
    fn check(&self, faults: &mut Faults) {
        if let Err(unknown) = domain::Zone::new(&self.time_zone) {
            faults.add("time_zone", unknown.to_string());
        }
        faults.range("day_start_hour", self.day_start_hour, 0..=12);
        faults.range("schedule_events_max", self.schedule_events_max, 10..=20_000);
        faults.range("schedule_max_age_secs", self.schedule_max_age_secs, 0..=3_600);
        faults.range("feed_events_max", self.feed_events_max, 100..=100_000);
        if !(1..=200).contains(&self.name.trim().chars().count()) || self.name.chars().any(char::is_control) {
            faults.add("name", "must have 1 to 200 characters on one line".to_owned());
        }
        let host =
            self.public_url.strip_prefix("https://").or_else(|| self.public_url.strip_prefix("http://"));
        let plain = |host: &str| !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic());
        if !self.public_url.is_empty() && !host.is_some_and(plain) {
            let rule = format!("must be empty or begin with https:// or http://, is {:?}", self.public_url);
            faults.add("public_url", rule);
        }
    }
}

impl Passwords {
    fn check(&self, faults: &mut Faults) {
        faults.range("memory_kib", self.memory_kib, 8_192..=1_048_576);
        faults.range("passes", self.passes, 1..=20);
        faults.range("parallel_max", self.parallel_max, 1..=256);
        faults.range("waiting_max", self.waiting_max, 1..=100_000);
        faults.range("free_attempts", self.free_attempts, 1..=100);
        faults.range("lock_secs", self.lock_secs, 1..=3_600);
        faults.range("lock_secs_max", self.lock_secs_max, self.lock_secs.max(1)..=86_400);
        faults.range("locks_max", self.locks_max, 100..=10_000_000);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_faultless_and_every_fault_is_named() {
        let mut faults = Faults::default();
        Config::default().check(&mut faults);
        assert!(faults.is_empty(), "{:?}", faults.list());

        let mut config = Config::default();
        config.limits.body_bytes_max = 1;
        config.rate_limits.user.requests = 0;
        config.cors.origins = vec!["festival.example".to_owned()];
        config.passwords.lock_secs = 0;
        config.sessions.access_secs = 7_200;
        config.check(&mut faults);
        let fields: Vec<_> = faults.list().iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "limits.body_bytes_max",
                "rate_limits.user.requests",
                "cors.origins",
                "passwords.lock_secs",
                "sessions.access_secs",
            ]
        );
    }
}
