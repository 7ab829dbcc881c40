//! Rows about bad moments: 9 and 12.

use anyhow::Result;

use super::super::row::{Curve, Row};
use super::{Bench, ms, times};
use crate::emergency::{self, Alarmed};
use crate::generator::Wire;
use crate::storm::{self, Weathered};

impl Bench<'_> {
    pub(super) async fn storm(&self) -> Result<Row> {
        let clients = self.scaled(if self.plan.full { 19_000 } else { 2_000 });
        let plan = storm::Plan {
            own: self.plan.own.clone(),
            cores: self.cores.clone(),
            nodes: 5,
            clients,
            topics: 10,
            missed: 20,
        };
        let fewer = storm::Plan { clients: (clients / 10).max(1), ..plan.clone() };
        let few = storm::weather(&fewer, self.cores).await?;
        let many = storm::weather(&plan, self.cores).await?;
        let mut row = Row { is_complete: true, ..Row::default() };
        let head =
            ["connections", "recovered", "publications", "gaps", "repeated", "nodes ready", "all back after"];
        let head = head.into_iter().chain(["Redis commands", "beyond idle nodes", "by name"]);
        row.table.push(head.map(str::to_owned).collect());
        for one in [&few, &many] {
            row.table.push(line(one));
            row.is_complete &= one.received == u64::from(one.clients) * u64::from(one.missed);
            row.is_complete &= one.repeated == 0;
        }
        let all = many.recovered == many.clients;
        row.promised("recovered:", format!("{} of {}", many.recovered, many.clients), all);
        row.promised("gaps", many.gaps.to_string(), many.gaps == 0);
        let beyond = format!(
            "{:.0}, with a tenth of the clients {:.0}",
            many.commands_beyond_idle(),
            few.commands_beyond_idle()
        );
        row.promised("Redis commands", beyond, many.commands_are_independent(&few));
        row.stated("all back", format!("{:.1} s after the nodes were ready", many.back_s));
        if !self.plan.full {
            "Not in full size: `make bench-full` measures 19,000 clients on each node."
                .clone_into(&mut row.note);
        }
        Ok(row)
    }

    pub(super) async fn emergency(&self) -> Result<Row> {
        let plan = emergency::Plan {
            own: self.plan.own.clone(),
            cores: self.cores.clone(),
            clients: self.scaled(5_000),
            at_once: 200,
            emergencies: 10,
            dialect: Wire::CentrifugeJson,
        };
        let (idle, busy) = emergency::alarm_both(&plan, self.cores).await?;
        let mut row = Row { is_complete: true, ..Row::default() };
        row.table.push(
            [
                "server",
                "emergencies delivered",
                "p50",
                "p99",
                "max",
                "ordinary delivered",
                "their p50",
                "their p99",
            ]
            .map(str::to_owned)
            .to_vec(),
        );
        for one in [&idle, &busy] {
            let name = if one.busy { "draining bursts" } else { "idle" };
            row.table.push(vec![
                name.to_owned(),
                format!("{} of {}", one.received, one.wanted),
                ms(one.latency.p50_ms),
                ms(one.latency.p99_ms),
                ms(one.latency.max_ms),
                one.ordinary.to_string(),
                ms(one.ordinary_latency.p50_ms),
                ms(one.ordinary_latency.p99_ms),
            ]);
            row.is_complete &= one.received == one.wanted;
            row.curves.push(curve(name, one));
        }
        let late = busy.latency.p99_ms / idle.latency.p99_ms;
        row.promised("p99", format!("{} ({} idle)", ms(busy.latency.p99_ms), times(late)), late <= 2.0);
        Ok(row)
    }
}

fn curve(name: &str, alarmed: &Alarmed) -> Curve {
    Curve {
        group: "12. emergencies".to_owned(),
        name: name.to_owned(),
        latencies: alarmed.latencies.0.clone(),
        by_second: Vec::new(),
    }
}

fn line(storm: &Weathered) -> Vec<String> {
    let names: Vec<String> = storm.commands.iter().map(|(name, count)| format!("{name} {count}")).collect();
    vec![
        storm.clients.to_string(),
        storm.recovered.to_string(),
        storm.received.to_string(),
        storm.gaps.to_string(),
        storm.repeated.to_string(),
        format!("{:.1} s", storm.ready_s),
        format!("{:.2} s", storm.back_s),
        storm.total_commands().to_string(),
        format!("{:.0}", storm.commands_beyond_idle()),
        names.join(", "),
    ]
}
