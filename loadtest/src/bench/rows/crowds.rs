//! Rows about connections: 5 to 8.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::super::row::Row;
use super::{Bench, ms, times, us};
use crate::connect::{self, Entered};
use crate::crew::Roll;
use crate::idle::{self, Idle};
use crate::load;
use crate::million;
use crate::process::Usage;
use crate::scenario::Entrant;
use crate::stand::{Setup, Stand};

/// Clients of one process.
const CLIENTS: u32 = 19_000;
/// Topics that there are.
const TOPICS: u32 = 1_000;
/// Most that an idle connection may take.
const BYTES_MAX: u64 = 1_500;
/// Most of a core that idle connections may take, in percent.
const CPU_PERCENT_MAX: f64 = 0.3;
/// Most that a connection may cost without the check of its token.
const CONNECT_US_MAX: f64 = 60.0;
/// Least connections a second on one core.
const CONNECTS_MIN: f64 = 8_000.0;
/// Seconds in which everybody is pinged twice.
const IDLE_SECONDS: f64 = 50.0;

impl Bench<'_> {
    pub(super) async fn memory(&self) -> Result<Row> {
        let clients = self.scaled(CLIENTS);
        let mut row = Row { is_complete: true, ..Row::default() };
        row.table.push(
            ["server", "dialect", "topics each", "connections", "bytes each", "resident bytes each"]
                .map(str::to_owned)
                .to_vec(),
        );
        let floor = Entrant::Floor { coalesce: false };
        let found = idle::rest(&floor, (clients, TOPICS, 1), Duration::ZERO, self.cores).await?;
        line(&mut row, &found);
        for wire in Self::wires() {
            for each in [1, 5] {
                let munadi = Entrant::Munadi(Setup { wire, ..self.setup()? });
                let found = idle::rest(&munadi, (clients, TOPICS, each), Duration::ZERO, self.cores).await?;
                line(&mut row, &found);
                let name = format!("{wire:?}, {each} topic{}:", if each == 1 { "" } else { "s" });
                row.promised(&name, format!("{} bytes", found.bytes_each), found.bytes_each <= BYTES_MAX);
            }
        }
        "TLS is not measured here.".clone_into(&mut row.note);
        Ok(row)
    }

    pub(super) async fn idle_cpu(&self) -> Result<Row> {
        let (clients, span) = (self.scaled(CLIENTS), Duration::from_secs_f64(self.span(IDLE_SECONDS)));
        let alone = self.empty(span).await?;
        let found = idle::rest(&self.munadi()?, (clients, TOPICS, 1), span, self.cores).await?;
        let percent = |time: Duration| time.as_secs_f64() / span.as_secs_f64() * 100.0;
        let mut row = Row { is_complete: true, ..Row::default() };
        row.table
            .push(["connections", "% of a core", "user", "kernel", "seconds"].map(str::to_owned).to_vec());
        for (clients, usage) in [(0, alone), (clients, found.usage)] {
            row.table.push(vec![
                clients.to_string(),
                format!("{:.2}", percent(usage.total)),
                format!("{:.2}", percent(usage.user)),
                format!("{:.2}", percent(usage.system)),
                format!("{:.0}", span.as_secs_f64()),
            ]);
        }
        let met = found.cpu_percent <= CPU_PERCENT_MAX;
        row.promised("idle:", format!("{:.2} % of a core", found.cpu_percent), met);
        row.stated("without connections", format!("{:.2} %", percent(alone.total)));
        Ok(row)
    }

    /// What a server takes that nobody is connected to.
    async fn empty(&self, span: Duration) -> Result<Usage> {
        let stand = Stand::munadi(&self.setup()?, self.cores).await?;
        tokio::time::sleep(Duration::from_secs(2)).await; // what starting has left behind
        let before = load::usage(&stand.target)?;
        tokio::time::sleep(span).await;
        Ok(load::usage(&stand.target)?.since(before))
    }

    pub(super) async fn connects(&self) -> Result<Row> {
        let roll = Roll {
            clients: self.scaled(10_000),
            topics: TOPICS,
            topics_each: 1,
            topics_all: Vec::new(),
            processes: 1,
            in_flight: 256,
            stalled: 0,
        };
        let setup = self.setup()?;
        let own = Setup { own_tokens: true, ..setup.clone() };
        let entrants = [
            ("floor", Entrant::Floor { coalesce: false }),
            ("munadi, HS256", Entrant::Munadi(setup)),
            ("munadi, EdDSA", Entrant::Munadi(own)),
        ];
        let mut all: Vec<Vec<Entered>> = vec![Vec::new(); entrants.len()];
        for _ in 0..self.plan.rounds.max(1) {
            for ((name, entrant), rounds) in entrants.iter().zip(&mut all) {
                let mut entered = connect::enter(entrant, &roll, self.cores).await?;
                (*name).clone_into(&mut entered.server);
                rounds.push(entered);
            }
        }
        let checks = connect::checks()?;
        let mut row = Row { is_complete: true, ..Row::default() };
        row.table.push(
            ["server", "us/connection", "connections/s", "per core second", "p50", "p99", "generator's CPU"]
                .map(str::to_owned)
                .to_vec(),
        );
        for one in all.iter().map(|rounds| connect::median(rounds)) {
            row.table.push(vec![
                one.server.clone(),
                us(one.us_each),
                format!("{:.0}", one.per_second),
                format!("{:.0}", one.per_cpu_second),
                ms(one.latency.p50_ms),
                ms(one.latency.p99_ms),
                format!("{:.2} s", one.generator.as_secs_f64()),
            ]);
        }
        let munadi = connect::median(all.get(1).context("it was measured")?);
        let besides = munadi.us_each - checks.hs256_us;
        row.promised("cost", format!("{besides:.0} us besides the check"), besides <= CONNECT_US_MAX);
        row.stated("check", format!("{:.1} us (HS256), {:.1} us (EdDSA)", checks.hs256_us, checks.eddsa_us));
        row.promised("rate", format!("{:.0}/s", munadi.per_second), munadi.per_second >= CONNECTS_MIN);
        Ok(row)
    }

    pub(super) async fn million(&self) -> Result<Row> {
        let all = if self.plan.full { 1_000_000 } else { 2 * CLIENTS };
        let plan = million::Plan {
            own: self.plan.own.clone(),
            cores: self.cores.clone(),
            clients: self.scaled(all),
            per_process: self.scaled(CLIENTS),
            broadcasts: 3,
            in_flight: 512,
            ping_ms: 300_000,
        };
        let reached = million::reach_both(&plan, self.cores).await?;
        let mut row = Row { is_complete: true, ..Row::default() };
        let head =
            ["server", "processes", "connections", "entering", "broadcasts", "us/delivery", "p50", "p99"];
        let head = head.into_iter().chain(["user memory", "bytes each", "kernel slabs", "TCP buffers"]);
        row.table.push(head.map(str::to_owned).collect());
        for one in &reached {
            let broadcasts: Vec<String> = one.broadcasts.iter().map(|(s, _)| format!("{s:.2} s")).collect();
            row.table.push(vec![
                one.server.clone(),
                one.processes.to_string(),
                one.clients.to_string(),
                format!("{:.0} s", one.entering_s),
                broadcasts.join(", "),
                us(one.us_per_delivery),
                ms(one.latency.p50_ms),
                ms(one.latency.p99_ms),
                format!("{} MiB", one.memory.anonymous >> 20),
                (one.memory.anonymous / u64::from(one.clients)).to_string(),
                format!("{} MiB", one.slab_bytes >> 20),
                format!("{} MiB", one.tcp_bytes >> 20),
            ]);
            let wanted = u64::from(one.clients);
            row.is_complete &= one.broadcasts.iter().all(|(_, received)| *received == wanted);
            row.is_complete &= one.faults == (0, 0, 0);
        }
        let munadi = reached.last().context("it was measured")?;
        let lost: u64 =
            munadi.broadcasts.iter().map(|(_, received)| u64::from(munadi.clients) - received).sum();
        row.promised("lost:", format!("{lost} of {} connections", munadi.clients), lost == 0);
        if let [floor, munadi] = &reached[..] {
            let factor = munadi.median_s() / floor.median_s();
            let took = format!("{:.2} s ({} floor)", munadi.median_s(), times(factor));
            row.promised("broadcast", took, factor <= 1.5);
        }
        row.stated("user memory", format!("{} MiB", munadi.memory.anonymous >> 20));
        if !self.plan.full {
            "Not in full size: `make bench-full` measures the million.".clone_into(&mut row.note);
        }
        Ok(row)
    }
}

fn line(row: &mut Row, found: &Idle) {
    row.table.push(vec![
        found.server.clone(),
        format!("{:?}", found.wire),
        found.topics_each.to_string(),
        found.clients.to_string(),
        found.bytes_each.to_string(),
        (found.memory.resident / u64::from(found.clients)).to_string(),
    ]);
}
