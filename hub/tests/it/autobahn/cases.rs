//! The table. Each number is that of the suite's own case.

use super::wire::{Dialect, End, bits, close, command, frame, protobuf_command};

/// The longest message that the hub of these cases takes.
pub(super) const MESSAGE_BYTES_MAX: u32 = 262_144;

/// As one piece.
const WHOLE: usize = usize::MAX;
const PROTOCOL: End = End::Dropped(&[1002]);
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const MORE: u8 = 0;
const PING: u8 = 9;
const PONG: u8 = 10;

pub(super) struct Case {
    pub(super) number: String,
    pub(super) dialect: Dialect,
    /// What is sent, and in pieces of how many bytes.
    pub(super) sends: Vec<(Vec<u8>, usize)>,
    /// Replies, that to `connect` included; `None` where it does not matter.
    pub(super) replies: Option<usize>,
    pub(super) pongs: Vec<Vec<u8>>,
    pub(super) end: End,
}

/// A case in JSON with `replies` to its own commands.
fn case(number: impl Into<String>, sends: Vec<(Vec<u8>, usize)>, replies: usize, end: End) -> Case {
    let (number, dialect, replies) = (number.into(), Dialect::Json, Some(replies + 1));
    Case { number, dialect, sends, replies, pongs: Vec::new(), end }
}

impl Case {
    fn pongs(mut self, pongs: &[&[u8]]) -> Self {
        self.pongs = pongs.iter().map(|pong| pong.to_vec()).collect();
        self
    }

    fn protobuf(mut self) -> Self {
        self.dialect = Dialect::Protobuf;
        self
    }
}

/// Three cases: frames in one piece, a frame a piece, a byte a piece.
fn cut(numbers: [&str; 3], frames: &[Vec<u8>], replies: usize, end: End, pongs: &[&[u8]]) -> Vec<Case> {
    let together = vec![(frames.concat(), WHOLE)];
    let each = frames.iter().map(|frame| (frame.clone(), WHOLE)).collect();
    let bytes = vec![(frames.concat(), 1)];
    numbers
        .into_iter()
        .zip([together, each, bytes])
        .map(|(number, sends)| case(number, sends, replies, end).pongs(pongs))
        .collect()
}

/// A command of `length` bytes.
fn padded(length: usize) -> Vec<u8> {
    let mut message = command(2).into_bytes();
    message.resize(length, b' ');
    message
}

fn text(words: &str) -> Vec<u8> {
    frame(TEXT, words.as_bytes())
}

pub(super) fn all() -> Vec<Case> {
    let sections =
        [framing(), pings(), reserved(), fragments(), unicode(), sequences(), closing(), codes(), limits()];
    sections.into_iter().flatten().collect()
}

/// Section 1: framing.
fn framing() -> Vec<Case> {
    let mut cases = vec![
        // a message without a command is a mistake of the protocol above
        case("1.1.1", vec![(frame(TEXT, b""), WHOLE)], 0, End::Closed(&[1000, 3501])),
        case("1.2.1", vec![(frame(BINARY, b""), WHOLE)], 0, End::Closed(&[1000, 3501])).protobuf(),
    ];
    for case in &mut cases {
        case.sends.push((close(1000, b""), WHOLE));
    }
    for (at, length) in [125, 126, 127, 128, 65_535, 65_536, 65_536].into_iter().enumerate() {
        let chop = if at == 6 { 997 } else { WHOLE };
        let number = at + 2;
        cases.push(case(format!("1.1.{number}"), vec![(frame(TEXT, &padded(length)), chop)], 1, End::Open));
        let message = frame(BINARY, &protobuf_command(length));
        cases.push(case(format!("1.2.{number}"), vec![(message, chop)], 1, End::Open).protobuf());
    }
    cases
}

