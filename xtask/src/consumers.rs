//! The pipeline's own programs: built for release, started as children of xtask with the parts' addresses, watched, and stopped by a signal.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, bail};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::{
    install::{self, Need},
    probe, process,
    project::Project,
    up::{self, Up},
};

/// Each consumer with the port of its doors, unless that is taken.
pub const CONSUMERS: [(&str, u16); 8] = [
    ("orders", 8080),
    ("inventory", 8081),
    ("payments", 8082),
    ("fraud", 8083),
    ("fulfillment", 8084),
    ("notifications", 8085),
    ("saga-tracker", 8086),
    ("outbox-relay", 8087),
];

/// How long a consumer may take until it is ready, and until it has stopped.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running pipeline: the parts, and a process for each consumer.
pub struct Pipeline<'p> {
    project: &'p Project,
    /// The parts, and which of them were started for it.
    pub up: Up,
    /// The environment of its processes.
    pub environment: BTreeMap<String, String>,
    /// The port of each consumer's doors.
    pub ports: BTreeMap<&'static str, u16>,
    children: Vec<(&'static str, Child)>,
    programs: PathBuf,
    interrupted: Arc<AtomicBool>,
}

impl<'p> Pipeline<'p> {
    /// Installs, builds, starts the parts, brings tables, topics and schemas up to date, and starts every consumer with these settings.
    ///
    /// # Errors
    /// When something can't be installed, built or started; what was started is stopped again.
    pub fn start(project: &'p Project, settings: &[(&str, &str)]) -> Result<Self> {
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&interrupted)).context("cannot listen for signals")?;
        }
        install::ensure(&[Need::Build, Need::Java, Need::Postgres, Need::Tools])?;
        let programs = build(project)?;
        let up = up::all(project)?;
        let mut environment: BTreeMap<String, String> = up.addresses.clone().into_iter().collect();
        environment.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let mut ports = BTreeMap::new();
        for (name, port) in CONSUMERS {
            let port = free(port)?;
            environment.insert(format!("QUADRILLE_{}__HTTP", name.to_uppercase().replace('-', "_")), format!("127.0.0.1:{port}"));
            ports.insert(name, port);
        }
        let mut pipeline = Self { project, up, environment, ports, children: Vec::new(), programs, interrupted };
        if let Err(error) = pipeline.set_up() {
            let _ = pipeline.stop(); // the first error is the one that counts
            return Err(error);
        }
        Ok(pipeline)
    }

    fn set_up(&mut self) -> Result<()> {
        for arguments in [["migrate"].as_slice(), &["topics", "apply"]] {
            println!("quadrille {}", arguments.join(" "));
            let status = self.program("quadrille").args(arguments).stdout(Stdio::null()).status().context("cannot run quadrille")?;
            if !status.success() {
                bail!("quadrille {} failed: its error stands above", arguments.join(" "));
            }
        }
        for (name, _) in CONSUMERS {
            let log = self.project.new_log(name)?;
            let child = self.program(&format!("quadrille-{name}")).stdout(Stdio::null()).stderr(log).spawn();
            self.children.push((name, child.with_context(|| format!("cannot start {name}"))?));
        }
        for (name, child) in &self.children {
            let port = self.ports[name];
            process::wait_ready(name, child.id(), PATIENCE, &self.project.log(name), || probe::http(port, "/readyz"))?;
        }
        println!("8 consumers are ready");
        Ok(())
    }

    /// One of our programs, with the pipeline's environment.
    pub fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command.envs(&self.environment).stdin(Stdio::null());
        command
    }

    /// Runs a program to its end, or until we are told to stop; true when it succeeded.
    ///
    /// # Errors
    /// When it can't be run, or a consumer dies meanwhile: the error names it, with the end of its log.
    pub fn run(&mut self, mut command: Command) -> Result<bool> {
        let mut child = command.spawn().context("cannot run quadrille-load")?;
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status.success());
            }
            if self.interrupted.load(Ordering::Relaxed) {
                process::stop(child.id(), "TERM", Duration::from_secs(5))?;
                return Ok(false);
            }
            if let Err(error) = self.check_alive() {
                process::stop(child.id(), "TERM", Duration::from_secs(5))?;
                return Err(error);
            }
            std::thread::sleep(Duration::from_millis(50)); // between two looks at the children
        }
    }

    /// Waits until we are told to stop.
    ///
    /// # Errors
    /// When a consumer dies meanwhile.
    pub fn wait(&mut self) -> Result<()> {
        while !self.interrupted.load(Ordering::Relaxed) {
            self.check_alive()?;
            std::thread::sleep(Duration::from_millis(100)); // between two looks at the children
        }
        Ok(())
    }

    fn check_alive(&mut self) -> Result<()> {
        for (name, child) in &mut self.children {
            if let Some(status) = child.try_wait()? {
                let log = self.project.log(name);
                let text = std::fs::read_to_string(&log).unwrap_or_default();
                let tail: Vec<&str> = text.lines().rev().take(8).collect();
                let tail: Vec<&str> = tail.into_iter().rev().collect();
                bail!("{name} has ended ({status}); the end of {}:\n{}", log.display(), tail.join("\n"));
            }
        }
        Ok(())
    }

    /// Stops the consumers, each finishing what it has in work, and then the parts that were started for them.
    ///
    /// # Errors
    /// When a process does not end.
    pub fn stop(&mut self) -> Result<()> {
        for (_, child) in &self.children {
            process::signal(child.id(), "TERM")?;
        }
        let limit = std::time::Instant::now() + PATIENCE;
        for (name, mut child) in self.children.drain(..) {
            while child.try_wait()?.is_none() {
                if std::time::Instant::now() > limit {
                    println!("  {name} does not stop: killing it");
                    child.kill()?;
                }
                std::thread::sleep(Duration::from_millis(20)); // between two looks
            }
        }
        if !self.up.started.is_empty() {
            up::down(self.project, false)?;
        }
        Ok(())
    }
}

/// Builds every program for release, and answers where they are.
fn build(project: &Project) -> Result<PathBuf> {
    let program = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(program);
    command.args(["build", "--release", "--workspace", "--bins", "--exclude", "xtask"]).current_dir(project.root());
    if !command.status().context("cannot run cargo")?.success() {
        bail!("the build failed: cargo's error stands above");
    }
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| project.root().join("target"), PathBuf::from);
    Ok(target.join("release"))
}

/// This port, or a free one if something else listens there.
fn free(port: u16) -> Result<u16> {
    if TcpListener::bind(("127.0.0.1", port)).is_ok() {
        return Ok(port);
    }
    let other = TcpListener::bind(("127.0.0.1", 0)).context("no free port")?.local_addr()?.port();
    println!("  port {port} is taken: {other} is used instead");
    Ok(other)
}
