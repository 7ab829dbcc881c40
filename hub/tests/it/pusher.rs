//! Pusher's protocol on the real hub: conversations, the HTTP API, and what back ends are told.

use http::{Method, Request};
use http_body_util::Full;
use hub::App;
use hyper::body::Bytes;
use serde_json::{Value, json};
use service::Lifecycle;

use crate::client::Client;
use crate::harness::{Ground, PATIENCE, TestHub, eventually};
use crate::pusher_client::{KEY, Pusher, SECRET, back_end, request, signer, trigger};

fn app() -> App {
    App { key: KEY.into(), secret: Some(SECRET.into()), ..App::default() }
}

async fn hub_with(change: impl FnOnce(&mut hub::Pusher, &mut App)) -> TestHub {
    on(Ground::new().await, change).await
}

async fn on(ground: std::sync::Arc<Ground>, change: impl FnOnce(&mut hub::Pusher, &mut App)) -> TestHub {
    TestHub::on(ground, |config| {
        let mut app = app();
        config.pusher.counts_every_ms = 50;
        change(&mut config.pusher, &mut app);
        config.pusher.apps.insert("festival".into(), app);
    })
    .await
}

async fn hub() -> TestHub {
    hub_with(|_, _| {}).await
}

#[tokio::test]
async fn a_change_published_once_reaches_both_protocols() {
    let hub = hub().await;
    let mut pusher = Pusher::connect(&hub).await;
    let mut centrifuge = hub.client(0).await;
    pusher.subscribe("venue.5", None).await;
    pusher.subscribe("private-venue.5", None).await;
    centrifuge.subscribe("venue:5").await;
    hub.ground.publish("venue:5", json!({ "type": "event.moved", "id": 17 })).await;
    let moved = json!({ "type": "event.moved", "id": 17 });
    assert_eq!(pusher.event().await, ("event.moved".into(), "venue.5".into(), moved.clone()));
    assert_eq!(pusher.event().await, ("event.moved".into(), "private-venue.5".into(), moved.clone()));
    assert_eq!(centrifuge.publication().await.data, moved);

    trigger(&hub, json!({ "name": "open", "channel": "venue.5", "data": "{\"gate\":3}" })).await;
    assert_eq!(pusher.event().await, ("open".into(), "venue.5".into(), json!({ "gate": 3 })));
    assert_eq!(pusher.event().await.1, "private-venue.5");
    assert_eq!(centrifuge.publication().await.data, json!({ "event": "open", "data": { "gate": 3 } }));
    pusher.unsubscribe("private-venue.5").await;
    trigger(&hub, json!({ "name": "shut", "channels": ["venue.5"], "data": "now" })).await;
    assert_eq!(pusher.event().await, ("shut".into(), "venue.5".into(), json!("now")));
    pusher.flush().await;
}

#[tokio::test]
async fn who_is_not_welcome_is_told_why() {
    let hub = hub_with(|pusher, app| {
        app.connections_max = 1;
        pusher.apps.insert("off".into(), App { key: "off".into(), enabled: false, ..self::app() });
    })
    .await;
    let _first = Pusher::connect(&hub).await;
    let table = [
        ("/app/nobody?protocol=7", 4001),
        ("/app/off?protocol=7", 4003),
        ("/app/festival-key", 4008),
        ("/app/festival-key?protocol=seven", 4006),
        ("/app/festival-key?protocol=8", 4007),
        ("/app/festival-key?protocol=7", 4004),
    ];
    for (path, code) in table {
        let mut client = Pusher::open(hub.address, path).await;
        let (event, _, data) = client.event().await;
        assert_eq!((event.as_str(), &data["code"]), ("pusher:error", &json!(code)), "{path}");
        assert_eq!(client.hear().await, Err(Some(code)), "{path}");
    }
}

