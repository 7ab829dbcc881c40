//! Emergencies before everything else.

use std::sync::Arc;
use std::time::Duration;

use domain::{Channel, DeliveryState, Lane};

use crate::gateway::Scripted;
use crate::rig::{Rig, delivery_id};

on_both_backends!(
    an_emergency_overtakes_a_backlog_of_promotions,
    promotions_wait_until_the_emergency_is_proved
);

const HOUR: Duration = Duration::from_hours(1);

async fn an_emergency_overtakes_a_backlog_of_promotions(mut rig: Rig) {
    rig.people(40).await;
    rig.apns = Arc::new(Scripted::held());
    rig.config.deliver.apns.concurrency = 2;
    rig.config.deliver.apns.batch = 2;
    rig.start().await;
    let promotion = rig.announce(Lane::Promotional, HOUR).await;
    rig.until_counts(promotion, 120, |counts| {
        counts.of(Channel::Apns, DeliveryState::Sending) == 2 && counts.sum() == 120
    })
    .await;
    let emergency = rig.announce(Lane::Emergency, HOUR).await;
    rig.until_counts(emergency, 160, |counts| counts.sum() == 160).await;
    rig.apns.let_pass(1_000_000);
    rig.until_counts(emergency, 160, |counts| counts.of(Channel::Apns, DeliveryState::Accepted) == 40).await;
    let sent = rig.apns.sent();
    let last = sent.iter().rposition(|one| one.lane == Lane::Emergency).unwrap();
    let promotions = sent[..last].iter().filter(|one| one.lane == Lane::Promotional).count();
    assert!(promotions <= 6, "{promotions} promotions went before the last emergency");
    rig.stop().await;
}

async fn promotions_wait_until_the_emergency_is_proved(mut rig: Rig) {
    rig.people(5).await;
    rig.start().await;
    let emergency = rig.announce(Lane::Emergency, HOUR).await;
    rig.until_counts(emergency, 20, |counts| counts.sum() == 20 && counts.under_way() == 0).await;
    let promotion = rig.announce(Lane::Promotional, HOUR).await;
    rig.until_counts(promotion, 15, |counts| counts.sum() == 15).await;
    let mut proved: Vec<_> = rig.socket_messages(emergency).await.iter().map(delivery_id).collect();
    for gateway in [&rig.apns, &rig.fcm, &rig.email] {
        proved.extend(
            gateway.sent().iter().filter(|one| one.lane == Lane::Emergency).map(|one| one.delivery_id),
        );
    }
    assert_eq!(proved.len(), 20);
    rig.confirm(&proved[..19], "delivered").await;
    rig.until_counts(emergency, 20, |counts| counts.open() == 1).await;
    let counts = rig.counts(promotion).await;
    assert_eq!(counts.under_way(), 15, "one person has no proof yet: {counts:?}");
    rig.confirm(&proved[19..], "delivered").await;
    rig.until_counts(promotion, 15, |counts| counts.under_way() == 0).await;
    rig.stop().await;
}
