//! Recovery against a model that forgets nothing: what is said to be recovered is exactly what was missed.

use std::time::Duration;

use bytes::Bytes;
use domain::{Lane, PublicationId, Timestamp, Topic};
use proptest::prelude::*;
use streams::{Entry, Epoch, NewPublication, PartitionState};

use super::partition::{Applied, Budget, Hole, PartitionHistory};
use super::recovery::{Recovery, Wish};
use crate::publication::Item;

fn at(second: u64) -> Timestamp {
    Timestamp::from_microsecond(1_784_145_600_000_000).unwrap() + Duration::from_secs(second)
}

fn topic(number: u8) -> Topic {
    Topic::new(format!("t{number}")).unwrap()
}

fn epoch(number: u64) -> Epoch {
    Epoch(format!("e{number}").into())
}

/// The log as it should be: it knows all that ever was, and what of it is retained.
struct Model {
    epoch: u64,
    trimmed: u64,
    entries: Vec<(u64, u8, Entry)>,
}

impl Model {
    fn new() -> Self {
        Self { epoch: 0, trimmed: 0, entries: Vec::new() }
    }

    fn last(&self) -> u64 {
        self.entries.len() as u64
    }

    fn append(&mut self, number: u8, second: u64) {
        let offset = self.last() + 1;
        let before = self.entries.iter().rev().find(|one| one.1 == number && one.0 > self.trimmed);
        let (prev, first) = before.map_or((self.trimmed, true), |one| (one.0, false));
        let publication = NewPublication {
            id: PublicationId(uuid::Uuid::from_u128(u128::from(offset))),
            topic: topic(number),
            data: Bytes::from(format!("{offset}")),
            lane: Lane::Standard,
            change: None,
            attributes: None,
            at: at(second),
        };
        self.entries.push((offset, number, Entry { partition: 0, offset, prev, first, publication }));
    }

    fn state(&self) -> PartitionState {
        PartitionState { epoch: epoch(self.epoch), last: self.last(), trimmed: self.trimmed }
    }

    fn after(&self, number: u8, offset: u64) -> Vec<(u64, Bytes)> {
        self.entries
            .iter()
            .filter(|one| one.1 == number && one.0 > offset)
            .map(|one| (one.0, one.2.publication.data.clone()))
            .collect()
    }
}

fn item(entry: &Entry) -> Item {
    Item { offset: entry.offset, data: entry.publication.data.clone(), attributes: None }
}

fn plain(page: &[Item]) -> Vec<(u64, Bytes)> {
    page.iter().map(|item| (item.offset, item.data.clone())).collect()
}

fn budget() -> Budget {
    Budget { publications_max: 5, age_max: Duration::from_secs(50), bytes_max: 1500, topics_max: 4 }
}

fn catch_up(history: &mut PartitionHistory, model: &Model, entries_max: usize, second: u64) {
    let from = usize::try_from(history.applied).unwrap();
    for (_, _, entry) in model.entries.iter().skip(from).take(entries_max) {
        history.apply(entry, item(entry), at(second)).unwrap();
    }
}

#[derive(Debug, Clone)]
enum Step {
    Append(u8),
    Read(usize),
    Trim(u64),
    Reset,
    Wait(u64),
    Restart,
    Recover { topic: u8, offset: u64, stale_epoch: bool },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..6_u8).prop_map(Step::Append),
        3 => (1..6_usize).prop_map(Step::Read),
        1 => (0..4_u64).prop_map(Step::Trim),
        1 => Just(Step::Reset),
        1 => (1..30_u64).prop_map(Step::Wait),
        1 => Just(Step::Restart),
        6 => (0..6_u8, 0..60_u64, prop::bool::weighted(0.1))
            .prop_map(|(topic, offset, stale_epoch)| Step::Recover { topic, offset, stale_epoch }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Goal: a client is never left silently behind, and one that provably missed little is brought up to date.
    #[test]
    fn recovered_means_everything(steps in prop::collection::vec(step(), 1..120)) {
        let mut model = Model::new();
        let mut history = PartitionHistory::new(epoch(0), 0, budget());
        let (mut second, mut turn) = (0, 0);
        for step in steps {
            match step {
                Step::Append(number) => model.append(number, second),
                Step::Read(entries_max) if history.applied >= model.trimmed => {
                    catch_up(&mut history, &model, entries_max, second);
                }
                Step::Read(_) => { history.restart(&model.state()); }
                Step::Trim(keep) => model.trimmed = model.trimmed.max(model.last().saturating_sub(keep)),
                Step::Reset => {
                    model = Model { epoch: model.epoch + 1, ..Model::new() };
                    history.restart(&model.state());
                }
                Step::Wait(seconds) => second += seconds,
                Step::Restart => {
                    history = PartitionHistory::new(epoch(model.epoch), model.trimmed, budget());
                    history.turn = turn;
                }
                Step::Recover { topic: number, offset, stale_epoch } => {
                    let wanted = if stale_epoch { "gone" } else { &*history.epoch.0 };
                    let answer = history.recover(&topic(number), (wanted, offset), 3, at(second));
                    let mut missed = model.after(number, offset);
                    missed.retain(|one| one.0 <= history.applied);
                    match answer {
                        _ if stale_epoch => prop_assert!(matches!(answer, Recovery::Unrecovered)),
                        Recovery::Ahead => prop_assert!(offset > history.applied),
                        // the genesis proof promises the beginning that the log knows of
                        Recovery::Recovered(page) if offset == 0 => {
                            prop_assert!(missed.ends_with(&plain(&page)));
                            prop_assert!(page.len() == missed.len() || page.is_empty()
                                || model.entries[usize::try_from(page[0].offset).unwrap() - 1].2.first);
                        }
                        Recovery::Recovered(page) => prop_assert_eq!(plain(&page), missed),
                        Recovery::Unrecovered => {
                            prop_assert!(offset <= history.applied);
                            let page = history.page(&topic(number), Wish { since: Some(offset), limit: 9, reverse: false }, at(second));
                            let small = missed.len() <= 3 && plain(&page) == missed;
                            let known = offset >= history.floor && history.topic(&topic(number)).is_none_or(|known| known.floor <= offset);
                            prop_assert!(!(small && known), "position {} was provably recoverable", offset);
                        }
                    }
                }
            }
            prop_assert!(history.bytes() <= 1500 && history.topics() <= 4);
            prop_assert!(history.turn >= turn);
            turn = history.turn;
        }
    }

    /// Goal: a snapshot and the live entries after its turn are together what the log has, at every interleaving.
    #[test]
    fn snapshots_join_the_live_stream(
        topics in prop::collection::vec(0..3_u8, 1..40), snapshot_at in 0..40_usize, offset in 0..40_u64,
    ) {
        let mut model = Model::new();
        for number in topics {
            model.append(number, 0);
        }
        let wide = Budget { publications_max: 100, bytes_max: 100_000, ..budget() };
        let mut history = PartitionHistory::new(epoch(0), 0, wide);
        let mut live = Vec::new();
        let mut answer = None;
        for (index, (_, number, entry)) in model.entries.iter().enumerate() {
            if index == snapshot_at {
                answer = Some((history.recover(&topic(0), ("", offset), 100, at(0)), history.turn));
            }
            let Ok(Applied::Now { turn, .. }) = history.apply(entry, item(entry), at(0)) else { panic!() };
            if *number == 0 { live.push((turn, entry.offset)); }
        }
        let Some((Recovery::Recovered(page), from)) = answer else { return Ok(()) };
        // the shard's inbox may still have every entry before the snapshot: the turn tells them apart
        let seen: Vec<u64> = page.iter().map(|one| one.offset)
            .chain(live.iter().filter(|one| one.0 > from).map(|one| one.1))
            .collect();
        let expected: Vec<u64> = model.after(0, offset).into_iter().map(|one| one.0).collect();
        prop_assert_eq!(seen, expected);
    }
}

