//! What a run prints: tables for people, one JSON object for programs.

use std::collections::BTreeMap;

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Map, Value, json};

use crate::invariants::InvariantResult;
use crate::runs::RunOutcome;

fn table(header: &[&str], numbers: &[usize]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header(header);
    for column in numbers {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

pub fn ends(outcome: &RunOutcome) -> String {
    let mut kinds = table(&["kind of order", "ended", "why", "orders"], &[3]);
    let mut by_status: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for ((kind, status, reason), count) in &outcome.ends {
        kinds.add_row([*kind, *status, reason.as_str(), &count.to_string()]);
        *by_status.entry((*status, reason.as_str())).or_insert(0) += count;
    }
    let mut all = table(&["ended", "why", "orders"], &[2]);
    for ((status, reason), count) in by_status {
        all.add_row([status, reason, &count.to_string()]);
    }
    format!("{kinds}\n{all}")
}

fn millis(outcome: &RunOutcome, quantile: f64) -> f64 {
    outcome.latency.value_at_quantile(quantile) as f64 / 1_000.0
}

/// How fast most orders of a run ended in which some wait for a deadline.
pub fn most(outcome: &RunOutcome) -> String {
    let (most, seconds) = (outcome.orders * 9 / 10, outcome.most_took.as_secs_f64());
    format!(
        "{most} of them within {seconds:.1} s: {:.0} orders/s; the others wait for a deadline",
        most as f64 / seconds.max(0.001)
    )
}

pub fn figures(outcome: &RunOutcome) -> String {
    let (count, what, seconds) = (outcome.orders, outcome.what, outcome.took.as_secs_f64());
    let mut text = format!("{count} {what} in {seconds:.1} s: {:.0} {what}/s", per_second(outcome));
    if !outcome.latency.is_empty() {
        let [p50, p95, p99, max] = [0.5, 0.95, 0.99, 1.0].map(|quantile| millis(outcome, quantile));
        let span = if what == "orders" { "placed to completed" } else { "due to in Kafka" };
        text += &format!("\nfrom {span}: p50 {p50:.1} ms, p95 {p95:.1} ms, p99 {p99:.1} ms, max {max:.1} ms");
    }
    text
}

fn per_second(outcome: &RunOutcome) -> f64 {
    outcome.orders as f64 / outcome.took.as_secs_f64().max(0.001)
}

pub fn usage(outcome: &RunOutcome) -> String {
    let mut table =
        table(&["process", &format!("CPU µs an {}", outcome.what.trim_end_matches('s')), "peak MB"], &[1, 2]);
    let mut total = 0.0;
    for (name, usage) in &outcome.usage {
        let cpu = usage.cpu_s * 1e6 / outcome.orders as f64;
        total += cpu;
        table.add_row([name.clone(), format!("{cpu:.0}"), format!("{:.0}", usage.peak_rss_mb)]);
    }
    table.add_row(["all".to_owned(), format!("{total:.0}"), String::new()]);
    table.to_string()
}

pub fn invariants(invariants: &[InvariantResult]) -> String {
    let line = |InvariantResult { name, holds, figures }: &InvariantResult| {
        format!("{}  {name}\n        {figures}\n", if *holds { "holds " } else { "BROKEN" })
    };
    invariants.iter().map(line).collect()
}

/// One JSON object a run, as `cargo xtask bench` writes it.
pub fn json(mode: &str, profile: &str, revision: &str, outcome: &RunOutcome, invariants_ok: bool) -> Value {
    let processes: Map<String, Value> = outcome
        .usage
        .iter()
        .map(|(name, usage)| {
            let cpu = usage.cpu_s * 1_000.0 / outcome.orders as f64;
            (name.clone(), json!({"cpu_s_per_1000": cpu, "peak_rss_mb": usage.peak_rss_mb}))
        })
        .collect();
    json!({
        "mode": mode, "profile": profile, "orders": outcome.orders, "orders_per_s": per_second(outcome),
        "p50_ms": millis(outcome, 0.5), "p95_ms": millis(outcome, 0.95), "p99_ms": millis(outcome, 0.99), "max_ms": millis(outcome, 1.0),
        "invariants_ok": invariants_ok, "revision": revision, "processes": processes,
    })
}

/// What has changed since an older run of the same kind, as ratios: new by old.
pub fn compare(old: &Value, new: &Value) -> String {
    let mut table = table(&["figure", "then", "now", "ratio"], &[1, 2, 3]);
    let mut row = |name: &str, then: Option<f64>, now: Option<f64>| {
        if let (Some(then), Some(now)) = (then, now) {
            let ratio = if then == 0.0 { "–".to_owned() } else { format!("{:.2}", now / then) };
            table.add_row([name.to_owned(), format!("{then:.2}"), format!("{now:.2}"), ratio]);
        }
    };
    for figure in ["orders_per_s", "p50_ms", "p95_ms", "p99_ms", "max_ms"] {
        row(figure, old[figure].as_f64(), new[figure].as_f64());
    }
    for (name, now) in new["processes"].as_object().into_iter().flatten() {
        let then = &old["processes"][name];
        for figure in ["cpu_s_per_1000", "peak_rss_mb"] {
            row(&format!("{name} {figure}"), then[figure].as_f64(), now[figure].as_f64());
        }
    }
    format!("against revision {}:\n{table}", old["revision"].as_str().unwrap_or("unknown"))
}
