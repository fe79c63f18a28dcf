//! What a run prints: tables for people, one JSON object for programs.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

use crate::invariants::Invariant;
use crate::runs::Outcome;

fn table(header: &[&str], numbers: &[usize]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_NO_BORDERS).set_header(header);
    for column in numbers {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// How many orders ended how, and why, by kind.
pub fn ends(outcome: &Outcome) -> String {
    let mut table = table(&["kind", "ended", "why", "orders"], &[3]);
    for ((kind, status, reason), count) in &outcome.ends {
        table.add_row([*kind, *status, reason.as_str(), &count.to_string()]);
    }
    let mut by_status = std::collections::BTreeMap::new();
    for ((_, status, _), count) in &outcome.ends {
        *by_status.entry(*status).or_insert(0) += count;
    }
    for (status, count) in by_status {
        table.add_row(["all", status, "", &count.to_string()]);
    }
    table.to_string()
}

/// Throughput and latency in a few lines.
pub fn figures(outcome: &Outcome) -> String {
    let ms = |quantile: f64| outcome.latency.value_at_quantile(quantile) as f64 / 1_000.0;
    let mut text = String::new();
    let _ = writeln!(text, "{} orders in {:.1} s: {:.0} orders/s", outcome.orders, outcome.took.as_secs_f64(), per_second(outcome));
    let _ = write!(
        text,
        "placed to completed: p50 {:.0} ms, p95 {:.0} ms, p99 {:.0} ms, max {:.0} ms",
        ms(0.5), ms(0.95), ms(0.99), outcome.latency.max() as f64 / 1_000.0
    );
    text
}

fn per_second(outcome: &Outcome) -> f64 {
    outcome.orders as f64 / outcome.took.as_secs_f64().max(0.001)
}

/// CPU and memory by process.
pub fn usage(outcome: &Outcome) -> String {
    let mut table = table(&["process", "CPU µs an order", "peak MB"], &[1, 2]);
    let mut total = 0.0;
    for (name, usage) in &outcome.usage {
        let cpu = usage.cpu_s * 1e6 / outcome.orders as f64;
        total += cpu;
        table.add_row([name.clone(), format!("{cpu:.0}"), format!("{:.0}", usage.peak_rss_mb)]);
    }
    table.add_row(["all".to_owned(), format!("{total:.0}"), String::new()]);
    table.to_string()
}

/// The invariants, and whether each holds.
pub fn invariants(invariants: &[Invariant]) -> String {
    let mut table = table(&["invariant", "holds", "figures"], &[]);
    for invariant in invariants {
        table.add_row([invariant.name, if invariant.holds { "yes" } else { "NO" }, &invariant.figures]);
    }
    table.to_string()
}

/// One JSON object a run, as `cargo xtask bench` writes it.
pub fn json(mode: &str, profile: &str, revision: &str, outcome: &Outcome, invariants_ok: bool) -> Value {
    let ms = |quantile: f64| outcome.latency.value_at_quantile(quantile) as f64 / 1_000.0;
    let processes: serde_json::Map<String, Value> = outcome
        .usage
        .iter()
        .map(|(name, usage)| {
            let cpu = usage.cpu_s * 1_000.0 / outcome.orders as f64;
            (name.clone(), json!({"cpu_s_per_1000": cpu, "peak_rss_mb": usage.peak_rss_mb}))
        })
        .collect();
    json!({
        "mode": mode, "profile": profile, "orders": outcome.orders, "orders_per_s": per_second(outcome),
        "p50_ms": ms(0.5), "p95_ms": ms(0.95), "p99_ms": ms(0.99), "max_ms": outcome.latency.max() as f64 / 1_000.0,
        "invariants_ok": invariants_ok, "revision": revision, "processes": processes,
    })
}
