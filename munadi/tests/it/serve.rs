//! `munadi serve`: from an empty directory to the exit code. And the commands around it.

use std::os::unix::fs::PermissionsExt;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use crate::process::{Place, file_says, get, text};

#[tokio::test]
async fn an_empty_directory_is_enough() {
    let place = Place::new();
    let mut serving = place.serve(&[]).await;
    assert_eq!(serving.admin("/health/live").await, (200, "live\n".to_owned()));
    let ready = serving.admin("/health/ready").await;
    assert_eq!(ready, (200, r#"{"ready":true,"waiting_for":[]}"#.to_owned()));
    let (status, metrics) = serving.admin("/metrics").await;
    assert_eq!(status, 200);
    for family in ["process_cpu_seconds_total", "hub_", "workers_"] {
        assert!(metrics.lines().any(|line| line.starts_with(family)), "no {family} in {metrics}");
    }
    assert_eq!(get(&format!("http://{}/api/openapi.json", serving.public)).await.0, 200);
    for word in ["/api/v1", "/docs", "/connection/websocket", "/metrics", "data", "munadi user create"] {
        assert!(serving.told.contains(word), "no {word} in {}", serving.told);
    }
    let mode = |name: &str| place.data().join(name).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(""), mode("signing-key.pem"), mode("receipt.key")), (0o700, 0o600, 0o600));
    serving.terminate();
    assert_eq!(serving.exit_code().await, Some(0), "{}", place.log());
}

#[tokio::test]
async fn a_second_start_has_the_same_keys_and_a_killed_process_leaves_no_lock() {
    let place = Place::new();
    let mut first = place.serve(&[]).await;
    let keys =
        || ["signing-key.pem", "receipt.key"].map(|name| std::fs::read(place.data().join(name)).unwrap());
    let made = keys();
    first.child.kill().await.unwrap();
    place.serve(&[]).await;
    assert_eq!(keys(), made);
}

#[tokio::test]
async fn a_second_process_on_the_same_directory_is_refused() {
    let place = Place::new();
    let serving = place.serve(&[]).await;
    let refused = place.run(&["serve"]).await;
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("in use by another munadi process"), "{said}");
    assert_eq!(serving.admin("/health/ready").await.0, 200);
}

#[tokio::test]
async fn a_taken_port_is_named_and_nothing_is_made() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (variable, field) in [("HTTP__LISTEN", "http.listen"), ("ADMIN__LISTEN", "admin.listen")] {
        let place = Place::new().with(variable, &format!("['{address}']"));
        let refused = place.run(&["serve"]).await;
        let said = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{said}");
        assert!(
            said.contains(&address) && said.contains(field) && said.contains("another process"),
            "{said}"
        );
        assert!(!place.data().exists());
    }
}

#[tokio::test]
async fn a_request_that_was_begun_is_waited_for_until_a_second_signal() {
    let place = Place::new();
    let mut serving = place.serve(&[]).await;
    // a head that never ends keeps its connection open
    let mut open = TcpStream::connect(&serving.public).await.unwrap();
    open.write_all(b"POST /api/v1/auth/login HTTP/1.1\r\ncontent-length: 9\r\nhost: x\r\n\r\n{")
        .await
        .unwrap();
    get(&format!("http://{}/api/openapi.json", serving.public)).await;
    serving.terminate();
    file_says(&place.path("log"), "draining").await;
    let (status, body) = serving.admin("/health/ready").await;
    assert!(status == 503 && body.contains("draining"), "{status} {body}");
    serving.terminate();
    assert_eq!(serving.exit_code().await, Some(1), "{}", place.log());
    assert!(place.log().contains("asked to end again"), "{}", place.log());
}

#[tokio::test]
async fn logs_are_json_where_nobody_watches_and_stdout_is_for_answers() {
    let place = Place::new();
    let mut serving = place.serve(&[]).await;
    serving.terminate();
    serving.exit_code().await;
    for line in place.log().lines() {
        let entry: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"));
        assert!(entry["level"].is_string() && entry["message"].is_string(), "{line}");
    }
    assert_eq!(serving.rest().await, "");
}