/// Section 2: pings and pongs.
fn pings() -> Vec<Case> {
    let ping = |payload: &[u8]| (frame(PING, payload), WHOLE);
    let long = [0xfe; 125];
    let ten: Vec<String> = (0..10).map(|at| format!("payload-{at}")).collect();
    let ten: Vec<&[u8]> = ten.iter().map(String::as_bytes).collect();
    let pings: Vec<u8> = ten.iter().flat_map(|payload| frame(PING, payload)).collect();
    let binary = [0x00, 0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0x00, 0xff];
    vec![
        case("2.1", vec![ping(b"")], 0, End::Open).pongs(&[b""]),
        case("2.2", vec![ping(b"Hello, world!")], 0, End::Open).pongs(&[b"Hello, world!"]),
        case("2.3", vec![ping(&binary)], 0, End::Open).pongs(&[&binary]),
        case("2.4", vec![ping(&long)], 0, End::Open).pongs(&[&long]),
        case("2.5", vec![ping(&[0xfe; 126])], 0, PROTOCOL),
        case("2.6", vec![(frame(PING, &long), 1)], 0, End::Open).pongs(&[&long]),
        case("2.7", vec![(frame(PONG, b""), WHOLE)], 0, End::Open),
        case("2.8", vec![(frame(PONG, b"unsolicited pong payload"), WHOLE)], 0, End::Open),
        case("2.9", vec![(frame(PONG, b"unsolicited"), WHOLE), ping(b"ping payload")], 0, End::Open)
            .pongs(&[b"ping payload"]),
        case("2.10", vec![(pings.clone(), WHOLE)], 0, End::Open).pongs(&ten),
        case("2.11", vec![(pings, 1)], 0, End::Open).pongs(&ten),
    ]
}

/// Sections 3 and 4: reserved bits and opcodes.
fn reserved() -> Vec<Case> {
    let (words, ping) = (command(2), frame(PING, b""));
    let mut cases = vec![case("3.1", vec![(bits(true, 1, TEXT, words.as_bytes()), WHOLE)], 0, PROTOCOL)];
    for (numbers, reserved) in [
        (["3.2", "3.2 by frame", "3.2 by byte"], 2),
        (["3.3", "3.3 by frame", "3.3 by byte"], 3),
        (["3.4", "3.4 by frame", "3.4 by byte"], 4),
    ] {
        let frames = [text(&words), bits(true, reserved, TEXT, words.as_bytes()), ping.clone()];
        cases.extend(cut(numbers, &frames, 1, PROTOCOL, &[]));
    }
    cases.push(case("3.5", vec![(bits(true, 5, BINARY, &[0xff; 8]), WHOLE)], 0, PROTOCOL));
    cases.push(case("3.6", vec![(bits(true, 6, PING, b"Hello"), WHOLE)], 0, PROTOCOL));
    cases.push(case("3.7", vec![(bits(true, 7, 8, &[]), WHOLE)], 0, PROTOCOL));
    for (section, opcodes) in [(1, 3..=7), (2, 11..=15)] {
        for (at, opcode) in opcodes.enumerate() {
            let number = format!("4.{section}.{}", at + 1);
            cases.push(case(format!("{number} empty"), vec![(frame(opcode, b""), WHOLE)], 0, PROTOCOL));
            let numbers = [number.clone(), format!("{number} by frame"), format!("{number} by byte")];
            let frames = [text(&words), frame(opcode, b"reserved opcode payload"), ping.clone()];
            cases.extend(cut(numbers.each_ref().map(String::as_str), &frames, 1, PROTOCOL, &[]));
        }
    }
    cases
}

/// Section 5: fragments.
fn fragments() -> Vec<Case> {
    let words = command(2);
    let (one, two) = words.as_bytes().split_at(9);
    let (start, end) = (bits(false, 0, TEXT, one), bits(true, 0, MORE, two));
    let ping = frame(PING, b"ping payload");
    let mut cases = vec![
        case(
            "5.1",
            vec![(bits(false, 0, PING, b"fragment1"), WHOLE), (frame(MORE, b"fragment2"), WHOLE)],
            0,
            PROTOCOL,
        ),
        case(
            "5.2",
            vec![(bits(false, 0, PONG, b"fragment1"), WHOLE), (frame(MORE, b"fragment2"), WHOLE)],
            0,
            PROTOCOL,
        ),
    ];
    cases.extend(cut(["5.3", "5.4", "5.5"], &[start.clone(), end.clone()], 1, End::Open, &[]));
    let between = [start.clone(), ping.clone(), end.clone()];
    cases.extend(cut(["5.6", "5.7", "5.8"], &between, 1, End::Open, &[b"ping payload"]));
    let nothing = [frame(MORE, b"non-continuation payload"), text(&words)];
    cases.extend(cut(["5.9", "5.10", "5.11"], &nothing, 0, PROTOCOL, &[]));
    let nothing = [bits(false, 0, MORE, b"non-continuation payload"), text(&words)];
    cases.extend(cut(["5.12", "5.13", "5.14"], &nothing, 0, PROTOCOL, &[]));
    let late = [start.clone(), end.clone(), bits(false, 0, MORE, b"fragment3"), text(&words)];
    cases.push(case("5.15", vec![(late.concat(), WHOLE)], 1, PROTOCOL));
    for (number, fin) in [("5.16", false), ("5.17", true)] {
        let frames = [bits(fin, 0, MORE, b"fragment1"), start.clone(), end.clone()];
        cases.push(case(number, vec![([frames.concat(), frames.concat()].concat(), WHOLE)], 0, PROTOCOL));
    }
    cases.push(case("5.18", vec![(start.clone(), WHOLE), (frame(TEXT, two), WHOLE)], 0, PROTOCOL));
    let thirds: Vec<&[u8]> = words.as_bytes().chunks(8).collect();
    let mut frames = Vec::new();
    for (at, part) in thirds.iter().enumerate() {
        let opcode = if at == 0 { TEXT } else { MORE };
        frames.push(bits(at + 1 == thirds.len(), 0, opcode, part));
        if at < 2 {
            frames.push(frame(PING, format!("pongme {at}!").as_bytes()));
        }
    }
    let pongs: [&[u8]; 2] = [b"pongme 0!", b"pongme 1!"];
    cases.extend(cut(["5.19", "5.20", "5.20 by byte"], &frames, 1, End::Open, &pongs));
    cases
}

