//! A page with plots of latency and throughput that needs nothing but itself.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::row::Curve;
use crate::load::float;

/// Size of a plot.
const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 260.0;
/// Room for what is written beside it.
const MARGIN: f64 = 48.0;
/// One for each curve of a plot.
const COLOURS: [&str; 6] = ["#0b6e99", "#d9730d", "#4d6461", "#ad1a72", "#0f7b6c", "#6940a5"];
/// The quantiles that are drawn, as the share of those that are slower.
const SLOWER: [f64; 8] = [1.0, 0.5, 0.25, 0.1, 0.05, 0.01, 0.001, 0.0001];

/// Writes the page.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn write(file: &Path, title: &str, lines: &[(String, String)], curves: &[Curve]) -> Result<()> {
    std::fs::write(file, page(title, lines, curves))
        .with_context(|| format!("cannot write {}", file.display()))
}

fn page(title: &str, lines: &[(String, String)], curves: &[Curve]) -> String {
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\n<style>\
         body{{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:72rem;color:#222}}\
         td,th{{padding:.25rem .75rem;text-align:left;vertical-align:top;border-bottom:1px solid #ddd}}\
         svg{{margin:.5rem 1rem .5rem 0}}text{{font-size:11px;fill:#444}}</style>\n<h1>{title}</h1>\n<table>\n",
        title = escaped(title)
    );
    for (name, value) in lines {
        add(&mut html, &format!("<tr><th>{}<td>{}\n", escaped(name), escaped(value)));
    }
    html.push_str("</table>\n");
    let mut groups: Vec<&str> = curves.iter().map(|curve| curve.group.as_str()).collect();
    groups.dedup();
    for group in groups {
        let members: Vec<&Curve> = curves.iter().filter(|curve| curve.group == group).collect();
        add(&mut html, &format!("<h2>{}</h2>\n", escaped(group)));
        html.push_str(&plot("latency in ms, by the share that is slower", &members, true));
        html.push_str(&plot("deliveries a second, by second", &members, false));
    }
    html.push_str("</html>\n");
    html
}

/// A plot of all members: latencies on logarithmic axes, or throughput on linear ones.
fn plot(title: &str, members: &[&Curve], is_latency: bool) -> String {
    let lines: Vec<Vec<(f64, f64)>> =
        members.iter().map(|curve| if is_latency { quantiles(curve) } else { seconds(curve) }).collect();
    let most = |pick: fn(&(f64, f64)) -> f64| lines.iter().flatten().map(pick).fold(0.1, f64::max);
    let (x_max, y_max) = (most(|point| point.0), most(|point| point.1));
    let place = |x: f64, y: f64| {
        let share =
            if is_latency { (y.max(0.01) / 0.01).log10() / (y_max / 0.01).log10() } else { y / y_max };
        (MARGIN + x / x_max * (WIDTH - 2.0 * MARGIN), HEIGHT - MARGIN - share * (HEIGHT - 2.0 * MARGIN))
    };
    let mut svg = format!(
        "<svg width=\"{WIDTH}\" height=\"{HEIGHT}\" role=\"img\" aria-label=\"{title}\">\
         <text x=\"{MARGIN}\" y=\"16\">{title}</text>\
         <path d=\"M{MARGIN} {MARGIN}V{bottom}H{right}\" fill=\"none\" stroke=\"#999\"/>",
        bottom = HEIGHT - MARGIN,
        right = WIDTH - MARGIN
    );
    axes(&mut svg, is_latency, (x_max, y_max), place);
    for (number, (curve, line)) in members.iter().zip(&lines).enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let points: Vec<String> = line
            .iter()
            .map(|(x, y)| {
                let (x, y) = place(*x, *y);
                format!("{x:.1},{y:.1}")
            })
            .collect();
        let down = 32.0 + 14.0 * float(number as u64);
        add(
            &mut svg,
            &format!(
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\
                 <text x=\"{}\" y=\"{down}\" style=\"fill:{colour}\">{}</text>",
                points.join(" "),
                MARGIN + 8.0,
                escaped(&curve.name)
            ),
        );
    }
    svg + "</svg>\n"
}

fn axes(
    svg: &mut String,
    is_latency: bool,
    (x_max, y_max): (f64, f64),
    place: impl Fn(f64, f64) -> (f64, f64),
) {
    let mut label = |x: f64, y: f64, text: &str| {
        add(svg, &format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"end\">{text}</text>"));
    };
    let marks: Vec<f64> = if is_latency {
        [0.01, 0.1, 1.0, 10.0, 100.0, 1_000.0, 10_000.0].into_iter().filter(|mark| *mark <= y_max).collect()
    } else {
        vec![0.0, y_max / 2.0, y_max]
    };
    for mark in marks {
        label(MARGIN - 4.0, place(0.0, mark).1 + 4.0, &number(mark));
    }
    if is_latency {
        for (at, slower) in (0_u8..).zip(SLOWER) {
            label(
                place(f64::from(at), 1.0).0 + 10.0,
                HEIGHT - MARGIN + 16.0,
                &format!("{}%", slower * 100.0),
            );
        }
    } else {
        label(WIDTH - MARGIN, HEIGHT - MARGIN + 16.0, &format!("{x_max:.0} s"));
    }
}

/// Latency in milliseconds at each of [`SLOWER`].
fn quantiles(curve: &Curve) -> Vec<(f64, f64)> {
    let total: u64 = curve.latencies.iter().map(|(_, count)| count).sum();
    let mut points = Vec::new();
    for (at, slower) in (0_u8..).zip(SLOWER) {
        let mut seen = 0;
        let found = curve.latencies.iter().find(|(_, count)| {
            seen += count;
            float(seen) >= float(total) * (1.0 - slower)
        });
        if let Some((us, _)) = found {
            points.push((f64::from(at), float(*us) / 1_000.0));
        }
    }
    points
}

fn seconds(curve: &Curve) -> Vec<(f64, f64)> {
    curve.by_second.iter().zip(0_u32..).map(|(count, second)| (f64::from(second), float(*count))).collect()
}

fn number(value: f64) -> String {
    if value >= 10_000.0 {
        format!("{:.0}k", value / 1_000.0)
    } else if value >= 1.0 || value == 0.0 {
        format!("{value:.0}")
    } else {
        value.to_string()
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

fn add(html: &mut String, text: &str) {
    html.write_str(text).expect("a String takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_needs_nothing_but_itself() {
        let curve = |name: &str| Curve {
            group: "1. <fan-out>".to_owned(),
            name: name.to_owned(),
            latencies: vec![(1_000, 90), (50_000, 10)],
            by_second: vec![40, 60],
        };
        let html = page("T", &[("a".to_owned(), "1 < 2".to_owned())], &[curve("floor"), curve("munadi")]);
        assert_eq!((html.matches("<svg").count(), html.matches("<polyline").count()), (2, 4));
        assert!(html.contains("1. &lt;fan-out>") && html.contains("1 &lt; 2"), "{html}");
        for outside in ["http:", "https:", "src=", "href=", "NaN", "inf"] {
            assert!(!html.contains(outside), "{outside}");
        }
        let points = quantiles(&curve("x"));
        assert!((points[1].1 - 1.0).abs() < 1e-9 && (points[5].1 - 50.0).abs() < 1e-9, "{points:?}");
    }
}
