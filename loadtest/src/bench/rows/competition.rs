//! Rows that compare what a delivery costs: 1 to 4, 10 and 11.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::super::row::{Curve, Row};
use super::{Bench, ms, times, us};
use crate::crew::Roll;
use crate::generator::Wire;
use crate::load::{Load, Measured, Ready, float};
use crate::scenario::{self, Entrant};
use crate::stand::Stand;
use crate::target::WayKind;

/// Latest p99 of row 2.
const ROW_2_P99_MS: f64 = 150.0;
/// Stalled readers of row 10 are closed within so many seconds.
const CLOSED_WITHIN: Duration = Duration::from_secs(30);
/// What the server counts when connections end.
const DISCONNECTS: &str = "hub_disconnects_total";

impl Bench<'_> {
    fn load(&self, clients: u32, topics: u32, per_second: f64, at_once: u32) -> Load {
        Load {
            roll: Roll {
                clients: self.scaled(clients),
                topics: if topics == 1 { 1 } else { self.scaled(clients) / (clients / topics) },
                topics_each: 1,
                topics_all: Vec::new(),
                processes: 1,
                in_flight: 256,
                stalled: 0,
            },
            per_second,
            at_once,
            bytes: 128,
            warm: Duration::from_secs_f64(self.span(2.0)),
            span: Duration::from_secs_f64(self.span(10.0)),
            lines: 4,
        }
    }

    async fn compete(&self, entrants: &[Entrant], load: &Load) -> Result<Vec<Vec<Measured>>> {
        scenario::compete(entrants, load, self.plan.rounds.max(1), self.cores).await
    }

    pub(super) async fn one_topic(&self) -> Result<Row> {
        let entrants = [Entrant::Floor { coalesce: false }, self.munadi()?];
        let all = self.compete(&entrants, &self.load(10_000, 1, 4.0, 1)).await?;
        let (floor, munadi) = (middle(&all, 0)?, middle(&all, 1)?);
        let mut row = table("1. one topic, 4 messages/s", &all);
        let cost = munadi.us_per_delivery / floor.us_per_delivery;
        row.promised("cost", format!("{} floor", times(cost)), cost <= 1.25);
        let late = munadi.latency.p99_ms / floor.latency.p99_ms;
        row.promised(
            "p99",
            format!("{} ({} the floor's)", ms(munadi.latency.p99_ms), times(late)),
            late <= 1.25,
        );
        Ok(row)
    }

    pub(super) async fn more_than_writes(&self) -> Result<Row> {
        let entrants =
            [Entrant::Floor { coalesce: false }, Entrant::Floor { coalesce: true }, self.munadi()?];
        let all = self.compete(&entrants, &self.load(10_000, 1, 20.0, 1)).await?;
        let (floor, munadi) = (middle(&all, 0)?, middle(&all, 2)?);
        let mut row = table("2. one topic, 20 messages/s", &all);
        let rate = format!("{:.0} of {:.0} deliveries/s", munadi.per_second, munadi.offered_per_second);
        row.promised("keeps up:", rate, munadi.keeps_up);
        row.promised("p99", ms(munadi.latency.p99_ms), munadi.latency.p99_ms < ROW_2_P99_MS);
        let cost = munadi.us_per_delivery / floor.us_per_delivery;
        row.promised("cost", format!("{} floor", times(cost)), cost <= 0.8);
        Ok(row)
    }

    pub(super) async fn bursts(&self) -> Result<Row> {
        let load = self.load(5_000, 1, 1.0, 200);
        let few = Load { warm: Duration::ZERO, span: Duration::from_secs(2), ..load.clone() };
        let floor = [Entrant::Floor { coalesce: false }];
        let mut all = scenario::compete(&floor, &few, 1, self.cores).await?;
        let entrants = [Entrant::Floor { coalesce: true }, self.munadi()?];
        all.extend(self.compete(&entrants, &load).await?);
        let munadi = middle(&all, 2)?;
        let mut row = table("3. bursts", &all);
        let per_second = 1.0 / munadi.us_per_delivery;
        row.promised("cost", us(munadi.us_per_delivery), munadi.us_per_delivery <= 0.15);
        row.promised("throughput", format!("{per_second:.1} million/s per core"), per_second >= 6.0);
        Ok(row)
    }

    pub(super) async fn many_topics(&self) -> Result<Row> {
        let setup = self.setup()?;
        let by_http = crate::stand::Setup { way: WayKind::Centrifugo, ..setup.clone() };
        let entrants = [Entrant::Floor { coalesce: false }, Entrant::Munadi(setup), Entrant::Munadi(by_http)];
        let mut load = self.load(10_000, 1_000, 2_000.0, 1);
        load.per_second = f64::from(load.roll.topics) * 2.0;
        let mut all = self.compete(&entrants, &load).await?;
        for measured in &mut all[2] {
            "munadi, HTTP".clone_into(&mut measured.server);
        }
        let (floor, munadi, http) = (middle(&all, 0)?, middle(&all, 1)?, middle(&all, 2)?);
        let mut row = table("4. many topics", &all);
        let cost = munadi.us_per_delivery / floor.us_per_delivery;
        row.promised("cost", format!("{} floor", times(cost)), cost <= 1.3);
        let late = munadi.latency.p99_ms / floor.latency.p99_ms;
        row.promised(
            "p99",
            format!("{} ({} the floor's)", ms(munadi.latency.p99_ms), times(late)),
            late <= 2.0,
        );
        row.stated("over HTTP", format!("{} floor", times(http.us_per_delivery / floor.us_per_delivery)));
        Ok(row)
    }

    pub(super) async fn stalled(&self) -> Result<Row> {
        let quiet = self.load(1_000, 1, 4.0, 1);
        let unloaded = self.compete(&[self.munadi()?], &quiet).await?;
        let before = middle(&unloaded, 0)?.clone();
        let maximum = 1e6 / before.us_per_delivery / f64::from(quiet.roll.clients);
        let mut half =
            Load { per_second: maximum / 2.0, span: Duration::from_secs_f64(self.span(15.0)), ..quiet };
        half.roll.stalled = (half.roll.clients / 100).max(1);
        let stand = Stand::munadi(&self.setup()?, self.cores).await?;
        let mut ready = Ready::enter(&stand.target, &half, self.cores).await?;
        let mut loaded = ready.measure(half.span).await?;
        "munadi, half load".clone_into(&mut loaded.server);
        let closed = self.closed(&stand, half.roll.stalled).await?;
        let late = loaded.latency.p99_ms / before.latency.p99_ms;
        let mut row = table("10. half load with stalled readers", &[vec![before], vec![loaded.clone()]]);
        row.promised("p99", format!("{} ({} unloaded)", ms(loaded.latency.p99_ms), times(late)), late <= 2.0);
        let all_closed = closed >= f64::from(half.roll.stalled);
        row.promised("closed:", format!("{closed} of {} stalled readers", half.roll.stalled), all_closed);
        row.stated("at", format!("{:.0} deliveries/s", loaded.offered_per_second));
        Ok(row)
    }

    /// How many connections the server has ended by itself, when it is `wanted` or too late.
    async fn closed(&self, stand: &Stand, wanted: u32) -> Result<f64> {
        let deadline = tokio::time::Instant::now() + CLOSED_WITHIN;
        loop {
            let all = stand.metric(DISCONNECTS, "").await?;
            let ended = all - stand.metric(DISCONNECTS, "code=\"left\"").await?;
            if ended >= f64::from(wanted) || tokio::time::Instant::now() > deadline {
                return Ok(ended);
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    pub(super) async fn shards(&self) -> Result<Row> {
        let both = self.cores.together();
        let load = self.load(10_000, 1, 4.0, 1);
        let entrant = |shards| -> Result<Entrant> {
            Ok(Entrant::Munadi(crate::stand::Setup { shards, ..self.setup()? }))
        };
        let entrants = [entrant(1)?, entrant(2)?];
        let mut all = scenario::compete(&entrants, &load, self.plan.rounds.max(1), &both).await?;
        for (measured, name) in all.iter_mut().zip(["munadi, 1 shard", "munadi, 2 shards"]) {
            for one in measured {
                name.clone_into(&mut one.server);
            }
        }
        let (one, two) = (middle(&all, 0)?, middle(&all, 1)?);
        let messages = float(two.received) / f64::from(load.roll.clients);
        let generator_ms =
            two.generator.as_secs_f64() * 1_000.0 / messages.max(1.0) / float(both.server.len() as u64);
        let factor = one.latency.p99_ms / (two.latency.p99_ms - generator_ms).max(0.001);
        let mut row = table("11. shards", &all);
        row.promised("speed", times(factor), factor >= 1.8);
        row.stated(
            "a message to all takes",
            format!("{} and {}", ms(one.latency.p99_ms), ms(two.latency.p99_ms)),
        );
        row.stated("of which the generator", ms(generator_ms));
        Ok(row)
    }

    /// The lanes and dialects of `mixed` belong to no row, but the wires of row 5 do.
    pub(super) fn wires() -> [Wire; 3] {
        [Wire::CentrifugeJson, Wire::CentrifugeProtobuf, Wire::Pusher]
    }
}

/// The measurement in the middle of entrant `number`.
fn middle(all: &[Vec<Measured>], number: usize) -> Result<&Measured> {
    all.get(number).and_then(|one| scenario::median(one)).context("nothing was measured")
}

/// A row with everything that was measured in its table, and the middle ones in its plots.
fn table(group: &str, all: &[Vec<Measured>]) -> Row {
    let head = [
        "server",
        "us/delivery",
        "x floor",
        "of it in the kernel",
        "deliveries/s",
        "offered",
        "p50",
        "p99",
        "max",
    ];
    let head =
        head.into_iter().chain(["server's CPU", "generator's CPU", "missing", "gaps", "repeated", "closed"]);
    let mut row = Row { is_complete: true, ..Row::default() };
    row.table.push(head.map(str::to_owned).collect());
    let floor = all.first().and_then(|one| scenario::median(one)).filter(|one| one.server == "floor");
    for rounds in all {
        let Some(one) = scenario::median(rounds) else { continue };
        let per_cent =
            |time: Duration| format!("{:.0} %", time.as_secs_f64() / one.took_s.max(0.001) * 100.0);
        let kernel =
            one.usage.system.as_secs_f64() / (one.usage.user + one.usage.system).as_secs_f64().max(0.001);
        row.table.push(vec![
            format!("{} ({} rounds)", one.server, rounds.len()),
            format!("{:.3}", one.us_per_delivery),
            floor.map_or_else(String::new, |floor| {
                format!("{:.2}", one.us_per_delivery / floor.us_per_delivery)
            }),
            format!("{:.0} %", kernel * 100.0),
            format!("{:.0}", one.per_second),
            format!("{:.0}", one.offered_per_second),
            ms(one.latency.p50_ms),
            ms(one.latency.p99_ms),
            ms(one.latency.max_ms),
            per_cent(one.usage.total),
            per_cent(one.generator),
            one.wanted.saturating_sub(one.received).to_string(),
            one.gaps.to_string(),
            one.repeated.to_string(),
            one.closed.to_string(),
        ]);
        row.curves.push(Curve::of(group, one));
        for one in rounds {
            row.is_complete &=
                one.received == one.wanted && one.gaps == 0 && one.repeated == 0 && one.closed == 0;
        }
    }
    row
}