#[test]
fn the_four_proofs() {
    let mut model = Model::new();
    for number in [1, 2, 1, 1] {
        model.append(number, 0);
    }
    let mut history = PartitionHistory::new(epoch(0), 0, budget());
    catch_up(&mut history, &model, 10, 0);
    let recover = |history: &PartitionHistory, number, offset| {
        history.recover(&topic(number), ("e0", offset), 10, at(0))
    };
    let offsets = |answer| match answer {
        Recovery::Recovered(page) => page.into_iter().map(|one| one.offset).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(offsets(recover(&history, 1, 1)), [3, 4], "retention");
    assert_eq!(offsets(recover(&history, 9, 3)), [0; 0], "retention of a topic without entries");
    assert_eq!(offsets(recover(&history, 1, 0)), [1, 3, 4], "genesis");

    let mut late = PartitionHistory::new(epoch(0), 2, budget()); // began after entry 2
    catch_up(&mut late, &model, 10, 0);
    assert_eq!(offsets(recover(&late, 1, 1)), [3, 4], "chain: entry 3 links to entry 1");
    assert!(matches!(recover(&late, 1, 0), Recovery::Unrecovered), "entry 1 is unknown here");
    assert!(matches!(recover(&late, 2, 1), Recovery::Unrecovered), "entry 2 is unknown here");
    assert_eq!(offsets(recover(&late, 1, 4)), [0; 0], "quiet");
    assert!(matches!(recover(&late, 1, 5), Recovery::Ahead));
}

#[test]
fn size_and_age_bound_recovery() {
    let mut model = Model::new();
    (0..7).for_each(|second| model.append(1, second * 10));
    let mut history = PartitionHistory::new(epoch(0), 0, budget());
    catch_up(&mut history, &model, 10, 0);
    let recover = |offset, second| history.recover(&topic(1), ("", offset), 3, at(second));
    assert!(matches!(recover(1, 0), Recovery::Unrecovered), "entry 2 has left the ring");
    assert!(matches!(recover(3, 0), Recovery::Unrecovered), "four are more than one answer may have");
    assert!(matches!(recover(4, 60), Recovery::Recovered(page) if page.len() == 3));
    assert!(matches!(recover(4, 91), Recovery::Unrecovered), "entry 5 is older than 50 s");
}

#[test]
fn a_hole_in_the_log_is_noticed() {
    let mut model = Model::new();
    (0..3).for_each(|_| model.append(1, 0));
    let mut history = PartitionHistory::new(epoch(0), 0, budget());
    let entry = &model.entries[1].2;
    assert_eq!(history.apply(entry, item(entry), at(0)), Err(Hole { applied: 0, found: 2 }));
    catch_up(&mut history, &model, 2, 0);
    assert_eq!(history.apply(entry, item(entry), at(0)), Ok(Applied::Before), "a repetition changes nothing");
}

#[test]
fn pages_go_both_ways() {
    let mut model = Model::new();
    (0..5).for_each(|_| model.append(1, 0));
    let mut history = PartitionHistory::new(epoch(0), 0, budget());
    catch_up(&mut history, &model, 10, 0);
    let page = |since, limit, reverse| -> Vec<u64> {
        history
            .page(&topic(1), Wish { since, limit, reverse }, at(0))
            .into_iter()
            .map(|one| one.offset)
            .collect()
    };
    assert_eq!(page(None, 2, false), [1, 2]);
    assert_eq!(page(Some(2), 9, false), [3, 4, 5]);
    assert_eq!(page(None, 2, true), [5, 4]);
    assert_eq!(page(Some(3), 9, true), [2, 1]);
}
