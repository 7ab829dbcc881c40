//! The page at `/live`: connects to this server with the stock SDK and shows what happens (ADR 0010).
//!
//! Its own files are part of the binary. The SDK is part of it when the build was given one (`build.rs`), comes from a
//! directory when one is configured, and is fetched by the browser otherwise.

use std::path::{Path, PathBuf};

use axum::Router;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::routing::get;
use serde::Deserialize;
use serde_json::json;
use service::Faults;
use tower_http::set_header::SetResponseHeaderLayer;

/// The SDK that the page was written for.
const SDK_URL: &str = "https://cdn.jsdelivr.net/npm/centrifuge@5.8.0/dist";

/// Its builds, as npm ships them: what the build of this binary was given (empty when it was not), and what the
/// browser demands of a stranger's copy.
const BUILDS: [Build; 2] = [
    Build {
        name: "centrifuge.js",
        embedded: include_bytes!(concat!(env!("OUT_DIR"), "/centrifuge.js")),
        integrity: "sha384-Hc/rqOA60dxGHNnO+nCm7KQ1yc4I121B7eeuuZ9vJMHEq6vVV4onLLtrwG8L79xQ",
    },
    Build {
        name: "centrifuge.protobuf.js",
        embedded: include_bytes!(concat!(env!("OUT_DIR"), "/centrifuge.protobuf.js")),
        integrity: "sha384-PQmAa6GOdG82npMM9eOOv9T1WTe/6euKroIxddPV/Xz5pJLm3pYlGWvyCU/S0zFm",
    },
];

/// What the page consists of.
const FILES: [(&str, &str, &str); 6] = [
    ("/live", "text/html; charset=utf-8", include_str!("../../web/live/index.html")),
    ("/live/live.css", "text/css; charset=utf-8", include_str!("../../web/live/live.css")),
    ("/live/live.js", SCRIPT, include_str!("../../web/live/live.js")),
    ("/live/messages.js", SCRIPT, include_str!("../../web/live/messages.js")),
    ("/live/sdk.js", SCRIPT, include_str!("../../web/live/sdk.js")),
    ("/live/topics.js", SCRIPT, include_str!("../../web/live/topics.js")),
];
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// A file of the SDK.
struct Build {
    name: &'static str,
    embedded: &'static [u8],
    integrity: &'static str,
}

/// The page that shows what happens: `[live]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Whether this server has the page. It shows a visitor nothing that their own client could not see.
    pub(crate) enabled: bool,
    /// Directory with the SDK's files for browsers, `centrifuge.js` and `centrifuge.protobuf.js`: the `dist` of npm's
    /// package `centrifuge`. None: what this binary was built with, else `sdk_url`.
    pub(crate) sdk_dir: Option<PathBuf>,
    /// Where the browser fetches the SDK (of the version that the default names) when this server has none. Empty:
    /// nowhere, and the page says so.
    pub(crate) sdk_url: String,
}

impl Default for Config {
    fn default() -> Self {
        Self { enabled: true, sdk_dir: None, sdk_url: SDK_URL.to_owned() }
    }
}

impl Config {
    /// Notes what is wrong, missing files included.
    pub(crate) fn check(&self, faults: &mut Faults) {
        if let Some(dir) = &self.sdk_dir
            && let Err((path, error)) = from_dir(dir)
        {
            faults.add("sdk_dir", format!("{} cannot be read: {error}", path.display()));
        }
        let url = &self.sdk_url;
        let is_url = url.starts_with("https://") || url.starts_with("http://");
        if !url.is_empty() && (!is_url || url.ends_with('/') || url.contains([' ', ';', ',', '\'', '"'])) {
            faults.add("sdk_url", "must be empty, or a URL of a directory without the slash at its end");
        }
    }
}

/// The page's routes; none when it is switched off.
///
/// # Errors
/// When the SDK's files have gone since the configuration was checked.
pub(crate) fn routes(config: &Config) -> std::io::Result<Router> {
    if !config.enabled {
        return Ok(Router::new());
    }
    let builds = match &config.sdk_dir {
        Some(dir) => from_dir(dir).map_err(|(_, error)| error)?,
        None => BUILDS.iter().map(|build| build.embedded.to_vec()).collect(),
    };
    let mut routes = Router::new();
    for (path, kind, text) in FILES {
        routes = routes.route(path, get(move || async move { ([(header::CONTENT_TYPE, kind)], text) }));
    }
    let mut served = Vec::new();
    for (build, bytes) in BUILDS.iter().zip(builds) {
        if bytes.is_empty() {
            continue;
        }
        served.push(build.name);
        let bytes = axum::body::Bytes::from(bytes);
        let answer = move || async move { ([(header::CONTENT_TYPE, SCRIPT)], bytes) };
        routes = routes.route(&format!("/live/sdk/{}", build.name), get(answer));
    }
    let integrity: serde_json::Map<_, _> =
        BUILDS.iter().map(|build| (build.name.to_owned(), build.integrity.into())).collect();
    let settings = json!({"builds": served, "sdk_url": config.sdk_url, "integrity": integrity}).to_string();
    let kind = [(header::CONTENT_TYPE, "application/json")];
    Ok(routes
        .route("/live/settings.json", get(move || async move { (kind, settings) }))
        .route("/live/", get(|| async { (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, "/live")]) }))
        .layer(set(header::CONTENT_SECURITY_POLICY, policy(&config.sdk_url)))
        .layer(set(header::CACHE_CONTROL, HeaderValue::from_static("no-cache")))
        .layer(set(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")))
        .layer(set(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"))))
}

fn set(name: HeaderName, value: HeaderValue) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::overriding(name, value)
}

/// The page may load itself and the SDK, and talk to this server.
fn policy(sdk_url: &str) -> HeaderValue {
    let origin = sdk_url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
    let policy = format!(
        "default-src 'none'; script-src 'self' {origin}; style-src 'self'; img-src data:; connect-src 'self' ws: wss:; \
         form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'self'"))
}

/// The SDK's files in the order of [`BUILDS`], or the one that cannot be read.
fn from_dir(dir: &Path) -> Result<Vec<Vec<u8>>, (PathBuf, std::io::Error)> {
    let read = |build: &Build| {
        let path = dir.join(build.name);
        std::fs::read(&path).map_err(|error| (path, error))
    };
    BUILDS.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(config: &Config) -> Vec<String> {
        let mut faults = Faults::default();
        config.check(&mut faults);
        faults.list().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_directory_has_both_builds() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config { sdk_dir: Some(dir.path().to_owned()), ..Config::default() };
        std::fs::write(dir.path().join("centrifuge.js"), "json").unwrap();
        assert!(faults(&config)[0].contains("centrifuge.protobuf.js"));
        std::fs::write(dir.path().join("centrifuge.protobuf.js"), "protobuf").unwrap();
        assert!(faults(&config).is_empty());
    }

    #[test]
    fn an_address_is_empty_or_a_directory() {
        for (url, is_fine) in [
            ("", true),
            ("https://cdn.example/sdk", true),
            ("https://cdn.example/sdk/", false),
            ("cdn.example", false),
            ("https://cdn.example/a; script-src *", false),
        ] {
            let config = Config { sdk_url: url.to_owned(), ..Config::default() };
            assert_eq!(faults(&config).is_empty(), is_fine, "{url}");
        }
    }

    #[test]
    fn the_policy_names_the_origin_alone() {
        let policy = policy(SDK_URL);
        assert!(policy.to_str().unwrap().contains("script-src 'self' https://cdn.jsdelivr.net;"));
    }
}
