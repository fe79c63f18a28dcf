//! Processes that outlive xtask: started in sessions of their own, found again by a mark among their arguments, stopped
//! by a signal and in the end by force.
//!
//! No pid files: after a crash or a reboot their numbers name strangers. A process is ours when one of its arguments is
//! its mark, which holds the path of the clone.

use std::{
    fs::{self, File},
    os::unix::fs::MetadataExt,
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, atomic::AtomicBool},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::project::Project;

/// The argument by which a part of one clone's stack is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark(String);

impl Mark {
    /// The mark of `part` of the stack of `project`. It has the form of a setting, `quadrille.part=…`, so that Java (as
    /// a property) and PostgreSQL (as a parameter) take it.
    pub fn new(project: &Project, part: &str) -> Self {
        Self(format!("quadrille.part={part}:{}", project.folder().display()))
    }

    pub fn java(&self) -> String {
        format!("-D{}", self.0)
    }

    pub fn parameter(&self) -> &str {
        &self.0
    }

    /// The process that carries it, if it runs. Of several (PostgreSQL's children, until they have renamed themselves)
    /// the oldest.
    pub fn find(&self) -> Result<Option<u32>> {
        let java = self.java();
        let carries = |pid: &u32| {
            let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let carried = |argument: &[u8]| argument == self.0.as_bytes() || argument == java.as_bytes();
            arguments.split(|&byte| byte == 0).any(carried) && alive(*pid) && is_here(*pid)
        };
        Ok(all()?.into_iter().filter(carries).min_by_key(|&pid| (started(pid), pid)))
    }
}

pub fn all() -> Result<Vec<u32>> {
    let entries =
        fs::read_dir("/proc").context("cannot list processes: expected Linux's /proc; elsewhere use Docker")?;
    Ok(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

/// A container may see the same path as we do, and mean another folder by it.
fn is_here(pid: u32) -> bool {
    let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
    namespace(&pid.to_string()).is_none_or(|theirs| namespace("self").is_none_or(|ours| ours == theirs))
}

/// The fields of `/proc/PID/stat` after the name: state first.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(text.rsplit_once(") ")?.1.split(' ').map(str::to_owned).collect())
}

fn started(pid: u32) -> u64 {
    stat(pid).and_then(|fields| fields.get(19)?.parse().ok()).unwrap_or(u64::MAX)
}

/// Whether the process runs. One that ended and was not yet waited for doesn't.
pub fn alive(pid: u32) -> bool {
    stat(pid).is_some_and(|fields| !matches!(fields[0].as_str(), "Z" | "X"))
}

pub fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// A program of which setsid(1) becomes the process, in a session of its own, away from the terminal and its Ctrl-C. (The child of a fork leads no group, so
/// the id stays the same.)
pub const SESSION: &str = "setsid";

pub fn start(command: &mut Command, log: File) -> Result<u32> {
    let errors = log.try_clone().context("cannot use the log twice")?;
    command.stdin(Stdio::null()).stdout(log).stderr(errors);
    let mut child = command.spawn().with_context(|| format!("cannot start {}", command.get_program().display()))?;
    let pid = child.id();
    // Waited for, should it end before xtask does, so that it doesn't linger as a zombie.
    thread::spawn(move || child.wait());
    Ok(pid)
}

/// Runs a command to its end; its own words are the error.
pub fn run(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?} failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// Set once we are told to stop, instead of ending at once.
pub fn interrupted() -> Result<Arc<AtomicBool>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted)).context("cannot listen for signals")?;
    }
    Ok(interrupted)
}

pub fn signal(pid: u32, signal: &str) -> Result<()> {
    let status = Command::new("sh")
        .args(["-c", &format!("kill -{signal} {pid}")])
        .stderr(Stdio::null())
        .status()
        .context("cannot run sh to send a signal")?;
    if !status.success() && alive(pid) {
        bail!("cannot send SIG{signal} to process {pid}: stop it yourself");
    }
    Ok(())
}

