//! `cargo xtask test`: every test of the workspace, against the real parts, which are left as they were found.

use std::{
    env,
    num::NonZero,
    process::{ExitCode, ExitStatus},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{
    addresses::Addresses,
    install::{self, Need},
    process,
    project::Project,
    up,
};

const END_TO_END: &str = "quadrille-tests";

/// Rust's own variable: how many tests run side by side.
const TEST_THREADS: &str = "RUST_TEST_THREADS";
/// More than one: an end-to-end test waits now and then, for a group that forms, for a broker's answer.
const TESTS_PER_CORE: usize = 2;

/// Installs, builds, starts the parts and runs the tests. Stops what it started, unless told to `keep` it; also when it
/// is interrupted. Answers the exit code of `cargo test`, or of the build that failed.
pub fn run(project: &Project, keep: bool, arguments: &[String]) -> Result<ExitCode> {
    let interrupted = process::interrupted()?;
    install::ensure(&[Need::Build, Need::Java, Need::Postgres, Need::Tools])?;
    let (for_cargo, for_tests) = match arguments.iter().position(|argument| argument == "--") {
        Some(at) => arguments.split_at(at),
        None => (arguments, [].as_slice()),
    };
    // `--tests`, unless other targets are chosen: no crate has tests in its documentation, and to look for them takes a minute.
    let selects = |argument: &String| argument.starts_with("-p") || argument.starts_with("--package");
    let mut scope = if for_cargo.iter().any(selects) { vec![] } else { vec!["--workspace".to_owned()] };
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
        let status = cargo(project, &build, &Addresses::new(), &interrupted)?;
        if !status.success() {
            return Ok(code(status));
        }
    }
    let up = up::all(project)?;
    let status = cargo(project, &[test.as_slice(), for_tests].concat(), &up.addresses, &interrupted);
    if !keep && !up.started.is_empty() {
        up::down(project, false)?;
    }
    Ok(code(status?))
}

/// Runs cargo at the root of the clone with the addresses in its environment, until it ends or we are told to.
fn cargo(
    project: &Project,
    arguments: &[String],
    addresses: &Addresses,
    interrupted: &AtomicBool,
) -> Result<ExitStatus> {
    let mut command = project.cargo();
    command.args(arguments).envs(addresses);
    if env::var_os(TEST_THREADS).is_none() {
        let cores = thread::available_parallelism().map_or(2, NonZero::get);
        command.env(TEST_THREADS, (TESTS_PER_CORE * cores).to_string());
    }
    let mut child = command.spawn().context("cannot run cargo")?;
    // A terminal sends Ctrl-C to it as well; a SIGTERM came to us alone and is handed on.
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

fn code(status: ExitStatus) -> ExitCode {
    let number = status.code().and_then(|code| u8::try_from(code).ok());
    number.map_or(ExitCode::FAILURE, ExitCode::from)
}
