//! `cargo xtask test`: every test of the workspace, against the real parts, which are left as they were found.

use std::{
    env,
    ffi::OsString,
    num::NonZero,
    process::{Child, Command, ExitCode, ExitStatus},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::{
    install::{self, Need},
    process,
    project::Project,
    up,
};

/// The package of the tests that run the consumers' programs.
const END_TO_END: &str = "quadrille-tests";

/// Rust's own variable: how many tests run side by side.
const TEST_THREADS: &str = "RUST_TEST_THREADS";
/// More than one: an end-to-end test waits now and then, for a group that forms, for a broker's answer.
const TESTS_PER_CORE: usize = 2;

/// Installs, builds, starts the parts and runs the tests. Stops what it started, unless told to `keep` it; also when it
/// is interrupted. Answers the exit code of `cargo test`, or of the build that failed.
///
/// # Errors
/// When something can't be installed, started or stopped.
pub fn run(project: &Project, keep: bool, arguments: &[String]) -> Result<ExitCode> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted)).context("cannot listen for signals")?;
    }
    install::ensure(&[Need::Build, Need::Java, Need::Postgres, Need::Tools])?;
    let (for_cargo, for_tests) = match arguments.iter().position(|argument| argument == "--") {
        Some(at) => arguments.split_at(at),
        None => (arguments, [].as_slice()),
    };
    // `--tests`, unless other targets are chosen: no crate has tests in its documentation, and to look for them takes a minute.
    let mut scope = if selects_packages(for_cargo) { vec![] } else { vec!["--workspace".to_owned()] };
    if !scope.is_empty() && !for_cargo.iter().any(|argument| argument.starts_with('-')) {
        scope.push("--tests".to_owned());
    }
    let test = [&["test".to_owned()], scope.as_slice(), for_cargo].concat();
    let mut builds = vec![[test.as_slice(), &["--no-run".into()]].concat()];
    // The end-to-end tests start the programs, and kill them. One build makes programs and tests: no core waits for the last program to be linked.
    if !scope.is_empty() {
        builds.insert(0, ["build", "--workspace", "--bins", "--tests"].map(ToOwned::to_owned).to_vec());
    } else if for_cargo.iter().any(|argument| argument.contains(END_TO_END)) {
        builds.insert(0, ["build", "--workspace", "--bins"].map(ToOwned::to_owned).to_vec());
    }
    // Built before anything is started: nothing is, for what does not compile.
    for build in builds {
        let status = cargo(project, &build, &up::Up::none(), &interrupted)?;
        if !status.success() {
            return Ok(code(status));
        }
    }
    let up = up::all(project)?;
    let status = cargo(project, &[test.as_slice(), for_tests].concat(), &up, &interrupted);
    if !keep && !up.started.is_empty() {
        up::down(project, false)?;
    }
    Ok(code(status?))
}

fn selects_packages(arguments: &[String]) -> bool {
    let selects = |argument: &String| argument.starts_with("-p") || argument.starts_with("--package");
    arguments.iter().any(selects)
}

/// Runs cargo at the root of the clone with the addresses in its environment, until it ends or we are told to.
fn cargo(project: &Project, arguments: &[String], up: &up::Up, interrupted: &AtomicBool) -> Result<ExitStatus> {
    // Cargo names itself, so that the same toolchain is used throughout.
    let program = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(program);
    command.args(arguments).envs(&up.addresses).current_dir(project.root());
    if env::var_os(TEST_THREADS).is_none() {
        let cores = thread::available_parallelism().map_or(2, NonZero::get);
        command.env(TEST_THREADS, (TESTS_PER_CORE * cores).to_string());
    }
    let mut child = command.spawn().context("cannot run cargo")?;
    wait(&mut child, interrupted)
}

/// Waits for a child. A terminal sends Ctrl-C to it as well; a SIGTERM came to us alone and is handed on.
fn wait(child: &mut Child, interrupted: &AtomicBool) -> Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait().context("cannot wait for cargo")? {
            return Ok(status);
        }
        if interrupted.swap(false, Ordering::Relaxed) {
            process::signal(child.id(), "TERM")?;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// The exit code of a child; one that a signal ended counts as failed.
fn code(status: ExitStatus) -> ExitCode {
    let number = status.code().and_then(|code| u8::try_from(code).ok());
    number.map_or(ExitCode::FAILURE, ExitCode::from)
}
