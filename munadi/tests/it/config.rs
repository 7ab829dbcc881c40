//! Bad configurations: each is told all its faults, exits with 64, and nothing was started or made.

use crate::process::{Place, text};

#[tokio::test]
async fn every_fault_is_told_at_once() {
    let place = Place::new().with("HUB__LIMITS__QUEUE_BYTES_MAX", "1").with("TELEMETRY__FILTER", "hub=loud");
    let file = "
        data_dir = ''
        shutdown_grace_ms = -1
        [http]
        backlog = 1
        lissten = []
        [auth]
        issuer = ''
        signing_key_file = 'absent.pem'
        [store]
        connections_max = 0
        [streams]
        partitions = 0
        [nonsense]
    ";
    std::fs::write(place.path("bad.toml"), file).unwrap();
    for command in [&["serve"][..], &["config", "check"], &["migrate"]] {
        let output = place.run(&[command, &["--config", "bad.toml"]].concat()).await;
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{said}");
        for fault in [
            "shutdown_grace_ms: ",
            "http.lissten: unknown field",
            "nonsense: unknown field",
            "data_dir: must not be empty",
            "telemetry.filter: ",
            "http.backlog: must be 16 to 65535, is 1",
            "auth.issuer: ",
            "auth.signing_key_file: absent.pem cannot be read",
            "store.connections_max: ",
            "streams.partitions: ",
            "hub.limits.queue_bytes_max: must be",
        ] {
            assert!(said.lines().any(|line| line.trim_start().starts_with(fault)), "no {fault} in {said}");
        }
        assert!(!place.data().exists());
    }
}

/// Arguments, variables, and what the line of the fault begins with.
type BadConfiguration<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a str);

#[tokio::test]
async fn bad_configurations_are_refused() {
    let table: &[BadConfiguration<'_>] = &[
        (&[], &[("HTTP__LISTEN", "[]")], "http.listen: must have 1 to 16 addresses"),
        (&[], &[("HTTP__LISTEN", "['localhost']")], "http.listen"),
        (&[], &[("HTTP__LISTEN", "['127.0.0.1:99999']")], "http.listen"),
        (&[], &[("HTTP__LISTEN", "['127.0.0.1:7']"), ("ADMIN__LISTEN", "['127.0.0.1:7']")], "admin.listen: "),
        (&[], &[("STORE__URL", "mysql://x")], "store.url: "),
        (&[], &[("STREAMS__URL", "kafka://x")], "streams.url: "),
        (&[], &[("STOER__URL", "x")], "stoer"),
        (&[], &[("HTTP__TRUSTED_PROXIES", "['10.0.0.0/33']")], "http.trusted_proxies: "),
        (
            &[],
            &[("API__TRUSTED_PROXIES", "['10.0.0.0/8']")],
            "api.trusted_proxies (from MUNADI__API__TRUSTED_PROXIES): is http.trusted_proxies now",
        ),
        (
            &[],
            &[("HUB__DOOR__TRUSTED_PROXIES", "['::1']")],
            "hub.door.trusted_proxies (from MUNADI__HUB__DOOR__TRUSTED_PROXIES): is http.trusted_proxies now",
        ),
        (&[], &[("AUTH__RECEIPT_KEY_FILE", "/dev/null")], "auth.receipt_key_file: /dev/null is empty"),
        (
            &[],
            &[("AUTH__VERIFY_KEY_FILES", "['/etc/passwd']")],
            "auth.verify_key_files: /etc/passwd is not a PEM",
        ),
        (&["--role", "hub"], &[], "streams.url: must be redis://"),
        (&["--role", "hub"], &[], "auth.verify_key_files: must not be empty"),
        (&["--role", "api"], &[], "auth.signing_key_file: is needed by --role api"),
        (&["--role", "api"], &[], "store.url: must be postgres://"),
        (&["--role", "workers"], &[], "store.url: must be postgres://"),
        (&["--role", "workers"], &[], "auth.receipt_key_file: is needed"),
    ];
    for (arguments, variables, expected) in table {
        let place = variables.iter().fold(Place::new(), |place, (name, value)| place.with(name, value));
        for command in [&["serve"][..], &["config", "check"]] {
            let output = place.run(&[command, arguments].concat()).await;
            let said = text(&output.stderr);
            assert_eq!(output.status.code(), Some(64), "{arguments:?} {variables:?}: {said}");
            assert!(
                said.lines().any(|line| line.trim_start().starts_with(expected)),
                "no {expected} in {said}"
            );
            assert!(!place.data().exists());
        }
    }
}

/// Goal: a template that cannot be used is found before anything starts, with its file and line.
#[tokio::test]
async fn bad_templates_are_named_with_file_and_line() {
    let place = Place::new().with("WORKERS__TEMPLATES__DIR", "templates");
    std::fs::create_dir(place.path("templates")).unwrap();
    let source = "{% block title %}x{% endblock %}\n{% block body %}\n{{ evnt }}{% endblock %}";
    std::fs::write(place.path("templates/event_moved.ar.jinja"), source).unwrap();
    for command in [&["serve"][..], &["config", "check"]] {
        let output = place.run(command).await;
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{said}");
        let expected = "workers.templates.dir: templates/event_moved.ar.jinja, line 3: undefined value";
        assert!(said.contains(expected), "{said}");
    }
}

#[tokio::test]
async fn a_hub_needs_no_database() {
    let said = text(&Place::new().run(&["config", "check", "--role", "hub"]).await.stderr);
    assert!(said.contains("streams.url") && !said.contains("store."), "{said}");
}

#[tokio::test]
async fn a_good_configuration_is_called_fine() {
    let output = Place::new().run(&["config", "check"]).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "The configuration is fine.\n");
}
