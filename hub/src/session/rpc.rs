//! `rpc`: `ack` confirms a delivery, `time` tells the time.

use std::borrow::Cow;

use domain::{DeliveryId, DeliveryState};
use protocol::centrifuge::Payload;
use protocol::centrifuge::command::RpcRequest;
use protocol::centrifuge::reply::Answer;
use protocol::codes::ErrorCode;
use serde::Deserialize;

use super::{Confirmation, Fault, Out, World};

/// Arguments of `ack`.
#[derive(Deserialize)]
struct Ack<'a> {
    delivery_id: DeliveryId,
    #[serde(borrow)]
    code: Cow<'a, str>,
    state: DeliveryState,
}

/// Runs a procedure. None needs to know who asks: a confirmation proves itself by its code.
pub(super) fn run(id: u32, request: &RpcRequest<'_>, world: &World<'_>, out: &mut Out) -> Result<(), Fault> {
    match &*request.method {
        "ack" => {
            out.confirmations.push(read_ack(id, request.data.as_ref(), world)?);
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

/// Who knows the delivery's code may confirm it, whoever they are.
fn read_ack(command: u32, data: Option<&Payload<'_>>, world: &World<'_>) -> Result<Confirmation, ErrorCode> {
    let data = data.ok_or(ErrorCode::BadRequest)?;
    let ack: Ack<'_> = serde_json::from_slice(data.as_bytes()).map_err(|_| ErrorCode::BadRequest)?;
    if !matches!(ack.state, DeliveryState::Delivered | DeliveryState::Opened) {
        return Err(ErrorCode::BadRequest);
    }
    if !world.authority.confirms(ack.delivery_id, &ack.code) {
        return Err(ErrorCode::PermissionDenied);
    }
    Ok(Confirmation { command, delivery: ack.delivery_id, state: ack.state })
}
