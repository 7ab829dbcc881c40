//! Each message encodes to and decodes from its files in `golden/`, one for each dialect: `name.json` and
//! `name.protobuf`. The console and the page of attendees read the same files.

#![expect(clippy::too_many_lines, reason = "tables")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use protocol::centrifuge::command::{
    ChannelRequest, ConnectRequest, HistoryRequest, PublishRequest, RefreshRequest, RpcRequest, SendRequest,
    StreamPosition, SubRefreshRequest, SubscribeRequest, UnsubscribeRequest,
};
use protocol::centrifuge::filter::FilterNode;
use protocol::centrifuge::reply::{
    Answer, ClientInfo, ConnectResult, Event, HistoryResult, PresenceStats, Publication, RefreshResult,
    SubRefreshResult, SubscribeResult, Subscribed,
};
use protocol::centrifuge::{Command, Dialect, Payload, Push, Reply, Request};
use protocol::codes::{DisconnectCode, ErrorCode, UnsubscribeCode};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

const DIALECTS: [(Dialect, &str); 2] = [(Dialect::Json, "json"), (Dialect::Protobuf, "protobuf")];

/// The one message in a file. Editors like a line feed at the end of text.
fn file(name: &str, extension: &str) -> Vec<u8> {
    let path = folder().join(format!("{name}.{extension}"));
    let mut content = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if extension == "json" {
        content.pop_if(|last| *last == b'\n');
    }
    content
}

/// Bytes that a person can compare.
fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

fn publication(data: &str, offset: u64) -> Publication<'_> {
    Publication { data: Payload::trusted(data.as_bytes()), offset, ..Publication::default() }
}

fn recovering(offset: u64) -> SubscribeRequest<'static> {
    SubscribeRequest { recover: true, offset, epoch: "0.a8Kd2".into(), ..SubscribeRequest::default() }
}

fn filter() -> FilterNode<'static> {
    let leaf = |key: &'static str, cmp: &'static str, val: &'static str| FilterNode {
        key: key.into(),
        cmp: cmp.into(),
        val: val.into(),
        ..FilterNode::default()
    };
    FilterNode {
        op: "and".into(),
        nodes: vec![
            FilterNode { vals: vec!["ar".into(), "en".into()], ..leaf("lang", "in", "") },
            FilterNode {
                op: "not".into(),
                nodes: vec![leaf("stage", "eq", "مسرح")],
                ..FilterNode::default()
            },
        ],
        ..FilterNode::default()
    }
}

