//! A wrong key, and its mending while the process runs: the real adapter against the stand-in of its provider.

use std::time::Duration;

use domain::{Channel, DeliveryState, Lane};
use service::Lifecycle;
use store::devices::{self, NewDevice, Platform, TokenKind};
use store::lane_pauses;
use testkit::apns::{Apns, ApnsOptions};
use testkit::ca::Ca;
use tokio::time::Instant;
use workers::Gateways;

use crate::rig::Rig;

on_both_backends!(a_wrong_key_burns_nobody_and_a_right_one_is_taken_without_a_restart);

const PHONES: usize = 20;

async fn a_wrong_key_burns_nobody_and_a_right_one_is_taken_without_a_restart(mut rig: Rig) {
    let folder = tempfile::tempdir().unwrap();
    let ca = Ca::generate();
    let apple = Apns::start(&ca, ApnsOptions::default()).await.unwrap();
    let key_file = folder.path().join("apns.p8");
    std::fs::write(&key_file, testkit::apns::signing_key()).unwrap();
    rig.config.credentials_ms = 100;
    let config = &mut rig.config.apns;
    config.base_url = apple.base_url();
    config.ca_file = Some(ca.write(folder.path()).unwrap());
    config.key_file = Some(key_file.clone());
    config.key_id.clone_from(&apple.options().key_id);
    config.team_id.clone_from(&apple.options().team_id);
    config.topic.clone_from(&apple.options().topic);

    for (index, user) in rig.people(PHONES).await.into_iter().enumerate() {
        let phone = NewDevice {
            user_id: user,
            installation_id: format!("apns-installation-{}", index + 1),
            platform: Platform::Ios,
            token_kind: TokenKind::Apns,
            token: format!("{index:064x}"),
            locale: "en".to_owned(),
            app_version: "1.0".to_owned(),
        };
        let mut tx = rig.store.begin().await.unwrap();
        devices::register(&mut tx, &phone, rig.clock.now()).await.unwrap();
        tx.commit().await.unwrap();
    }
    let gateways = Gateways::from_config(&rig.config, &rig.clock, &Lifecycle::new()).unwrap();
    rig.start_with(gateways).await;
    let announced_at = Instant::now();
    let id = rig.announce(Lane::Emergency, Duration::from_hours(1)).await;
    rig.until("the lane stands still", async || {
        let pauses = lane_pauses::list(&rig.store).await.unwrap();
        pauses.iter().any(|one| one.channel == Channel::Apns && one.reason == "InvalidProviderToken")
    })
    .await;
    assert!(announced_at.elapsed() < Duration::from_secs(5), "{:?}", announced_at.elapsed());
    assert!(apple.received(0).is_empty() || apple.received(0).iter().all(|push| push.outcome != "accepted"));

    std::fs::write(&key_file, apple.signing_key_pem()).unwrap();
    let mended_at = Instant::now();
    rig.until("everybody has it", async || {
        rig.counts(id).await.of(Channel::Apns, DeliveryState::Accepted) == PHONES as u64
    })
    .await;
    println!("mended after {:?}", mended_at.elapsed());
    assert!(mended_at.elapsed() < Duration::from_secs(5), "{:?}", mended_at.elapsed());
    rig.until("the lane goes on", async || lane_pauses::list(&rig.store).await.unwrap().is_empty()).await;
    rig.stop().await;
}
