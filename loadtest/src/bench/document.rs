//! `docs/performance.md`: made from what was measured, so that no number in it is typed.

use std::fmt::Write as _;

use super::row::{Machine, Outline, Row};

const HEAD: &str = "\
# Performance

This page is written by `make bench` (and `make bench-full`, which adds the million of row 8 and row 9 whole) from what it
measures: do not edit it. `loadtest bench --only 1,4` measures single rows again, `loadtest bench --write-only` makes the page
from what was measured before.

Absolute times depend on the machine and on what else it does, so costs are told as multiples of **the floor**, measured in
the same run, in turns with Munadi: a single thread that takes WebSockets with epoll and, for each message, calls `write()` once
per socket with the frame that it has built before (`loadtest floor`; its publisher posts the same payloads over HTTP). The
**coalescing floor** does the same, but what is pending for a socket when it has read what was published leaves in one write. No
server that makes a system call for each socket can cost less.
";

const METHOD: &str = "\
## How it is measured

The server is kept on one core and everything else on another (unless a row says otherwise). Connections show a token and
subscribe; payloads have 128 bytes of JSON. Munadi is one process with its defaults (embedded database and log, every append on the
disk before it is delivered) and one shard; `[hub.door]` and the limits of commands are raised, because everybody comes from one
machine and one back end publishes everything. Publications go in over a WebSocket connection (`publish` commands), unless a row
says otherwise.

Publications are due at fixed times, and latency counts from these times, whatever the publisher could keep (no coordinated
omission). Receivers look for a mark in each payload: topic, number, due time; numbers show what is missing, late or twice. CPU is
what `/proc/<pid>` says of the server between the first publication and the last delivery, memory the growth of its anonymous
pages from its start. Of several rounds the median by CPU counts. The generator's own CPU time is in the tables: where it comes
near the server's, latency is the generator's as much.
";

/// The whole page.
pub(crate) fn markdown(outlines: &[Outline], rows: &[Row]) -> String {
    let mut page = HEAD.to_owned();
    page.push_str("\n| # | What | Target | Found | |\n|---|---|---|---|---|\n");
    for outline in outlines {
        let row = rows.iter().find(|row| row.number == outline.number);
        let (found, verdict) = row.map_or_else(
            || ("not measured".to_owned(), ""),
            |row| {
                let found: Vec<String> = row.found.iter().map(super::Found::text).collect();
                (found.join("; "), row.verdict())
            },
        );
        line(
            &mut page,
            &format!("| {} | {} | {} | {found} | {verdict} |", outline.number, outline.what, outline.target),
        );
    }
    machines(&mut page, rows);
    page.push('\n');
    page.push_str(METHOD);
    for outline in outlines {
        line(&mut page, &format!("\n### {}. {}\n", outline.number, outline.what));
        line(&mut page, outline.how);
        if let Some(row) = rows.iter().find(|row| row.number == outline.number) {
            detail(&mut page, row);
        }
    }
    page
}

fn machines(page: &mut String, rows: &[Row]) {
    let mut seen: Vec<&Machine> = Vec::new();
    for row in rows.iter().filter(|row| !seen.contains(&&row.machine)).collect::<Vec<_>>() {
        if !seen.contains(&&row.machine) {
            seen.push(&row.machine);
        }
    }
    page.push('\n');
    for machine in seen {
        let numbers: Vec<String> =
            rows.iter().filter(|row| row.machine == *machine).map(|row| row.number.to_string()).collect();
        let Machine { cpu, cores, memory_mib, kernel, commit } = machine;
        line(
            page,
            &format!(
                "Rows {}: commit `{commit}`, {cores} cores of {cpu}, {memory_mib} MiB of memory, Linux {kernel}.",
                numbers.join(", ")
            ),
        );
    }
}

fn detail(page: &mut String, row: &Row) {
    if let Some((head, lines)) = row.table.split_first() {
        line(page, &format!("\n| {} |", head.join(" | ")));
        line(page, &format!("|{}", "---|".repeat(head.len())));
        for cells in lines {
            line(page, &format!("| {} |", cells.join(" | ")));
        }
    }
    if !row.note.is_empty() {
        line(page, &format!("\n{}", row.note));
    }
    line(page, &format!("\nMeasured {} in {:.0} s with `{}`.", row.at, row.took_s, row.command));
}

fn line(page: &mut String, text: &str) {
    writeln!(page, "{text}").expect("a String takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_its_line_measured_or_not() {
        let outlines =
            [1, 2].map(|number| Outline { number, what: "speed", target: "fast", how: "With a clock." });
        let mut row = Row { number: 2, is_complete: true, ..Row::default() };
        row.promised("cost", "1.5 x floor".to_owned(), false);
        row.table =
            vec![vec!["server".to_owned(), "us".to_owned()], vec!["munadi".to_owned(), "7".to_owned()]];
        let page = markdown(&outlines, &[row]);
        assert!(page.contains("| 1 | speed | fast | not measured |  |"), "{page}");
        assert!(page.contains("| 2 | speed | fast | cost 1.5 x floor (missed) | missed |"), "{page}");
        assert!(page.contains("| server | us |\n|---|---|\n| munadi | 7 |"), "{page}");
    }
}
