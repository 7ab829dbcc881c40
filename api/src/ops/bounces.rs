//! What mail systems tell about mails of ours becomes evidence.

use domain::{DeliveryId, EvidenceKind, delivery_of_bounce};
use store::StoreError;
use store::evidence::{self, NewEvidence, RecordOutcome};
use store::mail_addresses::{self, Bounce};

use crate::app::App;
use crate::bounce::{Fate, Report};

/// What became of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is evidence now.
    AsEvidence,
    /// It was known.
    Repeated,
    /// It proves nothing: a delay, or a mail handed to somebody who reports nothing.
    Nothing,
    /// It came to no address of ours, or is about a delivery that is not known (any more).
    NotOurs,
}

/// Records a report that came to `recipient`, as far as the mail system said so. The address itself proves which
/// delivery it is about: nobody else can make it.
///
/// # Errors
/// [`StoreError::Database`].
pub(crate) async fn record(app: &App, recipient: Option<&str>, report: &Report) -> Result<Taken, StoreError> {
    let told = recipient.into_iter().chain(report.addresses.iter().map(String::as_str));
    let mut named = told.chain(report.envelope_id.as_deref());
    let found = named.find_map(|text| delivery_of_bounce(&app.receipt_key, text));
    let Some(delivery) = found else { return Ok(Taken::NotOurs) };
    let mut result = Taken::Nothing;
    for fate in &report.fates {
        let recorded = record_fate(app, delivery, fate).await?;
        if recorded != Taken::Nothing {
            result = recorded;
        }
    }
    Ok(result)
}

async fn record_fate(app: &App, delivery: DeliveryId, fate: &Fate) -> Result<Taken, StoreError> {
    let now = app.clock.now();
    let (kind, code, bounce) = match fate {
        Fate::Delivered(status) => (EvidenceKind::Delivered, format!("dsn {status}"), None),
        Fate::Failed(status) => {
            let hard = status.is_dead_address().then_some(Bounce::Hard);
            let bounce = hard.or_else(|| status.is_full().then_some(Bounce::Soft));
            (EvidenceKind::Bounced, format!("dsn {status}"), bounce)
        }
        // whoever complains about it has it
        Fate::Complained => (EvidenceKind::Delivered, "complaint".to_owned(), None),
        Fate::Open => return Ok(Taken::Nothing),
    };
    let fact =
        NewEvidence { delivery_id: delivery, kind, source: "email".to_owned(), code: code.clone(), at: now };
    let mut tx = app.store.begin().await?;
    let outcome = evidence::record(&mut tx, &fact, now).await?;
    if let (RecordOutcome::Applied { .. }, Some(bounce)) = (outcome, bounce)
        && let Some(address) = mail_addresses::of_delivery(&mut tx, delivery).await?
    {
        mail_addresses::note(&mut tx, &address, bounce, &code, now).await?;
    }
    tx.commit().await?;
    Ok(match outcome {
        RecordOutcome::Applied { .. } => Taken::AsEvidence,
        RecordOutcome::Repeated => Taken::Repeated,
        RecordOutcome::UnknownDelivery => Taken::NotOurs,
    })
}
