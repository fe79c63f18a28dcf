//! Processes that outlive xtask: started in sessions of their own, found again by a mark among their arguments, stopped
//! by a signal and in the end by force.
//!
//! No pid files: after a crash or a reboot their numbers name strangers. A process is ours when one of its arguments is
//! its mark, which holds the path of the clone.

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    os::unix::fs::MetadataExt,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

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

    /// As an argument of `java`.
    pub fn java(&self) -> String {
        format!("-D{}", self.0)
    }

    /// As a `NAME=VALUE` for `postgres -c`.
    pub fn parameter(&self) -> &str {
        &self.0
    }

    /// The process that carries it, if it runs. Of several (PostgreSQL's children, until they have renamed themselves)
    /// the oldest.
    ///
    /// # Errors
    /// When `/proc` can't be read.
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

/// The ids of all processes that can be seen.
///
/// # Errors
/// When `/proc` can't be read: this is not Linux.
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

/// When the process was started, in ticks since the machine was.
fn started(pid: u32) -> u64 {
    stat(pid).and_then(|fields| fields.get(19)?.parse().ok()).unwrap_or(u64::MAX)
}

/// Whether the process runs. One that ended and was not yet waited for doesn't.
pub fn alive(pid: u32) -> bool {
    stat(pid).is_some_and(|fields| !matches!(fields[0].as_str(), "Z" | "X"))
}

/// Whether this process is root's.
pub fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// Starts `command` in a session of its own, away from the terminal and its Ctrl-C, with both outputs to `log`.
/// Answers its id.
///
/// # Errors
/// When it can't be started.
pub fn start(command: &Command, log: File) -> Result<u32> {
    let program = command.get_program();
    let errors = log.try_clone().context("cannot use the log twice")?;
    // The child of a fork leads no group, so setsid(1) becomes the program itself and keeps its id.
    let mut detached = Command::new("setsid");
    detached.arg(program).args(command.get_args()).stdin(Stdio::null()).stdout(log).stderr(errors);
    for (key, value) in command.get_envs() {
        match value {
            Some(value) => detached.env(key, value),
            None => detached.env_remove(key),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        detached.current_dir(folder);
    }
    let mut child = detached.spawn().with_context(|| format!("cannot start setsid {}", program.display()))?;
    let pid = child.id();
    // Waited for, should it end before xtask does, so that it doesn't linger as a zombie.
    thread::spawn(move || child.wait());
    Ok(pid)
}

/// Sends `signal` (`TERM`, `INT`, `KILL`) to a process.
///
/// # Errors
/// When it runs and may not be signalled.
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
///
/// # Errors
/// When it may not be signalled, or survives SIGKILL.
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

/// Waits until the process `pid` is ready.
///
/// # Errors
/// When it ends before, or is not ready within `limit`; the message ends with its last lines of log.
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

/// The last 20 lines of a log.
pub fn tail(log: &Path) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(8192)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_else(|error| format!("(not readable: {error})"));
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
        let mut command = Command::new("sh");
        command.args(["-c", script, mark.parameter()]);
        let pid = start(&command, project.new_log(name).unwrap()).unwrap();
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