/// Asks a process to end by `gently`, waits for at most `limit`, then kills it.
pub fn stop(pid: u32, gently: &str, limit: Duration) -> Result<()> {
    signal(pid, gently)?;
    if !until(limit, || !alive(pid)) {
        println!("  process {pid} did not end within {} s of SIG{gently}: killing it", limit.as_secs());
        signal(pid, "KILL")?;
        if !until(Duration::from_secs(10), || !alive(pid)) {
            bail!("process {pid} does not end, even by SIGKILL: it waits for a device, see /proc/{pid}/stack");
        }
    }
    Ok(())
}

/// Asks `is_so` again and again until it says yes, for at most `limit`. Answers whether it did.
pub fn until(limit: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    loop {
        if is_so() {
            return true;
        }
        if begun.elapsed() >= limit {
            return false;
        }
        thread::sleep(Duration::from_millis(40));
    }
}

pub fn wait_ready(name: &str, pid: u32, limit: Duration, log: &Path, is_ready: impl Fn() -> bool) -> Result<()> {
    let mut ended = false;
    let ready = until(limit, || {
        ended = !alive(pid);
        ended || is_ready()
    });
    if ready && !ended {
        return Ok(());
    }
    let what =
        if ended { "ended while it started".into() } else { format!("was not ready after {} s", limit.as_secs()) };
    bail!("{name} {what}; the end of its log {}:\n{}", log.display(), tail(log));
}

pub fn tail(log: &Path) -> String {
    let text = fs::read(log)
        .map_or_else(|error| format!("(not readable: {error})"), |bytes| String::from_utf8_lossy(&bytes).into_owned());
    let lines: Vec<&str> = text.lines().collect();
    let last: Vec<String> = lines[lines.len().saturating_sub(20)..].iter().map(|line| format!("  | {line}")).collect();
    if last.is_empty() { "  | (empty)".into() } else { last.join("\n") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A clone in a new folder, and a process that carries its mark.
    fn marked(name: &str, script: &str) -> (Mark, u32, Project) {
        let root = std::env::temp_dir().join(format!("quadrille-xtask-{}-{name}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        let project = Project::at(&root).unwrap();
        let mark = Mark::new(&project, name);
        let mut command = Command::new(SESSION);
        command.args(["sh", "-c", script, mark.parameter()]);
        let pid = start(&mut command, project.new_log(name).unwrap()).unwrap();
        (mark, pid, project)
    }

    #[test]
    fn a_started_process_is_found_by_its_mark_and_stopped() {
        let (mark, pid, project) = marked("sleeper", "for i in $(seq 200); do sleep 0.1; done");
        // Its arguments are blank for a moment while it becomes its program.
        assert!(until(Duration::from_secs(5), || mark.find().unwrap() == Some(pid)));
        assert_eq!(Mark::new(&project, "other").find().unwrap(), None, "another part's mark is another");
        stop(pid, "TERM", Duration::from_secs(5)).unwrap();
        assert_eq!(mark.find().unwrap(), None);
        fs::remove_dir_all(project.root()).unwrap();
    }

    #[test]
    fn a_process_that_ignores_the_signal_is_killed() {
        let (mark, pid, project) = marked("deaf", "trap '' TERM; echo deaf; for i in $(seq 200); do sleep 0.1; done");
        assert!(until(Duration::from_secs(5), || tail(&project.log("deaf")).contains("deaf")));
        stop(pid, "TERM", Duration::from_millis(200)).unwrap();
        assert_eq!(mark.find().unwrap(), None);
        fs::remove_dir_all(project.root()).unwrap();
    }

    #[test]
    fn one_that_ends_too_early_is_reported_with_its_log() {
        let (_, pid, project) = marked("failing", "echo no such disk >&2; exit 3");
        let waited = wait_ready("failing", pid, Duration::from_secs(5), &project.log("failing"), || false);
        let message = waited.unwrap_err().to_string();
        assert!(message.contains("ended while it started") && message.contains("no such disk"), "{message}");
        fs::remove_dir_all(project.root()).unwrap();
    }
}
