//! Bodies of the two HTTP APIs for back ends: whatever comes, it is answered or refused, and the hub goes on.
//!
//! `scripts/fuzz.sh` runs this for as long as one likes: `PROPTEST_CASES` is the number of bodies.

use http::Method;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::json;

use crate::harness::TestHub;
use crate::pusher_client::{KEY as APP_KEY, SECRET, back_end};
use crate::streams::{http, url};

const KEY: &str = "test-api-key";
const METHODS: [&str; 13] = [
    "publish",
    "broadcast",
    "subscribe",
    "unsubscribe",
    "disconnect",
    "refresh",
    "presence",
    "presence_stats",
    "history",
    "history_remove",
    "channels",
    "info",
    "batch",
];
const ROUTES: [&str; 3] =
    ["/apps/festival/events", "/apps/festival/batch_events", "/apps/festival/users/7/terminate_connections"];

/// JSON that is nearly a request: the fields of both APIs with values that fit and values that do not.
fn nearly() -> impl Strategy<Value = String> {
    let names = prop::sample::select(vec![
        "channel",
        "channels",
        "data",
        "b64data",
        "user",
        "client",
        "session",
        "tags",
        "offset",
        "epoch",
        "since",
        "limit",
        "reverse",
        "idempotency_key",
        "delta",
        "commands",
        "parallel",
        "publish",
        "expire_at",
        "info",
        "recover_since",
        "disconnect",
        "code",
        "pattern",
        "whitelist",
        "name",
        "batch",
        "socket_id",
        "version",
    ]);
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        Just("1e999".to_owned()),
        Just("18446744073709551616".to_owned()),
        ".{0,12}".prop_map(|text| json!(text).to_string()),
        prop::sample::select(vec![
            "\"festival\"",
            "\"chat:1\"",
            "\"$control\"",
            "\"\\ud800\"",
            "\"////\"",
            "\"e30=\""
        ])
        .prop_map(str::to_owned),
    ];
    let value = leaf.prop_recursive(4, 24, 4, move |inner| {
        let names = names.clone();
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec((names, inner), 0..5).prop_map(|fields| {
                let fields = fields.iter().map(|(name, value)| format!("\"{name}\":{value}"));
                format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
            }),
        ]
    });
    (value, any::<prop::sample::Index>(), 0..40_u8).prop_map(|(text, at, cut)| {
        // some are cut off, or have a byte too many in their middle
        let at = at.index(text.len() + 1);
        match (cut, text.get(..at)) {
            (0, Some(start)) => start.to_owned(),
            (1, Some(start)) => format!("{start}}}{}", &text[at..]),
            _ => text,
        }
    })
}

#[tokio::test]
async fn any_body_is_answered_or_refused() {
    let hub = TestHub::with(|config| {
        config.server_api.key = Some(KEY.into());
        let app = hub::App { key: APP_KEY.into(), secret: Some(SECRET.into()), ..hub::App::default() };
        config.pusher.apps.insert("festival".into(), app);
    })
    .await;
    let client = http();
    let mut runner = TestRunner::default();
    let (bodies, noise) = (nearly(), prop::collection::vec(any::<u8>(), 0..200));
    for case in 0..runner.config().cases {
        let index = usize::try_from(case).unwrap();
        let text = bodies.new_tree(&mut runner).unwrap().current();
        let body = if case % 8 == 0 {
            noise.new_tree(&mut runner).unwrap().current()
        } else {
            text.clone().into_bytes()
        };
        let method = METHODS[index % METHODS.len()];
        let request = client.post(url(hub.address, &format!("/api/{method}"))).header("X-API-Key", KEY);
        let status = request.body(body.clone()).send().await.unwrap().status().as_u16();
        assert!(
            [200, 400].contains(&status),
            "{status} for /api/{method} {:?}",
            String::from_utf8_lossy(&body)
        );
        let route = ROUTES[index % ROUTES.len()];
        let (status, answer) = back_end(&hub, Method::POST, route, "", &text).await;
        assert!([200, 400, 413].contains(&status), "{status} {answer} for {route} {text:?}");
    }
    let mut client = hub.client(0).await;
    client.subscribe("festival").await;
    let offset = hub.ground.publish("festival", json!("still there")).await;
    while client.publication().await.offset < offset {}
}
