//! Sessions that end: their sockets are closed on every node, and their tokens open no other.

use std::time::Duration;

use domain::{Revocation, RevocationReason, UserId};
use serde_json::json;
use tokio::time::Instant;

use crate::client::Client;
use crate::harness::{Ground, TestHub};

/// A client of `user` in `session`, and its token.
async fn client(hub: &TestHub, user: i64, session: &str) -> (Client, String) {
    let mut claims = hub.ground.claims(user, 600);
    session.clone_into(&mut claims.sid);
    let token = hub.ground.sign(&claims);
    let mut client = Client::open(hub.address).await;
    client.connect(&token).await;
    (client, token)
}

/// What a connect with `token` is answered: the code of the error or of the close.
async fn refused(hub: &TestHub, token: &str) -> u64 {
    let mut client = Client::open(hub.address).await;
    client.send(json!({ "id": 1, "connect": { "token": token } }).to_string()).await;
    match client.reply_or_end().await {
        Ok(reply) => reply["error"]["code"].as_u64().unwrap_or_else(|| panic!("{reply}")),
        Err((code, _)) => u64::from(code),
    }
}

fn user_revoked(reason: RevocationReason, except: Option<&str>) -> Revocation {
    Revocation::User { user_id: UserId(4), reason, except: except.map(str::to_owned) }
}

async fn two_nodes() -> [TestHub; 2] {
    let ground = Ground::on_redis().await;
    let twin = ground.twin().await;
    [TestHub::on(ground, |_| {}).await, TestHub::on(twin, |_| {}).await]
}

#[tokio::test]
async fn signing_out_ends_the_session_on_every_node_within_a_second() {
    let [here, there] = two_nodes().await;
    let (mut one, token) = client(&here, 4, "a").await;
    let (mut same_session, _) = client(&there, 4, "a").await;
    let (mut other_session, _) = client(&there, 4, "b").await;
    let (mut other_user, _) = client(&there, 5, "a").await;
    here.ground.clock.advance(Duration::from_secs(5));
    let told_at = Instant::now();
    here.ground.revoke(Revocation::Session { session: "a".to_owned(), user_id: UserId(4) }).await;
    for client in [&mut one, &mut same_session] {
        assert_eq!(client.closed().await, (3503, "force disconnect".to_owned()));
    }
    assert!(told_at.elapsed() < Duration::from_secs(1), "{:?}", told_at.elapsed());
    for hub in [&here, &there] {
        assert_eq!(refused(hub, &token).await, 3500, "a token that is good in itself opens nothing");
    }
    for client in [&mut other_session, &mut other_user] {
        assert!(client.ask("rpc", json!({ "method": "time" })).await.get("error").is_none());
    }
}

#[tokio::test]
async fn a_block_ends_every_session_and_a_new_sign_in_begins_another() {
    let hub = TestHub::new().await;
    let (mut one, old) = client(&hub, 4, "a").await;
    let (mut two, _) = client(&hub, 4, "b").await;
    hub.ground.clock.advance(Duration::from_secs(5));
    let in_that_second = hub.ground.token(4);
    hub.ground.revoke(user_revoked(RevocationReason::Blocked, None)).await;
    for client in [&mut one, &mut two] {
        assert_eq!(client.closed().await.0, 3503);
    }
    assert_eq!(refused(&hub, &old).await, 3500);
    assert_eq!(refused(&hub, &in_that_second).await, 109, "before or after the block: another one tells");
    hub.ground.clock.advance(Duration::from_secs(1));
    client(&hub, 4, "c").await.0.subscribe("festival").await;
}

#[tokio::test]
async fn another_password_leaves_the_session_that_changed_it() {
    let hub = TestHub::new().await;
    let (mut here, token) = client(&hub, 4, "a").await;
    let (mut elsewhere, _) = client(&hub, 4, "b").await;
    hub.ground.clock.advance(Duration::from_secs(5));
    hub.ground.revoke(user_revoked(RevocationReason::Password, Some("a"))).await;
    assert_eq!(elsewhere.closed().await.0, 3503);
    here.subscribe("festival").await;
    let mut again = Client::open(hub.address).await;
    assert!(again.connect(&token).await["client"].is_string());
}