#[tokio::test]
async fn a_programme_is_imported_while_a_server_runs_and_again_changes_nothing() {
    let place = Place::new();
    let _serving = place.serve(&[]).await;
    let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/demo.json");
    for expected in ["events: 16 new, 0 changed, 0 unchanged", "events: 0 new, 0 changed, 16 unchanged"] {
        let output = place.run(&["import", demo]).await;
        let said = text(&output.stdout);
        assert!(output.status.success() && said.contains(expected), "{said} {}", text(&output.stderr));
    }
    std::fs::write(place.path("bad.json"), "{\"schedule\":3}").unwrap();
    let refused = place.run(&["import", "bad.json"]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("bad.json was not imported"), "{}", text(&refused.stderr));
    assert_eq!(place.run(&["import", "absent.json"]).await.status.code(), Some(1));
}

#[tokio::test]
async fn organizers_see_a_message_in_both_languages_before_it_is_sent() {
    let place = Place::new();
    std::fs::write(place.path("password"), "a-long-enough-password").unwrap();
    let user =
        ["user", "create", "--email", "o@example.org", "--role", "organizer", "--password-file", "password"];
    assert!(place.run(&user).await.status.success());
    let serving = place.serve(&[]).await;
    let _ = rustls::crypto::ring::default_provider().install_default(); // the first test wins
    let client = reqwest::Client::builder().build().unwrap();
    let post = async |path: &str, token: &str, body: serde_json::Value| -> serde_json::Value {
        let request = client.post(format!("http://{}/api/v1/{path}", serving.public)).bearer_auth(token);
        request.json(&body).send().await.unwrap().json().await.unwrap()
    };
    let login = serde_json::json!({ "email": "o@example.org", "password": "a-long-enough-password" });
    let token = post("auth/login", "", login).await["data"]["access_token"].as_str().unwrap().to_owned();
    let draft = serde_json::json!({ "kind": "event_reminder", "count": 2 });
    let shown = post("templates/preview", &token, draft).await;
    let apns = |language: &str| {
        let all = shown["data"].as_array().unwrap();
        all.iter().find(|one| one["channel"] == "apns" && one["language"] == language).unwrap().clone()
    };
    assert_eq!(apns("ar")["title"], "\u{2068}ليلة النجوم\u{2069} بعد دقيقتين");
    assert_eq!(apns("en")["title"], "\u{2068}Night of Stars\u{2069} starts in \u{2068}2\u{2069} minutes");
    assert_eq!((&apns("ar")["direction"], &apns("ar")["bytes_max"]), (&"rtl".into(), &4_096.into()));
    let wrong =
        post("templates/preview", &token, serde_json::json!({ "kind": "announcement", "count": 20_000 }))
            .await;
    let pointers: Vec<_> = wrong["errors"].as_array().unwrap().iter().map(|one| &one["pointer"]).collect();
    assert_eq!(pointers, ["/title", "/body", "/count"]);
}

