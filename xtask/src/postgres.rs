//! PostgreSQL, from the system's packages, with a data folder, a port and settings of the clone's own.

use std::{
    env, fs,
    hash::{DefaultHasher, Hash, Hasher},
    io::Write,
    os::unix::{ffi::OsStrExt, fs::symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::{
    ports::Ports,
    process::{self, Mark},
    project::{Project, remove},
    stack::{HOST, INITDB_ARGUMENTS, PASSWORD, POSTGRES_CONF, POSTGRES_INIT, POSTGRES_VERSION, Part, Port, SUPERUSER},
};

/// How long PostgreSQL may take to serve; it takes a fraction of a second, and longer when it replays its log after a
/// crash.
pub const READY_WITHIN: Duration = Duration::from_secs(180);
/// How long it may take to stop, with a last checkpoint.
pub const STOP_WITHIN: Duration = Duration::from_secs(60);
/// PostgreSQL's "fast" shutdown: clients are sent away. SIGTERM would wait for them to leave.
pub const STOP_SIGNAL: &str = "INT";

/// The user that the server runs as when xtask is root's: PostgreSQL refuses root.
const SERVER_USER: &str = "postgres";

pub fn start(project: &Project, ports: &Ports) -> Result<u32> {
    let port = ports.chosen(Port::Postgres)?;
    let home = home(project)?;
    let data = home.join("data");
    let version = fs::read_to_string(data.join("PG_VERSION")).ok();
    let programs = programs(version.as_deref().map(str::trim))?;
    if version.is_none() {
        init(&programs, &home)?;
    }
    write_settings(&data)?;
    remove_stale_lock(&data)?;

    let mut command = as_server(process::SESSION);
    command.arg(programs.join("postgres")).arg("-D").arg(&data).current_dir(&home);
    command.args(["-c", &format!("listen_addresses={HOST}"), "-c", &format!("port={port}")]);
    // No socket: its path may be at most 107 bytes long, which a clone deep in a home exceeds.
    command.args(["-c", "unix_socket_directories=", "-c", Mark::new(project, Part::Postgres.name()).parameter()]);
    if !has_library(&programs, "pg_stat_statements") {
        command.args(["-c", "shared_preload_libraries="]);
    }
    process::start(&mut command, project.new_log(Part::Postgres.name())?)
}

pub fn is_ready(ports: &Ports) -> bool {
    psql(ports, &["-c", "select 1"]).is_ok_and(|mut command| {
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    })
}

pub fn create_databases(ports: &Ports) -> Result<()> {
    let mut command = psql(ports, &["-v", "ON_ERROR_STOP=1", "--file=-"])?;
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().context("cannot run psql")?;
    let mut input = child.stdin.take().context("psql takes no input")?;
    // An error here is one of psql, which says it better.
    let written = input.write_all(POSTGRES_INIT.as_bytes());
    drop(input);
    let output = child.wait_with_output().context("cannot wait for psql")?;
    if !output.status.success() || written.is_err() {
        bail!("xtask/stack/postgres-init.sql failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// Deletes all databases. The server must be stopped.
pub fn wipe(project: &Project) -> Result<()> {
    let home = project.data("postgres");
    if let Ok(elsewhere) = fs::read_link(&home) {
        remove(&elsewhere)?;
    }
    remove(&home)
}

/// The folder with `initdb`, `postgres` and `psql`: of `version`, or the newest that will do.
pub fn programs(version: Option<&str>) -> Result<PathBuf> {
    let folders = |parent: &str, inner: &str| {
        let entries = fs::read_dir(parent).into_iter().flatten().flatten();
        entries.map(|entry| entry.path().join(inner)).collect::<Vec<_>>()
    };
    // Debian's, the PostgreSQL project's (yum), and whatever is on the path.
    let mut candidates = [folders("/usr/lib/postgresql", "bin"), folders("/usr", "bin")].concat();
    candidates.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    let complete = |folder: &PathBuf| ["initdb", "postgres", "psql"].iter().all(|name| folder.join(name).is_file());
    let versioned = candidates.into_iter().filter(complete).filter_map(|folder| Some((major(&folder)?, folder)));
    let fits = |(found, _): &(u32, PathBuf)| match version {
        Some(version) => found.to_string() == version,
        None => *found >= POSTGRES_VERSION,
    };
    let newest = versioned.filter(fits).max_by_key(|(found, _)| *found).map(|(_, folder)| folder);
    newest.with_context(|| match version {
        Some(version) => format!(
            "the data folder is of PostgreSQL {version}, which is not installed: install it, or delete the data with \
             `cargo xtask down --wipe`"
        ),
        None => format!("no PostgreSQL of version {POSTGRES_VERSION} or later: `cargo xtask install`"),
    })
}

/// The major version that `postgres --version` prints: `postgres (PostgreSQL) 15.13 (Debian …)`.
fn major(programs: &Path) -> Option<u32> {
    let output = Command::new(programs.join("postgres")).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = text.split_once("(PostgreSQL) ")?.1;
    version.split(|digit: char| !digit.is_ascii_digit()).next()?.parse().ok()
}

/// Whether an extension's library is there: beside the programs (Debian, the PostgreSQL project), or in Fedora's or Arch's
/// folder.
fn has_library(programs: &Path, name: &str) -> bool {
    let beside = programs.parent().map(|prefix| prefix.join("lib").join(format!("{name}.so")));
    let others = ["/usr/lib64/pgsql", "/usr/lib/postgresql"].map(|folder| Path::new(folder).join(format!("{name}.so")));
    beside.into_iter().chain(others).any(|library| library.is_file())
}

/// The folder of the server's files, `.quadrille/data/postgres`; or, where the server's user can't get there, one that
/// it can get to, with a link in that place.
fn home(project: &Project) -> Result<PathBuf> {
    let own = project.data("postgres");
    if let Ok(elsewhere) = fs::read_link(&own) {
        make_home(&elsewhere)?;
        return Ok(elsewhere);
    }
    make_home(&own)?;
    if can_enter(&own) {
        return Ok(own);
    }
    let parent = ["/var/lib/postgresql", "/var/tmp"].map(Path::new).into_iter().find(|folder| can_enter(folder));
    let parent = parent.with_context(|| {
        format!("the user {SERVER_USER} can enter neither {} nor /var/lib/postgresql nor /var/tmp", own.display())
    })?;
    let mut hasher = DefaultHasher::new();
    project.root().as_os_str().as_bytes().hash(&mut hasher);
    let elsewhere = parent.join(format!("quadrille-{:016x}", hasher.finish()));
    println!(
        "postgres: runs as the user {SERVER_USER}, who can't enter {}; its data goes to {}",
        project.root().display(),
        elsewhere.display()
    );
    // Without the link it is a leftover of a `.quadrille/` that was deleted; its databases know of topics that are gone.
    remove(&elsewhere)?;
    make_home(&elsewhere)?;
    remove(&own)?;
    symlink(&elsewhere, &own).with_context(|| format!("cannot make the link {}", own.display()))?;
    Ok(elsewhere)
}

fn make_home(home: &Path) -> Result<()> {
    fs::create_dir_all(home).with_context(|| format!("cannot create {}", home.display()))?;
    if process::is_root() {
        process::run(Command::new("chown").arg(format!("{SERVER_USER}:")).arg(home))?;
    }
    process::run(Command::new("chmod").arg("0700").arg(home))
}

fn can_enter(folder: &Path) -> bool {
    let mut command = as_server("sh");
    command
        .args(["-c", "cd \"$1\" && test -w . && test -x .", "sh"])
        .arg(folder)
        .current_dir("/")
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// A command that runs as the server's user: ourselves, unless we are root.
fn as_server(program: &str) -> Command {
    if !process::is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={SERVER_USER}"), &format!("--regid={SERVER_USER}"), "--init-groups"]).arg(program);
    command
}

/// Makes the data folder: under another name at first, so that a half-made one is never taken for whole.
fn init(programs: &Path, home: &Path) -> Result<()> {
    let script = "umask 077 && rm -rf data.new password && printf '%s' \"$2\" > password \
                  && initdb=$1 && user=$3 && shift 3 \
                  && \"$initdb\" -D data.new --username=\"$user\" --pwfile=password \"$@\" \
                  && rm password && mv data.new data";
    let mut command = as_server("sh");
    command.args(["-c", script, "sh"]).arg(programs.join("initdb")).args([PASSWORD, SUPERUSER]).args(INITDB_ARGUMENTS);
    process::run(command.current_dir(home))
}

/// Writes the committed settings over those that initdb made, at every start: nothing else is in force.
fn write_settings(data: &Path) -> Result<()> {
    let path = data.join("postgresql.conf");
    let note = "# Written by `cargo xtask up` from xtask/stack/postgresql.conf: changes here are lost.\n";
    fs::write(&path, format!("{note}{POSTGRES_CONF}")).with_context(|| format!("cannot write {}", path.display()))
}

/// Deletes the server's lock file when no server works in its folder. After a crash or a reboot the id in it may be
/// that of a stranger, whom the server would take for itself, and refuse to start.
fn remove_stale_lock(data: &Path) -> Result<()> {
    let lock = data.join("postmaster.pid");
    if !lock.exists() {
        return Ok(());
    }
    let works_here = |pid: &u32| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|folder| folder == data);
    // Children of a server that was killed leave by themselves within moments.
    let empty = process::until(Duration::from_secs(10), || {
        process::all().is_ok_and(|all| !all.iter().any(|pid| works_here(pid) && process::alive(*pid)))
    });
    if !empty {
        bail!("another PostgreSQL works in {} (see postmaster.pid there): stop it", data.display());
    }
    remove(&lock)
}

fn psql(ports: &Ports, arguments: &[&str]) -> Result<Command> {
    let port = ports.chosen(Port::Postgres)?;
    let mut command = Command::new(programs(None)?.join("psql"));
    command
        .args(["--no-psqlrc", "--quiet", "--no-password", "-h", HOST, "-p", &port.to_string(), "-U", SUPERUSER])
        .args(["-d", "postgres"])
        .args(arguments)
        .env("PGPASSWORD", PASSWORD)
        .env("PGCONNECT_TIMEOUT", "5")
        .stdin(Stdio::null());
    Ok(command)
}