/// Goal: who has other roles comes back by itself, with a token that has them, and misses nothing.
#[tokio::test]
async fn other_roles_bring_the_client_back_with_another_token() {
    let hub = TestHub::new().await;
    let (mut client, old) = client(&hub, 4, "a").await;
    let epoch = client.subscribe("festival").await["epoch"].clone();
    let position = hub.ground.publish("festival", json!(1)).await;
    client.publication().await;
    hub.ground.clock.advance(Duration::from_secs(5));
    hub.ground.revoke(user_revoked(RevocationReason::Roles, None)).await;
    assert_eq!(client.closed().await, (3011, "force reconnect".to_owned()));
    hub.ground.publish("festival", json!(2)).await;
    assert_eq!(refused(&hub, &old).await, 109);
    hub.ground.clock.advance(Duration::from_secs(1));
    let mut back = hub.client(4).await;
    let recovered = back.recover("festival", &epoch, position).await;
    assert_eq!((&recovered["recovered"], &recovered["publications"][0]["data"]), (&json!(true), &json!(2)));
}

#[tokio::test]
async fn a_refresh_with_a_revoked_token_is_no_refresh() {
    let hub = TestHub::new().await;
    let (mut goes_on, token) = client(&hub, 4, "a").await;
    let (mut doomed, of_ended_session) = client(&hub, 4, "s").await;
    let other = Revocation::Session { session: "s".to_owned(), user_id: UserId(4) };
    hub.ground.revoke(other).await;
    doomed.closed().await;
    goes_on.send(json!({ "id": 9, "refresh": { "token": of_ended_session } }).to_string()).await;
    assert_eq!(goes_on.closed().await.0, 3500);
    assert!(Client::open(hub.address).await.connect(&token).await["client"].is_string());
}

/// Goal: a node that starts afterwards knows it, too.
#[tokio::test]
async fn a_new_node_learns_from_the_log_what_was_revoked() {
    let ground = Ground::new().await;
    let token = ground.token(4);
    ground.clock.advance(Duration::from_secs(5));
    ground.revoke(user_revoked(RevocationReason::SignedOut, None)).await;
    let hub = TestHub::on(ground, |_| {}).await;
    assert_eq!(refused(&hub, &token).await, 3500);
    assert!(Client::open(hub.address).await.connect(&hub.ground.token(5)).await["client"].is_string());
}

/// Goal: what a node cannot know it does not assume: tokens from before are renewed.
#[tokio::test]
async fn a_node_that_reads_only_the_end_of_the_log_has_older_tokens_renewed() {
    let ground = Ground::new().await;
    let token = ground.token(4);
    ground.clock.advance(Duration::from_secs(5));
    ground.revoke(user_revoked(RevocationReason::SignedOut, None)).await;
    let noise = Revocation::Session { session: "x".to_owned(), user_id: UserId(9) };
    for _ in 0..3 {
        ground.clock.advance(Duration::from_secs(1));
        ground.revoke(noise.clone()).await;
    }
    let hub = TestHub::on(ground, |config| config.history.warm_entries_max = 2).await;
    assert_eq!(refused(&hub, &token).await, 109);
    hub.ground.clock.advance(Duration::from_secs(1));
    assert!(Client::open(hub.address).await.connect(&hub.ground.token(4)).await["client"].is_string());
}

#[tokio::test]
async fn nobody_follows_the_control_topic() {
    let hub = TestHub::new().await;
    let mut client = hub.client(4).await;
    for command in ["subscribe", "history", "presence", "publish"] {
        let reply = client.ask(command, json!({ "channel": "$control", "data": {} })).await;
        assert_eq!(reply["error"]["code"], 102, "{command}: {reply}");
    }
}