#[tokio::test]
async fn two_processes_may_migrate_one_postgres_at_once() {
    let database = testkit::postgres::database().await;
    let place = Place::new().with("STORE__URL", &database.url);
    let (one, two, three) =
        tokio::join!(place.run(&["migrate"]), place.run(&["migrate"]), place.run(&["migrate"]));
    for output in [one, two, three] {
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
}

#[tokio::test]
async fn commands_answer_on_stdout() {
    let place = Place::new();
    let document: serde_json::Value = serde_json::from_slice(&place.run(&["openapi"]).await.stdout).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    for shell in ["bash", "zsh", "fish"] {
        assert!(text(&place.run(&["completions", shell]).await.stdout).contains("munadi"));
    }
    let help = text(&place.run(&["--help"]).await.stdout);
    assert!(help.contains("munadi user create --email") && help.contains("munadi serve"), "{help}");
    assert!(!place.data().exists());
    assert!(place.run(&["migrate"]).await.status.success());
    assert!(place.data().join("munadi.db").is_file());
}

#[tokio::test]
async fn an_account_is_made_and_its_password_told_once() {
    let place = Place::new();
    let arguments = ["user", "create", "--email", "You@example.org", "--role", "admin"];
    let made = place.run(&arguments).await;
    let said = text(&made.stdout);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let password = said.lines().find_map(|line| line.strip_prefix("Password, shown this once: ")).unwrap();
    assert_eq!(password.len(), 20);
    let again = place.run(&arguments).await;
    assert!(!again.status.success() && text(&again.stderr).contains("exists"), "{}", text(&again.stderr));

    let serving = place.serve(&[]).await;
    let login = |password: String| {
        let url = format!("http://{}/api/v1/auth/login", serving.public);
        let body = serde_json::json!({"email": "you@example.org", "password": password});
        let client = service::http_client::build(&service::http_client::Config::default()).unwrap();
        async move { client.post(url).json(&body).send().await.unwrap().status().as_u16() }
    };
    assert_eq!(login(password.to_owned()).await, 200);
    assert_eq!(login("another password".to_owned()).await, 401);

    std::fs::write(place.path("password"), "from a file\n").unwrap();
    let with_file = ["--role", "organizer", "--password-file", "password"];
    let made = place.run(&[&["user", "create", "--email", "b@example.org"], &with_file[..]].concat()).await;
    assert!(made.status.success() && !text(&made.stdout).contains("Password"), "{}", text(&made.stderr));
    for bad in [
        &["--email", "nobody", "--role", "admin"][..],
        &["--email", "c@example.org", "--role", "emperor"],
        &["--email", "c@example.org"],
        &["--email", "c@example.org", "--role", "admin", "--password-file", "absent"],
    ] {
        assert!(!place.run(&[&["user", "create"], bad].concat()).await.status.success(), "{bad:?}");
    }
}

#[tokio::test]
async fn accounts_are_looked_after_while_a_server_runs() {
    let place = Place::new();
    std::fs::write(place.path("password"), "seven purple camels\n").unwrap();
    let create =
        ["user", "create", "--email", "a@example.org", "--role", "admin", "--password-file", "password"];
    assert!(place.run(&create).await.status.success());
    let serving = place.serve(&[]).await;
    let login = || async {
        let url = format!("http://{}/api/v1/auth/login", serving.public);
        let body = serde_json::json!({"email": "a@example.org", "password": "seven purple camels"});
        let client = service::http_client::build(&service::http_client::Config::default()).unwrap();
        let response = client.post(url).json(&body).send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.json::<serde_json::Value>().await.unwrap()["data"]["user"]["roles"].clone())
    };
    let done = async |arguments: &[&str]| {
        let output = place.run(&[&["user"], arguments].concat()).await;
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    assert_eq!(login().await, (200, serde_json::json!(["admin"])));
    assert!(done(&["block", "a@example.org"]).await.contains("blocked"));
    assert_eq!(login().await.0, 403);
    done(&["unblock", "A@example.org"]).await;
    let said = done(&["roles", "a@example.org", "--role", "steward", "--role", "attendee"]).await;
    assert_eq!(said, "User 1: a@example.org (attendee, steward).\n");
    assert_eq!(login().await, (200, serde_json::json!(["attendee", "steward"])));
    let said = done(&["set-password", "a@example.org"]).await;
    assert!(said.contains("Password, shown this once: "), "{said}");
    assert_eq!(login().await.0, 401);
    let nobody = place.run(&["user", "block", "nobody@example.org"]).await;
    assert_eq!(nobody.status.code(), Some(1));
    assert!(text(&nobody.stderr).contains("there is no such account"), "{}", text(&nobody.stderr));
}

/// Goal: at a terminal a password is asked for, twice, and not shown. `script` gives the process a terminal.
#[tokio::test]
async fn at_a_terminal_the_password_is_asked_for() {
    let place = Place::new();
    let typed = async |answers: &str| {
        place.type_into("user create --email a@example.org --role admin", answers).await
    };
    let said = typed("seven purple camels\nseven yellow camels\n").await;
    assert!(said.contains("the two passwords are not the same"), "{said}");
    let said = typed("short\n").await;
    assert!(said.contains("10 characters"), "{said}");
    let said = typed("seven purple camels\nseven purple camels\n").await;
    assert!(said.contains("Made user 1") && !said.contains("shown this once"), "{said}");
    assert!(!said.contains("camels"), "what is typed is not shown: {said}");
    let said = typed("\n").await;
    assert!(said.contains("exists"), "{said}");
}

#[tokio::test]
async fn the_configuration_in_effect_is_shown() {
    let place = Place::new().with("STORE__URL", "postgres://u:hunter2@db/x").with("HTTP__BACKLOG", "77");
    std::fs::write(place.path("some.toml"), "[http]\nbacklog = 99\nheader_timeout_ms = 7000\n").unwrap();
    let output = place.run(&["config", "show", "--config", "some.toml"]).await;
    let said = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    for line in ["backlog = 77", "url = \"postgres://u:(hidden)@db/x\"", "[hub.limits]"] {
        assert!(said.contains(line), "no {line} in {said}");
    }
    assert!(!said.contains("hunter2"));
    let bad = Place::new().with("HTTP__BACKLOGG", "77").run(&["config", "show"]).await;
    assert_eq!(bad.status.code(), Some(64));
}
