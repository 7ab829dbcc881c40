use proptest::prelude::*;

use super::*;
use crate::ws::{close_frame, frame, masked_frame};

/// What a decoder made of bytes that came in pieces of the given sizes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
    Violation(Violation),
}

fn seen(event: &Event<'_>) -> Seen {
    match event {
        Event::Text(text) => Seen::Text((*text).to_owned()),
        Event::Binary(bytes) => Seen::Binary(bytes.to_vec()),
        Event::Ping(bytes) => Seen::Ping(bytes.to_vec()),
        Event::Pong(bytes) => Seen::Pong(bytes.to_vec()),
        Event::Close(close) => Seen::Close(close.as_ref().map(|close| (close.code, close.reason.to_owned()))),
    }
}

fn decode(decoder: &mut Decoder, bytes: &[u8], piece: usize) -> Vec<Seen> {
    let mut all = Vec::new();
    for chunk in bytes.chunks(piece.max(1)) {
        let mut chunk = chunk.to_vec();
        let mut input = Input::new(&mut chunk);
        loop {
            match decoder.next(&mut input) {
                Ok(Some(event)) => all.push(seen(&event)),
                Ok(None) => break,
                Err(violation) => {
                    all.push(Seen::Violation(violation));
                    return all;
                }
            }
        }
    }
    all
}

fn server(bytes: &[u8]) -> Vec<Seen> {
    let whole = decode(&mut Decoder::new(Side::Server, 1000), bytes, usize::MAX);
    for piece in [1, 2, 3, 7, 13] {
        assert_eq!(
            decode(&mut Decoder::new(Side::Server, 1000), bytes, piece),
            whole,
            "in pieces of {piece}"
        );
    }
    whole
}

/// A client's frame with its first byte and mask as given.
fn raw(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = masked_frame(Opcode::Text, payload, [1, 2, 3, 4]);
    bytes[0] = first;
    bytes
}

#[test]
fn messages_come_out_whole_however_the_bytes_arrive() {
    let mut bytes = masked_frame(Opcode::Text, "grüß".as_bytes(), [9, 8, 7, 6]);
    bytes.extend(masked_frame(Opcode::Binary, &[5; 300], [1, 1, 2, 3]));
    bytes.extend(masked_frame(Opcode::Ping, b"hi", [4, 3, 2, 1]));
    bytes.extend(raw(0x01, b"fra"));
    bytes.extend(masked_frame(Opcode::Pong, b"between", [4, 3, 2, 1]));
    bytes.extend(raw(0x00, b"gmen"));
    bytes.extend(raw(0x80, b"ted"));
    bytes.extend(masked_frame(Opcode::Text, b"", [0; 4]));
    assert_eq!(
        server(&bytes),
        [
            Seen::Text("grüß".into()),
            Seen::Binary(vec![5; 300]),
            Seen::Ping(b"hi".to_vec()),
            Seen::Pong(b"between".to_vec()),
            Seen::Text("fragmented".into()),
            Seen::Text(String::new()),
        ]
    );
}

#[test]
fn violations_are_told_apart() {
    let protocol = |bytes: &[u8]| matches!(server(bytes)[..], [Seen::Violation(Violation::Protocol(_))]);
    assert!(protocol(&raw(0xc1, b"x")), "reserved bit");
    assert!(protocol(&raw(0x83, b"x")), "unknown opcode");
    assert!(protocol(&raw(0x80, b"x")), "continuation of nothing");
    assert!(protocol(&raw(0x09, b"x")), "fragmented ping");
    assert!(protocol(&raw(0x89, &[b'x'; 126])), "long ping");
    assert!(protocol(&frame(Opcode::Text, b"x")), "unmasked");
    assert!(protocol(&[0x81, 0xfe, 0, 5, 0, 0, 0, 0]), "longer form than needed");
    assert!(protocol(&raw(0x88, b"x")), "half a close code");
    assert!(protocol(&raw(0x88, &1005_u16.to_be_bytes())), "close code of no frame");
    assert!(protocol(&[raw(0x01, b"x"), raw(0x81, b"y")].concat()), "message in a message");
    assert_eq!(server(&raw(0x81, b"\xff")), [Seen::Violation(Violation::Utf8)]);
    assert_eq!(server(&raw(0x82, &[0; 1001])), [Seen::Violation(Violation::TooBig)]);
    assert_eq!(
        server(&[raw(0x02, &[0; 600]), raw(0x80, &[0; 600])].concat()),
        [Seen::Violation(Violation::TooBig)]
    );
    let announced = [0x82, 0xff, 0x7f, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(server(&[&announced[..], &[0; 4]].concat()), [Seen::Violation(Violation::TooBig)]);
}

#[test]
fn closes_carry_code_and_reason() {
    let close = [&3001_u16.to_be_bytes()[..], b"shutdown"].concat();
    assert_eq!(server(&raw(0x88, &close)), [Seen::Close(Some((3001, "shutdown".into())))]);
    assert_eq!(server(&raw(0x88, b"")), [Seen::Close(None)]);
    let mut client = Decoder::new(Side::Client, 100);
    assert_eq!(
        decode(&mut client, &close_frame(3001, "shutdown"), 5),
        [Seen::Close(Some((3001, "shutdown".into())))]
    );
    assert!(matches!(
        decode(&mut client, &masked_frame(Opcode::Text, b"x", [0; 4]), 9)[..],
        [Seen::Violation(Violation::Protocol(_))]
    ));
}

#[test]
fn an_idle_decoder_holds_no_memory() {
    let mut decoder = Decoder::new(Side::Server, 1000);
    decode(&mut decoder, &masked_frame(Opcode::Text, &[b'a'; 900], [1, 2, 3, 4]), 100);
    assert_eq!(decode(&mut decoder, &masked_frame(Opcode::Text, b"b", [1, 2, 3, 4]), 100).len(), 1);
    assert_eq!(decoder.held_bytes(), 0);
}

proptest! {
    /// Goal: bytes of any kind neither panic nor make the decoder hold more than a message.
    #[test]
    fn arbitrary_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..2000), piece in 1..600_usize) {
        for side in [Side::Server, Side::Client] {
            let mut decoder = Decoder::new(side, 512);
            decode(&mut decoder, &bytes, piece);
            prop_assert!(decoder.held_bytes() <= 2 * 512 + 2 * CONTROL_BYTES_MAX);
        }
    }

    /// Goal: what a client builds, a server reads, for every length and every cut.
    #[test]
    fn built_frames_are_read(
        lengths in proptest::collection::vec(prop_oneof![0..300_usize, 60_000..70_000_usize], 1..4),
        mask in any::<[u8; 4]>(),
        piece in prop_oneof![1..20_usize, 1000..100_000_usize],
    ) {
        let payloads: Vec<Vec<u8>> =
            lengths.iter().map(|length| (0..=250).cycle().take(*length).collect()).collect();
        let bytes: Vec<u8> =
            payloads.iter().flat_map(|payload| masked_frame(Opcode::Binary, payload, mask)).collect();
        let mut decoder = Decoder::new(Side::Server, 70_000);
        let expected: Vec<_> = payloads.into_iter().map(Seen::Binary).collect();
        prop_assert_eq!(decode(&mut decoder, &bytes, piece), expected);
    }
}