/// A command whose method has these bytes.
fn saying(bytes: &[u8]) -> Vec<u8> {
    [br#"{"id":2,"rpc":{"method":""#, bytes, br#""}}"#].concat()
}

/// A text in fragments of `length` bytes.
fn in_parts(words: &[u8], length: usize) -> Vec<u8> {
    let last = words.len().div_ceil(length) - 1;
    let parts = words.chunks(length).enumerate();
    parts.flat_map(|(at, part)| bits(at == last, 0, if at == 0 { TEXT } else { MORE }, part)).collect()
}

/// Sections 6.1 to 6.4: UTF-8 in one frame and across frames.
fn unicode() -> Vec<Case> {
    let empty = |number: &str, frames: Vec<u8>| {
        let mut one =
            case(number, vec![(frames, WHOLE), (close(1000, b""), WHOLE)], 0, End::Closed(&[1000, 3501]));
        one.replies = None;
        one
    };
    let good = saying("Hello-µ@ßöäüàá-UTF-8!! κόσμε 𠜎".as_bytes());
    let bad = saying(b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited");
    let beyond = saying(b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80edited");
    let thirds = |words: &[u8]| in_parts(words, words.len().div_ceil(3));
    let none = || [bits(false, 0, TEXT, b""), bits(false, 0, MORE, b"")].concat();
    let middle = [bits(false, 0, TEXT, b""), bits(false, 0, MORE, &good), frame(MORE, b"")].concat();
    vec![
        empty("6.1.1", text("")),
        empty("6.1.2", [none(), frame(MORE, b"")].concat()),
        case("6.1.3", vec![(middle, WHOLE)], 1, End::Open),
        case("6.2.1", vec![(frame(TEXT, &good), WHOLE)], 1, End::Open),
        case("6.2.2", vec![(in_parts(&good, 40), WHOLE)], 1, End::Open),
        case("6.2.3", vec![(in_parts(&good, 1), WHOLE)], 1, End::Open),
        case("6.2.4", vec![(in_parts(&saying("κόσμε".as_bytes()), 1), 1)], 1, End::Open),
        case("6.3.1", vec![(frame(TEXT, &bad), WHOLE)], 0, End::NotText),
        case("6.3.2", vec![(in_parts(&bad, 1), WHOLE)], 0, End::NotText),
        case("6.4.1", vec![(thirds(&beyond), WHOLE)], 0, End::NotText),
        case("6.4.2", vec![(in_parts(&beyond, beyond.len() - 8), WHOLE)], 0, End::NotText),
        case("6.4.3", vec![(frame(TEXT, &beyond), 40)], 0, End::NotText),
        case("6.4.4", vec![(frame(TEXT, &beyond), 1)], 0, End::NotText),
    ]
}

/// What the test has in its sections 2.1 to 5.1: some are UTF-8, most are not.
const SEQUENCES: [&[&[u8]]; 12] = [
    &[b"\x00", b"\xc2\x80", b"\xe0\xa0\x80", b"\xf0\x90\x80\x80"],
    &[b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80"],
    &[b"\x7f", b"\xdf\xbf", b"\xef\xbf\xbf", b"\xf4\x8f\xbf\xbf"],
    &[b"\xf7\xbf\xbf\xbf", b"\xfb\xbf\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf\xbf"],
    &[b"\xed\x9f\xbf", b"\xee\x80\x80", b"\xef\xbf\xbd", b"\xf4\x8f\xbf\xbf", b"\xf4\x90\x80\x80"],
    &[
        b"\x80",
        b"\xbf",
        b"\x80\xbf",
        b"\x80\xbf\x80",
        b"\x80\xbf\x80\xbf",
        b"\x80\xbf\x80\xbf\x80",
        b"\x80\xbf\x80\xbf\x80\xbf",
    ],
    &[
        b"\xc0",
        b"\xe0\x80",
        b"\xf0\x80\x80",
        b"\xf8\x80\x80\x80",
        b"\xfc\x80\x80\x80\x80",
        b"\xdf",
        b"\xef\xbf",
        b"\xf7\xbf\xbf",
        b"\xfb\xbf\xbf\xbf",
        b"\xfd\xbf\xbf\xbf\xbf",
    ],
    &[b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"],
    &[
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xf0\x80\x80\xaf",
        b"\xf8\x80\x80\x80\xaf",
        b"\xfc\x80\x80\x80\x80\xaf",
    ],
    &[
        b"\xc1\xbf",
        b"\xe0\x9f\xbf",
        b"\xf0\x8f\xbf\xbf",
        b"\xf8\x87\xbf\xbf\xbf",
        b"\xfc\x83\xbf\xbf\xbf\xbf",
    ],
    &[
        b"\xc0\x80",
        b"\xe0\x80\x80",
        b"\xf0\x80\x80\x80",
        b"\xf8\x80\x80\x80\x80",
        b"\xfc\x80\x80\x80\x80\x80",
    ],
    &[
        b"\xed\xa0\x80",
        b"\xed\xad\xbf",
        b"\xed\xae\x80",
        b"\xed\xaf\xbf",
        b"\xed\xb0\x80",
        b"\xed\xbe\x80",
        b"\xed\xbf\xbf",
    ],
];

/// Sections 6.5 to 6.23: sequences of Markus Kuhn's UTF-8 test.
fn sequences() -> Vec<Case> {
    let cosmos = "κόσμε".as_bytes();
    let mut groups: Vec<Vec<Vec<u8>>> = vec![
        ["hello$world", "hello¢world", "hello€world", "hello𤭢world", "κόσμε"].map(Vec::from).into(),
        (1..=cosmos.len()).map(|end| cosmos[..end].to_vec()).collect(),
    ];
    groups.extend(SEQUENCES.map(|group| group.iter().map(|bytes| bytes.to_vec()).collect()));
    groups.push((0xc0..0xfe).map(|byte| vec![byte, b' ']).collect());
    let halves: [&[u8]; 4] = [b"\xed\xa0\x80", b"\xed\xad\xbf", b"\xed\xae\x80", b"\xed\xaf\xbf"];
    groups.push(
        halves
            .iter()
            .flat_map(|high| [[*high, b"\xed\xb0\x80"].concat(), [*high, b"\xed\xbf\xbf"].concat()])
            .collect(),
    );
    groups.push(
        (1..=16_u32)
            .flat_map(|plane| [0xfffe, 0xffff].map(|low| (plane << 16) | low))
            .map(|point| {
                char::from_u32(point).expect("a non-character is a scalar value").to_string().into_bytes()
            })
            .collect(),
    );
    let mut cases = Vec::new();
    for (group, sequences) in groups.into_iter().enumerate() {
        for (at, bytes) in sequences.into_iter().enumerate() {
            let end = if std::str::from_utf8(&bytes).is_ok() { End::Text } else { End::NotText };
            let mut one = case(
                format!("6.{}.{}", group + 5, at + 1),
                vec![(frame(TEXT, &saying(&bytes)), WHOLE), (close(1000, b""), WHOLE)],
                0,
                end,
            );
            one.replies = None;
            cases.push(one);
        }
    }
    cases
}

/// Sections 7.1 to 7.5: closing.
fn closing() -> Vec<Case> {
    const NORMAL: End = End::Closed(&[1000, 1005]);
    let (words, bye, ping) = (text(&command(2)), close(1000, b""), frame(PING, b""));
    let half = bits(false, 0, TEXT, b"fragment1");
    let informational = End::Dropped(&[1000]);
    let mut long = case(
        "7.1.6",
        vec![(
            [frame(TEXT, &padded(MESSAGE_BYTES_MAX as usize)), words.clone(), bye.clone(), ping.clone()]
                .concat(),
            WHOLE,
        )],
        0,
        informational,
    );
    long.replies = None;
    vec![
        case("7.1.1", vec![([words.clone(), bye.clone()].concat(), WHOLE)], 1, NORMAL),
        case("7.1.2", vec![([bye.clone(), bye.clone()].concat(), WHOLE)], 0, NORMAL),
        case("7.1.3", vec![([bye.clone(), ping].concat(), WHOLE)], 0, NORMAL),
        case("7.1.4", vec![([bye.clone(), words].concat(), WHOLE)], 0, NORMAL),
        case("7.1.5", vec![([half, bye.clone(), frame(MORE, b"fragment2")].concat(), WHOLE)], 0, NORMAL),
        long,
        case("7.3.1", vec![(frame(8, b""), WHOLE)], 0, NORMAL),
        case("7.3.2", vec![(frame(8, b"a"), WHOLE)], 0, PROTOCOL),
        case("7.3.3", vec![(bye, WHOLE)], 0, NORMAL),
        case("7.3.4", vec![(close(1000, b"Hello World!"), WHOLE)], 0, NORMAL),
        case("7.3.5", vec![(close(1000, &[b'*'; 123]), WHOLE)], 0, NORMAL),
        case("7.3.6", vec![(close(1000, &[b'*'; 124]), WHOLE)], 0, PROTOCOL),
        case(
            "7.5.1",
            vec![(close(1000, b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited"), WHOLE)],
            0,
            End::Dropped(&[1002, 1007]),
        ),
    ]
}

/// Sections 7.7, 7.9 and 7.13: codes that clients may send, may not send, and that are nobody's.
fn codes() -> Vec<Case> {
    let good = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999];
    let bad = [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999];
    let good = good.into_iter().enumerate().map(|(at, code)| {
        case(format!("7.7.{}", at + 1), vec![(close(code, b""), WHOLE)], 0, End::Closed(&[1000]))
    });
    let bad = bad
        .into_iter()
        .enumerate()
        .map(|(at, code)| case(format!("7.9.{}", at + 1), vec![(close(code, b""), WHOLE)], 0, PROTOCOL));
    let nobodys = [5_000, 65_535].into_iter().enumerate().map(|(at, code)| {
        case(format!("7.13.{}", at + 1), vec![(close(code, b""), WHOLE)], 0, End::Dropped(&[1000, 1002]))
    });
    good.chain(bad).chain(nobodys).collect()
}

/// Sections 9 and 10: long and many messages, in one frame, in fragments, in pieces.
fn limits() -> Vec<Case> {
    let max = MESSAGE_BYTES_MAX as usize;
    let too_long = End::Dropped(&[1009]);
    let mut cases = Vec::new();
    for (at, length) in [65_536, max, max + 1, 4 << 20].into_iter().enumerate() {
        let (replies, end) = if length > max { (0, too_long) } else { (1, End::Open) };
        let number = at + 1;
        cases.push(case(format!("9.1.{number}"), vec![(frame(TEXT, &padded(length)), WHOLE)], replies, end));
        let binary = frame(BINARY, &protobuf_command(length));
        cases.push(case(format!("9.2.{number}"), vec![(binary, WHOLE)], replies, end).protobuf());
    }
    for (at, part) in [64, 256, 1_024, 4_096, 16_384, 65_536].into_iter().enumerate() {
        let number = at + 1;
        cases.push(case(format!("9.3.{number}"), vec![(in_parts(&padded(max), part), WHOLE)], 1, End::Open));
        cases.push(case(
            format!("9.4.{number}"),
            vec![(in_parts(&padded(max + 1), part), WHOLE)],
            0,
            too_long,
        ));
    }
    for (at, chop) in [64, 128, 256, 512, 1_024, 2_048].into_iter().enumerate() {
        let number = at + 1;
        cases.push(case(format!("9.5.{number}"), vec![(frame(TEXT, &padded(max)), chop)], 1, End::Open));
        let binary = frame(BINARY, &protobuf_command(max));
        cases.push(case(format!("9.6.{number}"), vec![(binary, chop)], 1, End::Open).protobuf());
    }
    for (at, length) in [40, 64, 125, 256].into_iter().enumerate() {
        let many: Vec<u8> = (0..1_000).flat_map(|_| frame(TEXT, &padded(length))).collect();
        cases.push(case(format!("9.7.{}", at + 1), vec![(many, WHOLE)], 1_000, End::Open));
    }
    cases.push(case("10.1.1", vec![(in_parts(&padded(65_536), 1_300), WHOLE)], 1, End::Open));
    cases
}