#[tokio::test]
async fn subscriptions_need_what_their_name_says() {
    let hub = hub_with(|pusher, _| pusher.members_max = 1).await;
    let mut client = Pusher::connect(&hub).await;
    let auth = |channel: &str, data: Option<&str>| signer().channel_auth(client.id(), channel, data);
    let member = json!({ "user_id": 42 }).to_string();
    let good = auth("private-x", None);
    let table = [
        (json!({ "channel": "user.42" }), 401),
        (json!({ "channel": "staff.gate" }), 401),
        (json!({ "channel": "private-x" }), 401),
        (json!({ "channel": "private-x", "auth": "" }), 401),
        (json!({ "channel": "private-y", "auth": good }), 401),
        (json!({ "channel": "private-x", "auth": format!("{KEY}:00") }), 401),
        (json!({ "channel": "presence-x", "auth": auth("presence-x", None) }), 401),
        (
            json!({ "channel": "presence-x", "auth": auth("presence-x", Some("{}")), "channel_data": "{}" }),
            400,
        ),
        (
            json!({ "channel": "presence-x", "auth": auth("presence-x", Some(&member)), "channel_data": "{ }" }),
            401,
        ),
        (json!({ "channel": "#server-to-user-42" }), 401),
        (json!({ "channel": "venue:5" }), 400),
        (json!({ "channel": "$control" }), 400),
        (json!({ "channel": "private-event.x", "auth": auth("private-event.x", None) }), 400),
        (json!({ "channel": "" }), 400),
    ];
    for (data, status) in table {
        let (event, channel, answer) = client.ask(data.clone()).await;
        assert_eq!(event, "pusher:subscription_error", "{data}: {answer}");
        assert_eq!(
            (json!(channel), &answer["status"]),
            (data["channel"].clone(), &json!(status)),
            "{data}: {answer}"
        );
    }
    client.subscribe("private-x", None).await;
    let again = client.ask(json!({ "channel": "private-x", "auth": good })).await;
    assert_eq!(again.2["error"], "the channel is subscribed already");
    client.subscribe("presence-x", Some(json!({ "user_id": 42 }))).await;
    let mut second = Pusher::connect(&hub).await;
    let (other, id) = (json!({ "user_id": 43 }).to_string(), second.id());
    let auth = signer().channel_auth(id, "presence-x", Some(&other));
    let full = second.ask(json!({ "channel": "presence-x", "auth": auth, "channel_data": other })).await;
    assert_eq!(full.2["status"], 429);
}

