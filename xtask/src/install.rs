//! Installs what a machine lacks: with apt on Debian and Ubuntu; elsewhere it says what to install.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, anyhow, bail};

use crate::{
    java, postgres, process,
    stack::{JAVA_VERSION, POSTGRES_VERSION, Part},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// To compile the workspace: librdkafka and zstd are C, and TLS is the system's.
    Build,
    /// To run Kafka and the registry.
    Java,
    /// To run PostgreSQL.
    Postgres,
    /// To try the README, and for the tests that do.
    Tools,
}

impl Need {
    pub const fn of(part: Part) -> Self {
        match part {
            Part::Kafka | Part::Registry => Self::Java,
            Part::Postgres => Self::Postgres,
        }
    }
}

struct Requirement {
    need: Need,
    what: String,
    /// Debian's packages that bring it: those of the first entry, and if they didn't, those of the next.
    packages: &'static [&'static [&'static str]],
    is_there: fn() -> bool,
}

fn requirements() -> Vec<Requirement> {
    let one = |need, what: &str, packages, is_there| Requirement { need, what: what.to_owned(), packages, is_there };
    vec![
        one(Need::Build, "a C and C++ compiler", &[&["gcc", "g++", "libc6-dev"]], || runs("cc") && runs("c++")),
        one(Need::Build, "make", &[&["make"]], || runs("make")),
        one(Need::Build, "pkg-config", &[&["pkg-config"]], || runs("pkg-config")),
        one(Need::Build, "zlib with headers", &[&["zlib1g-dev"]], || succeeds("pkg-config", &["--exists", "zlib"])),
        one(Need::Build, "OpenSSL with headers", &[&["libssl-dev"]], || {
            succeeds("pkg-config", &["--exists", "openssl"])
        }),
        one(
            Need::Java,
            &format!("Java {JAVA_VERSION} or later"),
            &[&["default-jre-headless"], &["openjdk-17-jre-headless"]],
            || java::find().is_some(),
        ),
        one(Need::Java, "Maven 3", &[&["maven"]], || runs("mvn")),
        one(
            Need::Postgres,
            &format!(
                "PostgreSQL {POSTGRES_VERSION} or later, server and psql (an older Ubuntu gets one from \
                 https://wiki.postgresql.org/wiki/Apt; or set DATABASE_URL)"
            ),
            &[&["postgresql", "postgresql-client"]],
            || postgres::programs(None).is_ok(),
        ),
        one(Need::Tools, "kcat", &[&["kcat"]], || runs("kcat")),
        one(Need::Tools, "PgBouncer", &[&["pgbouncer"]], || {
            runs("pgbouncer") || Path::new("/usr/sbin/pgbouncer").is_file()
        }),
        one(Need::Tools, "promtool", &[&["prometheus"]], || runs("promtool")),
        one(Need::Tools, "Python 3 with venv", &[&["python3", "python3-venv"]], || {
            succeeds("python3", &["-c", "import venv, ensurepip"])
        }),
    ]
}

/// Makes sure that the machine has all that is needed for these.
pub fn ensure(needs: &[Need]) -> Result<()> {
    let wanted: Vec<Requirement> = requirements().into_iter().filter(|one| needs.contains(&one.need)).collect();
    let mut missing: Vec<&Requirement> = wanted.iter().filter(|one| !(one.is_there)()).collect();
    let rounds = missing.iter().map(|one| one.packages.len()).max().unwrap_or(0);
    for round in 0..rounds {
        let packages: Vec<&str> =
            missing.iter().filter_map(|one| one.packages.get(round)).copied().flatten().copied().collect();
        if !packages.is_empty() {
            apt(&packages).map_err(|reason| anyhow!("{}\n{reason:#}", lacking(&missing)))?;
        }
        missing.retain(|one| !(one.is_there)());
    }
    if !missing.is_empty() {
        bail!("{}\napt did not bring it: install it by hand", lacking(&missing));
    }
    Ok(())
}

fn lacking(missing: &[&Requirement]) -> String {
    let one = |one: &&Requirement| format!("\n  {} (Debian: {})", one.what, one.packages[0].join(" "));
    format!("this machine lacks:{}", missing.iter().map(one).collect::<String>())
}

/// Installs packages, as root or through sudo.
fn apt(packages: &[&str]) -> Result<()> {
    let list = packages.join(" ");
    if !runs("apt-get") {
        bail!("There is no apt here: install it with this system's package manager, then try again.");
    }
    let prefix: &[&str] = if process::is_root() { &[] } else { &["sudo", "-n"] };
    if !prefix.is_empty() && !succeeds("sudo", &["-n", "true"]) {
        bail!(
            "There is no root, and no sudo without a password: type `sudo apt-get update && sudo apt-get install -y {list}`, then try again"
        );
    }
    println!("installing with apt: {list}");
    let run = |arguments: &[&str]| {
        let line = [prefix, &["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"], arguments].concat();
        // Another apt may be at work (a fresh machine updates itself): wait for it.
        let mut command = Command::new(line[0]);
        command.args(&line[1..]).args(["-qq", "-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Use-Pty=0"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).status()
    };
    let updated = run(&["update"]).context("cannot run apt-get")?;
    let installed = run(&[&["install", "-y", "--no-install-recommends"], packages].concat());
    if !installed.context("cannot run apt-get")?.success() {
        let why = if updated.success() { "" } else { " (nor could `apt-get update` reach its servers)" };
        bail!("`apt-get install {list}` failed{why}; what it printed is above");
    }
    Ok(())
}

fn runs(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| Path::new(&folder).join(program).is_file())
}

fn succeeds(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_the_packages_that_bring_it() {
        let all = requirements();
        let text = lacking(&all.iter().collect::<Vec<_>>());
        for words in ["Java 17 or later (Debian: default-jre-headless)", "zlib with headers (Debian: zlib1g-dev)"] {
            assert!(text.contains(words), "{text}");
        }
    }
}
