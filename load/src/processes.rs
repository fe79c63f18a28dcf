//! CPU time and memory of processes, from /proc: what an order costs, by process.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// What one named process, or group of processes, has used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// CPU seconds, user and system.
    pub cpu_s: f64,
    /// Peak resident memory in MB; of a group, the sum of its members' proportional shares.
    pub peak_rss_mb: f64,
}

/// Clock ticks of /proc/…/stat a second: 100 on every Linux that Rust runs on.
const TICKS: f64 = 100.0;

/// All that matters to the pipeline: our binaries by name, `postgres`, `kafka`, `registry`.
pub fn usage() -> BTreeMap<String, Usage> {
    let mut all: BTreeMap<String, Usage> = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let path = entry.path();
        let Some(name) = name(&path) else { continue };
        let usage = all.entry(name.clone()).or_default();
        usage.cpu_s += cpu(&path).unwrap_or(0.0);
        // PostgreSQL's processes share their buffers: count each page once.
        usage.peak_rss_mb += if name == "postgres" { proportional(&path) } else { status_kb(&path, "VmHWM:") }.unwrap_or(0.0) / 1024.0;
    }
    all
}

/// What was used since `before`; peaks are peaks of the whole life.
pub fn since(before: &BTreeMap<String, Usage>) -> BTreeMap<String, Usage> {
    let mut now = usage();
    for (name, usage) in &mut now {
        usage.cpu_s = (usage.cpu_s - before.get(name).map_or(0.0, |before| before.cpu_s)).max(0.0);
    }
    now
}

fn name(process: &Path) -> Option<String> {
    let command = fs::read(process.join("cmdline")).ok()?;
    let command = String::from_utf8_lossy(&command).replace('\0', " ");
    let program = Path::new(command.split(' ').next()?).file_name()?.to_string_lossy().trim_end_matches(':').to_owned();
    if program == "java" {
        return if command.contains("kafka.Kafka") { Some("kafka".into()) } else { command.contains("apicurio").then(|| "registry".into()) };
    }
    if program.starts_with("postgres") {
        return Some("postgres".into());
    }
    program.strip_prefix("quadrille-").map(ToOwned::to_owned)
}

fn cpu(process: &Path) -> Option<f64> {
    let stat = fs::read_to_string(process.join("stat")).ok()?;
    let after_name = &stat[stat.rfind(')')? + 2..];
    let fields: Vec<&str> = after_name.split(' ').collect();
    let ticks = |field: usize| fields.get(field)?.parse::<f64>().ok();
    // Its own, and that of children that ended: the postmaster keeps those of closed connections.
    Some((ticks(11)? + ticks(12)? + ticks(13)? + ticks(14)?) / TICKS)
}

fn status_kb(process: &Path, field: &str) -> Option<f64> {
    let status = fs::read_to_string(process.join("status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix(field))?.split_whitespace().next()?.parse().ok()
}

fn proportional(process: &Path) -> Option<f64> {
    let rollup = fs::read_to_string(process.join("smaps_rollup")).ok()?;
    rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?.split_whitespace().next()?.parse().ok()
}
