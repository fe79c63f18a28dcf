//! CPU time and memory of processes, from /proc: what an order costs, by process.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    pub cpu_s: f64,
    /// Peak resident memory in MB; of a group, the sum of its members' proportional shares.
    pub peak_rss_mb: f64,
}

pub type Usages = BTreeMap<String, Usage>;

/// Clock ticks of /proc/…/stat a second: 100 on every Linux that Rust runs on.
const TICKS: f64 = 100.0;

#[derive(Clone, Debug)]
pub struct Process {
    pub name: String,
    pub pid: u32,
}

impl FromStr for Process {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('=').and_then(|(name, pid)| Some((name.to_owned(), pid.parse().ok()?)));
        parts.map(|(name, pid)| Self { name, pid }).ok_or_else(|| format!("expected NAME=PID, got `{text}`"))
    }
}

/// What these processes, and the load generator itself, have used so far. Of PostgreSQL's server all its children count.
pub fn usage(processes: &[Process]) -> Usages {
    let own = Process { name: "load".to_owned(), pid: std::process::id() };
    let mut all = BTreeMap::new();
    for Process { name, pid } in processes.iter().chain([&own]) {
        let path = Path::new("/proc").join(pid.to_string());
        let usage: &mut Usage = all.entry(name.clone()).or_default();
        let server = name == "postgres";
        let members = if server { children(*pid) } else { Vec::new() };
        for member in members.iter().chain([&path]) {
            usage.cpu_s += cpu(member).unwrap_or(0.0);
            // PostgreSQL's processes share their buffers: each page is counted once.
            usage.peak_rss_mb +=
                if server { kb(member, "smaps_rollup", "Pss:") } else { kb(member, "status", "VmHWM:") }.unwrap_or(0.0)
                    / 1024.0;
        }
    }
    all
}

/// What was used since `before`; peaks are peaks of the whole life (of PostgreSQL: what it holds at the end).
pub fn since(before: &Usages, processes: &[Process]) -> Usages {
    let mut now = usage(processes);
    for (name, usage) in &mut now {
        usage.cpu_s = (usage.cpu_s - before.get(name).map_or(0.0, |before| before.cpu_s)).max(0.0);
    }
    now
}

fn children(pid: u32) -> Vec<PathBuf> {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
    all.filter(|path| stat(path).is_some_and(|fields| fields.get(1).is_some_and(|parent| *parent == pid.to_string())))
        .collect()
}

/// The fields of `stat` after the name, the state first.
fn stat(process: &Path) -> Option<Vec<String>> {
    let text = fs::read_to_string(process.join("stat")).ok()?;
    Some(text.rsplit_once(") ")?.1.split(' ').map(ToOwned::to_owned).collect())
}

fn cpu(process: &Path) -> Option<f64> {
    let fields = stat(process)?;
    let ticks = |field: usize| fields.get(field)?.parse::<f64>().ok();
    // Its own, and that of children that ended: the postmaster keeps those of closed connections.
    Some((ticks(11)? + ticks(12)? + ticks(13)? + ticks(14)?) / TICKS)
}

fn kb(process: &Path, file: &str, field: &str) -> Option<f64> {
    let text = fs::read_to_string(process.join(file)).ok()?;
    text.lines().find_map(|line| line.strip_prefix(field))?.split_whitespace().next()?.parse().ok()
}