fn info() -> ClientInfo<'static> {
    ClientInfo {
        user: "42".into(),
        client: "1d8f99f1-7d3e-4c55-8a0c-0f0e6e0a1b2c".into(),
        conn_info: Some(Payload::trusted(br#"{"name":"Amira"}"#)),
        chan_info: Some(Payload::trusted(b"[1]")),
    }
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
            "command_subscribe_filtered",
            command(
                3,
                Request::Subscribe(SubscribeRequest {
                    channel: "festival".into(),
                    token: "eyJ.s.b".into(),
                    data: Some(Payload::trusted(b"{}")),
                    join_leave: true,
                    delta: "fossil".into(),
                    filter: Some(Box::new(filter())),
                    kind: 1,
                    ..SubscribeRequest::default()
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
        ("reply_publish", Reply::Answer(5, Answer::Publish)),
        ("reply_presence_empty", Reply::Answer(6, Answer::Presence(BTreeMap::new()))),
        (
            "reply_presence",
            Reply::Answer(
                6,
                Answer::Presence(BTreeMap::from([
                    (info().client, info()),
                    ("a".into(), ClientInfo { client: "a".into(), ..ClientInfo::default() }),
                ])),
            ),
        ),
        ("reply_presence_stats_empty", Reply::Answer(7, Answer::PresenceStats(PresenceStats::default()))),
        (
            "reply_presence_stats",
            Reply::Answer(7, Answer::PresenceStats(PresenceStats { num_clients: 3, num_users: 2 })),
        ),
        ("reply_sub_refresh_empty", Reply::Answer(11, Answer::SubRefresh(SubRefreshResult::default()))),
        (
            "reply_sub_refresh",
            Reply::Answer(11, Answer::SubRefresh(SubRefreshResult { expires: true, ttl: 60 })),
        ),
        (
            "reply_subscribe_delta",
            Reply::Answer(
                2,
                Answer::Subscribe(SubscribeResult {
                    expires: true,
                    ttl: 60,
                    data: Some(Payload::trusted(br#"{"greeting":"hi"}"#)),
                    delta: true,
                    id: 5,
                    publications: vec![
                        publication(r#""{\"n\":1}""#, 42),
                        Publication { delta: true, ..publication(r#""7\n5@0,1:21@6,2qLEhY;""#, 43) },
                    ],
                    ..subscribed()
                }),
            ),
        ),
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
        (
            "push_publication_of_client",
            push(
                "event:17",
                Event::Publication(Publication {
                    info: Some(info()),
                    tags: BTreeMap::from([("lang".into(), "ar".into()), ("stage".into(), "مسرح".into())]),
                    time: 1_784_145_600_000,
                    ..publication("{}", 45)
                }),
            ),
        ),
        (
            "push_publication_numbered",
            Reply::Push(Push { id: 5, ..Push::to("", Event::Publication(publication("{}", 46))) }),
        ),
        ("push_join", push("event:17", Event::Join(info()))),
        ("push_leave_anonymous", push("event:17", Event::Leave(ClientInfo::default()))),
        (
            "push_subscribe",
            push(
                "user:42",
                Event::Subscribe(Subscribed {
                    recoverable: true,
                    epoch: "0.a8Kd2".into(),
                    offset: 43,
                    positioned: true,
                    data: Some(Payload::trusted(b"1")),
                }),
            ),
        ),
        (
            "push_message",
            Reply::Push(Push::to_connection(Event::Message(Some(Payload::trusted(br#"{"hello":1}"#))))),
        ),
        ("push_connect", Reply::Push(Push::to_connection(Event::Connect(Box::new(connected()))))),
        ("push_disconnect", Reply::Push(Push::to_connection(Event::disconnect(DisconnectCode::Shutdown)))),
        (
            "push_refresh",
            Reply::Push(Push::to_connection(Event::Refresh(SubRefreshResult { expires: true, ttl: 60 }))),
        ),
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
        data: Some(Payload::trusted(br#"{"festival":"al-alamein"}"#)),
        session: "s3cr3t".into(),
        node: "hub-1".into(),
        time: 1_784_145_600_000,
    }
}

#[test]
fn commands_match_their_files() {
    for (name, command) in commands() {
        for (dialect, extension) in DIALECTS {
            let golden = file(name, extension);
            let mut written = Vec::new();
            dialect.write_command(&mut written, &command);
            assert_eq!(shown(&written), shown(&golden), "{name} is written as in its {extension} file");
            let read: Vec<_> = dialect.commands(&golden).collect::<Result<_, _>>().unwrap();
            assert_eq!(read, std::slice::from_ref(&command), "{name} is read from its {extension} file");
        }
    }
}

#[test]
fn replies_match_their_files() {
    for (name, reply) in replies() {
        for (dialect, extension) in DIALECTS {
            let golden = file(name, extension);
            let mut written = Vec::new();
            dialect.write_reply(&mut written, &reply);
            assert_eq!(shown(&written), shown(&golden), "{name} is written as in its {extension} file");
            let read: Vec<_> = dialect.replies(&golden).collect::<Result<_, _>>().unwrap();
            assert_eq!(read, std::slice::from_ref(&reply), "{name} is read from its {extension} file");
        }
    }
}

/// Goal: transports that go one way have the push itself, without a reply around it.
#[test]
fn bare_pushes_are_what_replies_hold() {
    for (name, reply) in replies() {
        let Reply::Push(push) = reply else { continue };
        let mut bare = Vec::new();
        Dialect::Json.write_push(&mut bare, &push);
        let wrapped = [br#"{"push":"#, &*bare, b"}"].concat();
        assert_eq!(shown(&wrapped), shown(&file(name, "json")), "{name}");

        let mut bare = Vec::new();
        Dialect::Protobuf.write_push(&mut bare, &push);
        let member = [&[4 << 3 | 2], &*bare].concat(); // `push` of a reply, with its length
        assert!(file(name, "protobuf").ends_with(&member), "{name}: {}", shown(&bare));
    }
}

/// Goal: several messages share a frame, and what is left of it is a frame.
#[test]
fn messages_share_a_frame() {
    for (dialect, _) in DIALECTS {
        let mut frame = Vec::new();
        for (_, command) in commands() {
            dialect.write_command(&mut frame, &command);
        }
        let expected: Vec<_> = commands().into_iter().map(|(_, command)| command).collect();
        let mut read = dialect.commands(&frame);
        assert_eq!(read.next().unwrap().unwrap(), expected[0]);
        let rest: Vec<_> = dialect.commands(read.rest().unwrap()).collect::<Result<_, _>>().unwrap();
        assert_eq!(rest, expected[1..]);

        let mut frame = Vec::new();
        for (_, reply) in replies() {
            dialect.write_reply(&mut frame, &reply);
        }
        let read: Vec<_> = dialect.replies(&frame).collect::<Result<_, _>>().unwrap();
        assert_eq!(read, replies().into_iter().map(|(_, reply)| reply).collect::<Vec<_>>());
    }
}

#[test]
fn requests_that_stand_alone_are_read() {
    let json = br#"{"token":"t","subs":{"user:42":{"recover":true,"offset":7,"epoch":"e"}}}"#;
    let request = Dialect::Json.connect_request(json).unwrap();
    let golden = file("command_connect", "protobuf");
    let bare = &golden[golden.len() - usize::from(golden[4])..]; // length, id, tag of `connect`, its length
    assert_eq!((&*request.token, request.subs["user:42"].offset), ("t", 7));
    assert_eq!(&*Dialect::Protobuf.connect_request(bare).unwrap().token, "eyJ.x.y");
    assert!(
        Dialect::Json.connect_request(b"").is_err() && Dialect::Protobuf.connect_request(b"\x07").is_err()
    );

    let json = br#"{"session":"s","node":"n","data":"{\"id\":2,\"ping\":{}}\n{}"}"#;
    let request = Dialect::Json.emulation_request(json).unwrap();
    assert_eq!(
        (&*request.session, &*request.node, Dialect::Json.commands(&request.data).count()),
        ("s", "n", 2)
    );
    let protobuf = b"\x0a\x01n\x12\x01s\x1a\x05\x04\x08\x02\x5a\x00";
    let request = Dialect::Protobuf.emulation_request(protobuf).unwrap();
    assert_eq!(
        (&*request.session, &*request.node, Dialect::Protobuf.commands(&request.data).count()),
        ("s", "n", 1)
    );
    assert!(Dialect::Json.emulation_request(b"[]").is_err());
    assert!(Dialect::Protobuf.emulation_request(b"\x0a\x7fn").is_err());
}

#[test]
fn every_file_is_tested() {
    let files: BTreeSet<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let names = commands().into_iter().map(|one| one.0).chain(replies().into_iter().map(|one| one.0));
    let tested: BTreeSet<String> =
        names.flat_map(|name| DIALECTS.map(|(_, extension)| format!("{name}.{extension}"))).collect();
    assert_eq!(files, tested);
}
