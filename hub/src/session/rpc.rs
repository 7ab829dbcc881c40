//! `rpc`: `ack` confirms a delivery, `time` tells the time. (`presence` is with its relatives.)

use std::borrow::Cow;

use domain::{DeliveryId, DeliveryState};
use protocol::centrifuge::Payload;
use protocol::centrifuge::command::{RpcRequest, SendRequest};
use protocol::centrifuge::reply::Answer;
use protocol::codes::{DisconnectCode, ErrorCode};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Confirmation, Fault, Out, Proof, World};

/// Arguments of `ack`.
#[derive(Deserialize)]
struct Ack<'a> {
    delivery_id: DeliveryId,
    #[serde(borrow)]
    code: Cow<'a, str>,
    state: DeliveryState,
}

/// A message with a confirmation.
#[derive(Deserialize)]
struct Sent<'a> {
    #[serde(borrow)]
    ack: &'a RawValue,
}

/// Runs a procedure. None needs to know who asks: a confirmation proves itself by its code.
pub(super) fn run(id: u32, request: &RpcRequest<'_>, world: &World<'_>, out: &mut Out) -> Result<(), Fault> {
    match &*request.method {
        "ack" => {
            let data = request.data.as_ref().ok_or(ErrorCode::BadRequest)?;
            let ack = serde_json::from_slice(data.as_bytes()).map_err(|_| ErrorCode::BadRequest)?;
            out.confirmations.push(confirm(Some(id), &ack, world)?);
            Ok(())
        }
        "time" => {
            let now = world.now;
            let answer = format!(r#"{{"time":"{now}","unix_ms":{}}}"#, now.as_microsecond() / 1000);
            out.answer(id, Answer::Rpc(Some(Payload::trusted(answer.as_bytes()))));
            Ok(())
        }
        // as Centrifugo answers without a back end for procedures: a name before a colon is that of a group that is not
        // there, and without one there is nobody to ask
        method if method.contains(':') => Err(ErrorCode::MethodNotFound.into()),
        _ => Err(ErrorCode::NotAvailable.into()),
    }
}

/// Takes a message that nobody waits for: `{"ack": …}` confirms as the procedure does, and what is wrong with it is only
/// counted. Any other message is for nobody here.
pub(super) fn send(request: &SendRequest<'_>, world: &World<'_>, out: &mut Out) -> Result<(), Fault> {
    let data = request.data.as_ref().map_or(&b""[..], |data| data.as_bytes());
    let Ok(Sent { ack }) = serde_json::from_slice::<Sent<'_>>(data) else {
        return Err(DisconnectCode::NotAvailable.into());
    };
    let ack = serde_json::from_str(ack.get()).map_err(|_| ErrorCode::BadRequest);
    match ack.and_then(|ack| confirm(None, &ack, world)) {
        Ok(confirmation) => out.confirmations.push(confirmation),
        Err(code) => world.metrics.refusal(code),
    }
    Ok(())
}

/// Who knows the delivery's code may confirm it, whoever they are.
fn confirm(command: Option<u32>, ack: &Ack<'_>, world: &World<'_>) -> Result<Confirmation, ErrorCode> {
    if !matches!(ack.state, DeliveryState::Delivered | DeliveryState::Opened) {
        return Err(ErrorCode::BadRequest);
    }
    if !world.authority.confirms(ack.delivery_id, &ack.code) {
        return Err(ErrorCode::PermissionDenied);
    }
    Ok(Confirmation { command, delivery: ack.delivery_id, state: ack.state, proof: Proof::Word })
}