#[tokio::test]
async fn members_come_and_go_by_user() {
    let hub = hub().await;
    let (mut amal, mut amals_phone) = (Pusher::connect(&hub).await, Pusher::connect(&hub).await);
    let (mut badr, mut guard) = (Pusher::connect(&hub).await, Pusher::connect(&hub).await);
    let member = |id: i64, name: &str| Some(json!({ "user_id": id, "user_info": { "name": name } }));
    let seen = guard.subscribe("presence-gate.3", member(7, "Guard")).await;
    assert_eq!(seen["presence"], json!({ "count": 1, "ids": ["7"], "hash": { "7": { "name": "Guard" } } }));
    amal.subscribe("presence-gate.3", member(1, "Amal")).await;
    let (event, channel, data) = guard.event().await;
    assert_eq!((event.as_str(), channel.as_str()), ("pusher_internal:member_added", "presence-gate.3"));
    assert_eq!(data, json!({ "user_id": "1", "user_info": { "name": "Amal" } }));
    let seen = badr.subscribe("presence-gate.3", member(2, "Badr")).await;
    assert_eq!(seen["presence"]["ids"], json!(["1", "2", "7"]));
    assert_eq!(guard.event().await.2["user_id"], "2");
    while amal.event().await.2["user_id"] != "2" {} // the guard may have come to be known after her
    amals_phone.subscribe("presence-gate.3", member(1, "Amal")).await;
    amal.unsubscribe("presence-gate.3").await; // her phone is still there
    drop(amals_phone);
    let (event, _, data) = badr.event().await;
    assert_eq!((event.as_str(), data), ("pusher_internal:member_removed", json!({ "user_id": "1" })));
    let users = back_end(&hub, Method::GET, "/apps/festival/channels/presence-gate.3/users", "", "").await;
    assert_eq!(users, (200, r#"{"users":[{"id":"2"},{"id":"7"}]}"#.to_owned()));
}

#[tokio::test]
async fn clients_talk_to_each_other_where_they_may() {
    let hub = hub_with(|pusher, _| pusher.client_events_per_second = 2).await;
    let (mut one, mut two) = (Pusher::connect(&hub).await, Pusher::connect(&hub).await);
    for (client, id) in [(&mut one, 1), (&mut two, 2)] {
        client.subscribe("private-room", None).await;
        client.subscribe("presence-room", Some(json!({ "user_id": id }))).await;
        client.subscribe("private-venue.5", None).await;
        client.subscribe("room", None).await;
    }
    let event =
        |channel: &str| json!({ "event": "client-typing", "channel": channel, "data": { "on": true } });
    one.say(event("private-room")).await;
    one.say(event("presence-room")).await;
    let heard = two.hear_others().await;
    assert_eq!(heard["data"], "{\"on\":true}");
    assert_eq!((&heard["channel"], heard.get("user_id")), (&json!("private-room"), None));
    let heard = two.hear_others().await;
    assert_eq!((&heard["channel"], &heard["user_id"]), (&json!("presence-room"), &json!("1")));
    for refused in ["private-room", "private-venue.5", "room", "private-elsewhere", "a b"] {
        one.say(event(refused)).await; // the first for its speed: it never heard its own events
        let refusal = one.hear_others().await;
        assert_eq!(
            (&refusal["event"], &refusal["data"]["code"]),
            (&json!("pusher:error"), &json!(4301)),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn the_sender_does_not_hear_the_echo() {
    let hub = hub().await;
    let (mut one, mut two) = (Pusher::connect(&hub).await, Pusher::connect(&hub).await);
    one.subscribe("festival", None).await;
    two.subscribe("festival", None).await;
    let event = json!({ "name": "e", "channel": "festival", "data": "1", "socket_id": one.socket_id });
    trigger(&hub, event).await;
    trigger(&hub, json!({ "name": "f", "channel": "festival", "data": "2" })).await;
    assert_eq!(one.event().await.0, "f");
    assert_eq!((two.event().await.0, two.event().await.0), ("e".to_owned(), "f".to_owned()));
}

#[tokio::test]
async fn cache_channels_begin_with_the_last_event() {
    let hub = hub().await;
    let mut client = Pusher::connect(&hub).await;
    client.subscribe("cache-weather", None).await;
    assert_eq!(
        client.hear().await.unwrap(),
        json!({ "event": "pusher:cache_miss", "channel": "cache-weather" })
    );
    trigger(&hub, json!({ "name": "forecast", "channel": "cache-weather", "data": "{\"sun\":true}" })).await;
    assert_eq!(client.event().await.0, "forecast");
    let mut late = Pusher::connect(&hub).await;
    late.subscribe("cache-weather", None).await;
    assert_eq!(late.event().await, ("forecast".into(), "cache-weather".into(), json!({ "sun": true })));
    let cached = back_end(&hub, Method::GET, "/apps/festival/channels/cache-weather", "info=cache", "").await;
    assert_eq!(cached.1, r#"{"occupied":true,"cache":{"data":"{\"sun\":true}","ttl":1800}}"#);
}

#[tokio::test]
async fn signed_in_users_hear_what_is_for_them_and_can_be_ended() {
    let hub = hub().await;
    let mut client = Pusher::connect(&hub).await;
    let data = json!({ "id": "42", "user_info": { "name": "Amal" } }).to_string();
    client.say(json!({ "event": "pusher:signin", "data": { "auth": "x:y", "user_data": data } })).await;
    assert_eq!(client.event().await.2["code"], 4009);
    let auth = signer().user_auth(client.id(), &data);
    client.say(json!({ "event": "pusher:signin", "data": { "auth": auth, "user_data": data } })).await;
    let (event, _, answer) = client.event().await;
    assert_eq!((event.as_str(), &answer["user_data"]), ("pusher:signin_success", &json!(data)));
    client.subscribe("#server-to-user-42", None).await;
    trigger(&hub, json!({ "name": "hello", "channel": "#server-to-user-42", "data": "{}" })).await;
    assert_eq!(client.event().await.0, "hello");
    hub.ground.publish("user:42", json!({ "type": "ticket.refunded" })).await;
    assert_eq!(client.event().await.0, "ticket.refunded");
    // a presence channel needs no channel_data of who is signed in
    let auth = signer().channel_auth(client.id(), "presence-x", None);
    let (_, _, seen) = client.ask(json!({ "channel": "presence-x", "auth": auth })).await;
    assert_eq!(seen["presence"]["hash"], json!({ "42": { "name": "Amal" } }));
    let mut other = Pusher::connect(&hub).await;
    let path = "/apps/festival/users/42/terminate_connections";
    assert_eq!(back_end(&hub, Method::POST, path, "", "{}").await, (200, "{}".to_owned()));
    assert_eq!(client.event().await.2["code"], 4009);
    assert_eq!(client.hear().await, Err(Some(4009)));
    other.flush().await;
}

#[tokio::test]
async fn the_http_api_answers_what_it_is_asked() {
    let hub = hub().await;
    let mut client = Pusher::connect(&hub).await;
    client.subscribe("presence-x", Some(json!({ "user_id": 1 }))).await;
    client.subscribe("festival", None).await;
    let get = |path: &'static str, query: &'static str| back_end(&hub, Method::GET, path, query, "");
    let all = "/apps/festival/channels";
    assert_eq!(get(all, "").await.1, r#"{"channels":{"festival":{},"presence-x":{}}}"#);
    assert_eq!(
        get(all, "filter_by_prefix=presence-&info=user_count").await.1,
        r#"{"channels":{"presence-x":{"user_count":1}}}"#
    );
    assert_eq!(get(all, "info=user_count").await.0, 400);
    let one = "/apps/festival/channels/presence-x";
    assert_eq!(
        get(one, "info=user_count,subscription_count").await.1,
        r#"{"occupied":true,"user_count":1,"subscription_count":1}"#
    );
    assert_eq!(get("/apps/festival/channels/nobody", "").await.1, r#"{"occupied":false}"#);
    assert_eq!(get("/apps/festival/channels/festival/users", "").await.0, 400);
    assert_eq!(get("/apps/festival/connections", "").await.1, r#"{"connections":1}"#);
    assert_eq!(get("/apps/nobody/channels", "").await.0, 404);
    assert_eq!(get("/apps/festival/nothing", "").await.0, 404);
    let post =
        async |path: &str, body: Value| back_end(&hub, Method::POST, path, "", &body.to_string()).await;
    let events = "/apps/festival/events";
    let info = json!({ "name": "e", "channels": ["festival"], "data": "1", "info": "subscription_count" });
    assert_eq!(post(events, info).await.1, r#"{"channels":{"festival":{"subscription_count":1}}}"#);
    let batch = json!({ "batch": [{ "name": "e", "channel": "festival", "data": "1" },
        { "name": "e", "channel": "presence-x", "data": "1", "info": "user_count" }] });
    assert_eq!(post("/apps/festival/batch_events", batch).await.1, r#"{"batch":[{},{"user_count":1}]}"#);
    let table = [
        (json!({ "name": "e", "channels": ["festival"], "data": "x".repeat(10_241) }), 413),
        (json!({ "name": "e", "channels": ["festival"], "data": "x".repeat(300_000) }), 413),
        (json!({ "name": "pusher:e", "channels": ["festival"], "data": "1" }), 400),
        (json!({ "name": "e", "channels": [], "data": "1" }), 400),
        (json!({ "name": "e", "channels": vec!["a"; 101], "data": "1" }), 400),
        (json!({ "name": "e", "channels": ["$control"], "data": "1" }), 400),
        (json!({ "name": "e", "channel": "festival", "data": "1", "socket_id": "me" }), 400),
        (json!([]), 400),
    ];
    for (body, status) in table {
        let answer = post(events, body.clone()).await;
        assert_eq!(answer.0, status, "{answer:?}");
    }
    let batch = json!({ "batch": vec![json!({ "name": "e", "channel": "festival", "data": "1" }); 11] });
    assert_eq!(post("/apps/festival/batch_events", batch).await.0, 400);
    let unsigned =
        Request::builder().uri("/apps/festival/channels?auth_key=festival-key").body(Full::default());
    assert_eq!(request(hub.address, unsigned.unwrap()).await.0, 401);
}

/// Goal: the holder of our access token hears what is theirs with a stock client, and nothing else.
#[tokio::test]
async fn our_own_tokens_open_what_their_holder_may_follow() {
    let hub = hub().await;
    let mut client = Pusher::connect(&hub).await;
    let ask = async |socket_id: &str, channel: &str, token: &str| {
        let body = format!("socket_id={socket_id}&channel_name={channel}");
        let asked = Request::post("/api/v1/broadcasting/auth").header("host", "localhost");
        let asked = asked.header("authorization", format!("Bearer {token}"));
        request(hub.address, asked.body(Full::new(Bytes::from(body))).unwrap()).await
    };
    let token = hub.ground.token(42);
    let (status, body) = ask(&client.socket_id, "private-user.42", &token).await;
    assert_eq!(status, 200, "{body}");
    let auth: Value = serde_json::from_str(&body).unwrap();
    let answer = client.ask(json!({ "channel": "private-user.42", "auth": auth["auth"] })).await;
    assert_eq!(answer.0, "pusher_internal:subscription_succeeded");
    hub.ground.publish("user:42", json!({ "type": "note" })).await;
    assert_eq!(client.event().await.1, "private-user.42");
    for (channel, token) in [
        ("private-user.43", &token),
        ("private-staff.gate", &token),
        ("private-orders.5", &token),
        ("private-user.42", &"x.y.z".to_owned()),
    ] {
        assert_eq!(ask(&client.socket_id, channel, token).await.0, 403, "{channel}");
    }
    assert_eq!(ask("", "private-user.42", &token).await.0, 400);
    let asked =
        Request::post("/api/v1/broadcasting/user-auth").header("authorization", format!("Bearer {token}"));
    let body = Bytes::from(format!("socket_id={}", client.socket_id));
    let (status, body) = request(hub.address, asked.body(Full::new(body)).unwrap()).await;
    assert_eq!(status, 200, "{body}");
    let data: Value = serde_json::from_str(&body).unwrap();
    client.say(json!({ "event": "pusher:signin", "data": data })).await;
    assert_eq!(client.event().await.0, "pusher:signin_success");
}

/// Goal: who has signed out hears nothing more, and does not come back with what was signed before.
#[tokio::test]
async fn a_session_that_ends_takes_its_connections_with_it() {
    let hub = hub().await;
    let (mut client, mut late) = (Pusher::connect(&hub).await, Pusher::connect(&hub).await);
    let token = hub.ground.token(42);
    let signed = async |socket_id: &str| {
        let body = format!("socket_id={socket_id}&channel_name=private-user.42");
        let asked =
            Request::post("/api/v1/broadcasting/auth").header("authorization", format!("Bearer {token}"));
        let (status, body) = request(hub.address, asked.body(Full::new(Bytes::from(body))).unwrap()).await;
        assert_eq!(status, 200, "{body}");
        json!({ "channel": "private-user.42", "auth": serde_json::from_str::<Value>(&body).unwrap()["auth"] })
    };
    let kept = signed(&late.socket_id).await;
    let mine = signed(&client.socket_id).await;
    assert_eq!(client.ask(mine).await.0, "pusher_internal:subscription_succeeded");
    let at = domain::Clock::now(&*hub.ground.clock);
    hub.ground
        .publish("$control", json!({ "type": "session.revoked", "at": at, "session": "s", "user_id": 42 }))
        .await;
    assert_eq!(client.event().await.2["code"], 4009);
    assert_eq!(client.hear().await, Err(Some(4009)));
    assert_eq!(late.ask(kept).await.2["error"], "the session has ended");
}

#[tokio::test]
async fn what_makes_no_sense_is_answered_and_forgiven() {
    let hub = hub().await;
    let mut client = Pusher::connect(&hub).await;
    for nonsense in [json!({}), json!([1]), json!({ "event": "pusher:subscribe", "data": 5 })] {
        client.say(nonsense).await;
        assert_eq!(client.event().await.2["code"], Value::Null);
    }
    client.say(json!({ "event": "pusher:unsubscribe", "data": { "channel": "never" } })).await;
    client.say(json!({ "event": "pusher:of_tomorrow", "data": {} })).await;
    client.flush().await;
}

#[tokio::test]
async fn whoever_answers_no_ping_is_let_go() {
    let hub = hub_with(|pusher, _| {
        pusher.activity_timeout_s = 1;
        pusher.pong_timeout_ms = 300;
    })
    .await;
    let mut client = Pusher::open(hub.address, &format!("/app/{KEY}?protocol=7")).await;
    assert_eq!(client.event().await.2["activity_timeout"], 1);
    assert_eq!(client.event().await.0, "pusher:ping");
    client.say(json!({ "event": "pusher:pong", "data": {} })).await;
    assert_eq!(client.event().await.0, "pusher:ping");
    assert_eq!(client.event().await.2["code"], 4201);
    assert_eq!(client.hear().await, Err(Some(4201)));
}

#[tokio::test]
async fn a_process_that_ends_sends_its_clients_elsewhere() {
    let hub = hub().await;
    let mut clients = vec![Pusher::connect(&hub).await, Pusher::connect(&hub).await];
    hub.life.drain().cancel();
    for client in &mut clients {
        assert_eq!(client.event().await.2["code"], 4200);
        assert_eq!(client.hear().await, Err(Some(4200)));
    }
}

/// Goal: topics of an application's own are closed to other protocols, whatever their class says of open ones.
#[tokio::test]
async fn private_channels_are_closed_to_the_other_protocol() {
    let ground = Ground::new().await;
    let hub = TestHub::on(ground, |config| {
        config.pusher.apps.insert("festival".into(), app());
        config.classes = serde_json::from_value(json!({ "default": {} })).unwrap();
    })
    .await;
    let mut client: Client = hub.client(42).await;
    for closed in ["private-orders.5", "presence-gate.3", "#server-to-user-x"] {
        let reply = client.ask("subscribe", json!({ "channel": closed })).await;
        assert_eq!(reply["error"]["code"], 103, "{closed}");
    }
    client.subscribe("news").await;
    let hub = self::hub().await;
    let mut client: Client = hub.client(42).await;
    let reply = client.ask("subscribe", json!({ "channel": "news" })).await;
    assert_eq!(reply["error"]["code"], 103, "the class is the application's");
}

#[tokio::test]
async fn members_of_all_nodes_see_each_other() {
    let ground = Ground::new().await;
    let (one, two) = (on(ground.clone(), |_, _| {}).await, on(ground, |_, _| {}).await);
    let (mut here, mut there) = (Pusher::connect(&one).await, Pusher::connect(&two).await);
    here.subscribe("presence-room", Some(json!({ "user_id": "h" }))).await;
    there.subscribe("presence-room", Some(json!({ "user_id": "t" }))).await;
    let (event, _, data) = here.event().await;
    assert_eq!((event.as_str(), &data["user_id"]), ("pusher_internal:member_added", &json!("t")));
    let mut late = Pusher::connect(&one).await;
    let seen = late.subscribe("presence-room", Some(json!({ "user_id": "l" }))).await;
    assert_eq!(seen["presence"]["ids"], json!(["h", "l", "t"]));
    assert_eq!(here.event().await.2["user_id"], "l");
    drop(there);
    let (event, _, data) = here.event().await;
    assert_eq!((event.as_str(), &data["user_id"]), ("pusher_internal:member_removed", &json!("t")));
}

#[tokio::test]
async fn two_nodes_count_together() {
    let ground = Ground::new().await;
    let (one, two) =
        (on(ground.clone(), |_, _| {}).await, on(ground, |_, app| app.subscription_counts = true).await);
    let (mut here, mut there) = (Pusher::connect(&one).await, Pusher::connect(&two).await);
    here.subscribe("room", None).await;
    there.subscribe("room", None).await;
    loop {
        let (event, _, data) = there.event().await;
        assert_eq!(event, "pusher_internal:subscription_count");
        if data["subscription_count"] == 2 {
            break;
        }
    }
    drop(here);
    while there.event().await.2["subscription_count"] != 1 {}
    let life = one.life.clone();
    drop(one);
    eventually("the node has ended", || life.drain().is_cancelled()).await;
}

/// A back end that takes webhooks; refuses as many POSTs as told before.
async fn back_end_of(refusals: usize) -> (String, tokio::sync::mpsc::Receiver<Vec<Value>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (heard, events) = tokio::sync::mpsc::channel(64);
    let left = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(refusals));
    let take = move |headers: http::HeaderMap, body: Bytes| {
        let (heard, left) = (heard.clone(), std::sync::Arc::clone(&left));
        async move {
            let one_less = |left: usize| left.checked_sub(1);
            let order = std::sync::atomic::Ordering::Relaxed;
            if left.fetch_update(order, order, one_less).is_ok() {
                return http::StatusCode::BAD_GATEWAY;
            }
            assert_eq!(headers["x-pusher-key"], KEY);
            assert_eq!(headers["x-pusher-signature"], signer().webhook(&body), "over exactly what was sent");
            let body: Value = serde_json::from_slice(&body).unwrap();
            let _ = heard.send(body["events"].as_array().unwrap().clone()).await; // the test may have seen enough
            http::StatusCode::OK
        }
    };
    let router = axum::Router::new().route("/hook", axum::routing::post(take));
    Lifecycle::new().spawn_connection(async move { axum::serve(listener, router).await.unwrap() });
    (url, events)
}

#[tokio::test]
async fn back_ends_are_told_what_happens_until_they_have_heard() {
    let (url, mut events) = back_end_of(2).await;
    let hub = hub_with(|pusher, app| {
        app.webhook_url = Some(url);
        app.webhook_events.push(hub::WebhookKind::ClientEvents);
        pusher.webhooks.retry_ms_min = 10;
        pusher.webhooks.batch_wait_ms = 10;
        pusher.webhooks.vacated_after_ms = 100;
    })
    .await;
    let mut client = Pusher::connect(&hub).await;
    client.subscribe("presence-room", Some(json!({ "user_id": 7 }))).await;
    client.subscribe("cache-weather", None).await;
    assert_eq!(client.hear_others().await["event"], "pusher:cache_miss");
    client
        .say(json!({ "event": "client-wave", "channel": "presence-room", "data": { "hand": "left" } }))
        .await;
    let mut told = Vec::new();
    let all = |told: &[Value], names: &[&str]| {
        names.iter().all(|name| told.iter().any(|event: &Value| event["name"] == *name))
    };
    while !all(&told, &["channel_occupied", "member_added", "cache_miss", "client_event"]) {
        told.extend(tokio::time::timeout(PATIENCE, events.recv()).await.unwrap().unwrap());
    }
    let of = |name: &str| told.iter().find(|event| event["name"] == name).unwrap().clone();
    let member = json!({ "name": "member_added", "channel": "presence-room", "user_id": "7" });
    assert_eq!(of("member_added"), member);
    let event = of("client_event");
    assert_eq!((&event["data"], &event["user_id"]), (&json!("{\"hand\":\"left\"}"), &json!("7")));
    assert_eq!(event["socket_id"], json!(client.socket_id));
    drop(client);
    while !all(&told, &["member_removed", "channel_vacated"]) {
        told.extend(tokio::time::timeout(PATIENCE, events.recv()).await.unwrap().unwrap());
    }
    let count = |name: &str| told.iter().filter(|event| event["name"] == name).count();
    assert_eq!((count("member_added"), count("client_event")), (1, 1), "{told:?}");
}
