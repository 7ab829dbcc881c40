//! The cases of the Autobahn WebSocket test suite that apply, by their numbers, against the real server over TCP.
//!
//! That suite wants its messages echoed; here a message is a command and what proves that it arrived whole is its
//! reply. Sections 12 and 13 (compression) are declined in the handshake. Where the suite leaves a choice
//! ("non-strict", "informational"), the table says what we do. The suite's long messages are cut down to our limit.

mod cases;
mod wire;

use cases::Case;
use wire::{End, Wire, reply_count};

use crate::harness::{PATIENCE, TestHub};

/// Cases that run at the same time.
const TOGETHER: usize = 16;

async fn hub() -> TestHub {
    TestHub::with(|config| {
        config.limits.commands_burst = 100_000;
        config.limits.commands_per_second = 100_000;
        config.limits.errors_max = 100_000;
        config.limits.message_bytes_max = cases::MESSAGE_BYTES_MAX;
    })
    .await
}

/// Runs a case; says what differs.
async fn run(hub: &TestHub, case: &Case) -> Result<(), String> {
    let mut wire = Wire::open(hub.address, case.dialect).await;
    for (bytes, chop) in &case.sends {
        if !wire.send(bytes, *chop).await {
            break; // the server has hung up, as it may when it was offended
        }
    }
    if case.end == End::Open {
        wire.send(&wire::close(1000, b""), usize::MAX).await;
    }
    let (heard, code) = wire.rest().await;
    let fits = match case.end {
        End::Open => code == Some(1000),
        End::Closed(codes) => codes.contains(&code.unwrap_or(0)),
        End::Dropped(codes) => code.is_none() || codes.contains(&code.unwrap_or(0)),
        End::NotText => code == Some(1007),
        End::Text => code != Some(1007),
    };
    let replies = reply_count(&heard, case.dialect);
    let pongs: Vec<_> =
        heard.iter().filter(|(opcode, _)| *opcode == 10).map(|(_, payload)| payload).collect();
    if !fits
        || case.replies.is_some_and(|wanted| wanted != replies)
        || !pongs.iter().eq(&case.pongs.iter().collect::<Vec<_>>())
    {
        let pongs: Vec<_> = pongs.iter().map(|pong| pong.len()).collect();
        return Err(format!(
            "case {}: {replies} replies, pongs of {pongs:?} bytes, close {code:?}; wanted {:?}, {} pongs, {:?}",
            case.number,
            case.replies,
            case.pongs.len(),
            case.end
        ));
    }
    Ok(())
}

#[tokio::test]
async fn the_cases_of_the_suite_hold() {
    let hub = hub().await;
    let cases = cases::all();
    assert!(cases.len() > 300, "only {} cases", cases.len());
    let mut wrong = Vec::new();
    for group in cases.chunks(TOGETHER) {
        let runs = group.iter().map(|case| async {
            let late = |_| Err(format!("case {} does not end", case.number));
            tokio::time::timeout(PATIENCE, run(&hub, case)).await.unwrap_or_else(late)
        });
        wrong.extend(futures_util::future::join_all(runs).await.into_iter().filter_map(Result::err));
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// Goal: sections 12 and 13: compression is offered, politely declined, and the connection works without it.
#[tokio::test]
async fn compression_is_declined() {
    let hub = hub().await;
    for offer in [
        "permessage-deflate",
        "permessage-deflate; client_no_context_takeover; client_max_window_bits",
        "permessage-deflate; server_max_window_bits=9, permessage-deflate",
    ] {
        let (mut wire, answer) = Wire::offering(hub.address, offer).await;
        assert!(!answer.to_lowercase().contains("sec-websocket-extensions"), "{answer}");
        wire.send(&wire::frame(1, wire::command(2).as_bytes()), usize::MAX).await;
        wire.send(&wire::close(1000, b""), usize::MAX).await;
        let (heard, code) = wire.rest().await;
        assert_eq!((reply_count(&heard, wire::Dialect::Json), code), (2, Some(1000)));
    }
}
