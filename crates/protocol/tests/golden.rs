//! Each frame of the JSON dialect encodes to and decodes from its file in `golden/`. The console and the page of
//! attendees read the same files.

#![expect(clippy::too_many_lines, reason = "tables")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use protocol::centrifuge::command::{
    ChannelRequest, ConnectRequest, HistoryRequest, PublishRequest, RefreshRequest, RpcRequest, SendRequest,
    StreamPosition, SubRefreshRequest, SubscribeRequest, UnsubscribeRequest,
};
use protocol::centrifuge::reply::{
    Answer, ConnectResult, Event, HistoryResult, Publication, RefreshResult, SubscribeResult,
};
use protocol::centrifuge::{Command, Dialect, Payload, Push, Reply, Request};
use protocol::codes::{ErrorCode, UnsubscribeCode};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn file(name: &str) -> String {
    let path = folder().join(format!("{name}.json"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn publication(data: &str, offset: u64) -> Publication<'_> {
    Publication { data: Payload::trusted(data.as_bytes()), offset, ..Publication::default() }
}

fn recovering(offset: u64) -> SubscribeRequest<'static> {
    SubscribeRequest { recover: true, offset, epoch: "0.a8Kd2".into(), ..SubscribeRequest::default() }
}

fn commands() -> Vec<(&'static str, Command<'static>)> {
    let command = |id, request| Command { id, request };
    vec![
        ("command_connect_anonymous", command(1, Request::Connect(Box::default()))),
        (
            "command_connect",
            command(
                1,
                Request::Connect(Box::new(ConnectRequest {
                    token: "eyJ.x.y".into(),
                    data: Some(Payload::trusted(r#"{"page":"home"}"#.as_bytes())),
                    subs: BTreeMap::from([("user:42".into(), recovering(17))]),
                    name: "js".into(),
                    version: "5.7.1".into(),
                    headers: BTreeMap::from([("x-device".into(), "gate 3".into())]),
                    flag: 1,
                })),
            ),
        ),
        (
            "command_subscribe",
            command(
                2,
                Request::Subscribe(SubscribeRequest { channel: "event:17".into(), ..Default::default() }),
            ),
        ),
        (
            "command_subscribe_recover",
            command(
                3,
                Request::Subscribe(SubscribeRequest {
                    channel: "festival".into(),
                    positioned: true,
                    recoverable: true,
                    flag: 2,
                    ..recovering(9_007_199_254_740_991)
                }),
            ),
        ),
        (
            "command_unsubscribe",
            command(4, Request::Unsubscribe(UnsubscribeRequest { channel: "event:17".into() })),
        ),
        (
            "command_publish",
            command(
                5,
                Request::Publish(PublishRequest {
                    channel: "venue:5".into(),
                    data: Some(Payload::trusted(r#"{"text":"\n ف"}"#.as_bytes())),
                    ..Default::default()
                }),
            ),
        ),
        ("command_presence", command(6, Request::Presence(ChannelRequest { channel: "venue:5".into() }))),
        (
            "command_presence_stats",
            command(7, Request::PresenceStats(ChannelRequest { channel: "venue:5".into() })),
        ),
        (
            "command_history",
            command(
                8,
                Request::History(HistoryRequest {
                    channel: "festival".into(),
                    limit: -1,
                    since: Some(StreamPosition { offset: 5, epoch: "0.a8Kd2".into() }),
                    reverse: true,
                }),
            ),
        ),
        (
            "command_rpc",
            command(
                9,
                Request::Rpc(RpcRequest {
                    data: Some(Payload::trusted(r#"{"a":1}"#.as_bytes())),
                    method: "ack".into(),
                }),
            ),
        ),
        (
            "command_send",
            command(0, Request::Send(SendRequest { data: Some(Payload::trusted("true".as_bytes())) })),
        ),
        ("command_refresh", command(10, Request::Refresh(RefreshRequest { token: "eyJ.n.w".into() }))),
        (
            "command_sub_refresh",
            command(
                11,
                Request::SubRefresh(SubRefreshRequest {
                    channel: "venue:5".into(),
                    token: "eyJ.n.w".into(),
                    ..Default::default()
                }),
            ),
        ),
        ("command_ping", command(12, Request::Ping)),
        ("command_pong", command(0, Request::Empty)),
    ]
}

fn replies() -> Vec<(&'static str, Reply<'static>)> {
    let push = |channel: &'static str, event| Reply::Push(Push::to(channel, event));
    vec![
        ("reply_connect", Reply::Answer(1, Answer::Connect(Box::new(connected())))),
        (
            "reply_connect_anonymous",
            Reply::Answer(
                1,
                Answer::Connect(Box::new(ConnectResult {
                    client: "1d8f99f1-7d3e-4c55-8a0c-0f0e6e0a1b2c".into(),
                    version: "0.1.0".into(),
                    ping: 25,
                    pong: true,
                    ..ConnectResult::default()
                })),
            ),
        ),
        ("reply_subscribe_empty", Reply::Answer(2, Answer::Subscribe(SubscribeResult::default()))),
        ("reply_subscribe", Reply::Answer(2, Answer::Subscribe(subscribed()))),
        (
            "reply_subscribe_recovered",
            Reply::Answer(
                3,
                Answer::Subscribe(SubscribeResult {
                    was_recovering: true,
                    recovered: true,
                    publications: vec![publication(r#"{"n":1}"#, 40), publication(r#""two""#, 43)],
                    ..subscribed()
                }),
            ),
        ),
        (
            "reply_subscribe_unrecovered",
            Reply::Answer(3, Answer::Subscribe(SubscribeResult { was_recovering: true, ..subscribed() })),
        ),
        ("reply_unsubscribe", Reply::Answer(4, Answer::Unsubscribe)),
        ("reply_history_empty", Reply::Answer(8, Answer::History(HistoryResult::default()))),
        (
            "reply_history",
            Reply::Answer(
                8,
                Answer::History(HistoryResult {
                    publications: vec![publication("[]", 7)],
                    epoch: "0.a8Kd2".into(),
                    offset: 7,
                }),
            ),
        ),
        ("reply_rpc", Reply::Answer(9, Answer::Rpc(Some(Payload::trusted(r#"{"time":1}"#.as_bytes()))))),
        ("reply_rpc_empty", Reply::Answer(9, Answer::Rpc(None))),
        (
            "reply_refresh",
            Reply::Answer(
                10,
                Answer::Refresh(RefreshResult {
                    client: "1d8f99f1-7d3e-4c55-8a0c-0f0e6e0a1b2c".into(),
                    version: "0.1.0".into(),
                    expires: true,
                    ttl: 600,
                }),
            ),
        ),
        ("reply_error", Reply::Answer(5, Answer::refusal(ErrorCode::PermissionDenied))),
        ("reply_error_temporary", Reply::Answer(6, Answer::refusal(ErrorCode::TooManyRequests))),
        (
            "push_publication",
            push("event:17", Event::Publication(publication(r#"{"type":"event.moved"}"#, 44))),
        ),
        ("push_publication_unpositioned", push("event:17", Event::Publication(publication("null", 0)))),
        ("push_unsubscribe", push("event:17", Event::unsubscribe(UnsubscribeCode::InsufficientState))),
        ("ping", Reply::Ping),
    ]
}

fn subscribed() -> SubscribeResult<'static> {
    SubscribeResult {
        recoverable: true,
        positioned: true,
        epoch: "0.a8Kd2".into(),
        offset: 43,
        ..SubscribeResult::default()
    }
}

fn connected() -> ConnectResult<'static> {
    ConnectResult {
        client: "1d8f99f1-7d3e-4c55-8a0c-0f0e6e0a1b2c".into(),
        version: "0.1.0".into(),
        expires: true,
        ttl: 600,
        subs: BTreeMap::from([("user:42".into(), subscribed())]),
        ping: 25,
        pong: true,
        time: 1_784_145_600_000,
        ..ConnectResult::default()
    }
}

#[test]
fn commands_match_their_files() {
    for (name, command) in commands() {
        let golden = file(name);
        let mut written = Vec::new();
        Dialect::Json.write_command(&mut written, &command);
        assert_eq!(
            String::from_utf8(written).unwrap(),
            golden.trim_end(),
            "{name} is written as in its file"
        );
        let read: Vec<_> = Dialect::Json.commands(golden.as_bytes()).collect::<Result<_, _>>().unwrap();
        assert_eq!(read, [command], "{name} is read from its file");
    }
}

#[test]
fn replies_match_their_files() {
    for (name, reply) in replies() {
        let golden = file(name);
        let mut written = Vec::new();
        Dialect::Json.write_reply(&mut written, &reply);
        assert_eq!(
            String::from_utf8(written).unwrap(),
            golden.trim_end(),
            "{name} is written as in its file"
        );
        let read: Vec<_> = Dialect::Json.replies(golden.as_bytes()).collect::<Result<_, _>>().unwrap();
        assert_eq!(read, [reply], "{name} is read from its file");
    }
}

#[test]
fn every_file_is_tested() {
    let files: BTreeSet<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    let tested: BTreeSet<String> = commands()
        .iter()
        .map(|one| one.0)
        .chain(replies().iter().map(|one| one.0))
        .map(str::to_owned)
        .collect();
    assert_eq!(files, tested);
}
