//! The Apicurio schema registry, from Maven Central, with its schemas in PostgreSQL.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::{
    java,
    ports::Ports,
    probe,
    process::{self, Mark},
    project::Project,
    stack::{HOST, Part, Port, REGISTRY_DATABASE, REGISTRY_JVM, REGISTRY_SETTINGS, REGISTRY_VERSION},
};

/// How long the registry may take to serve; it takes 4 s.
pub const READY_WITHIN: Duration = Duration::from_secs(120);
/// How long it may take to stop.
pub const STOP_WITHIN: Duration = Duration::from_secs(20);

/// Starts the registry; PostgreSQL must be ready. It serves when [`is_ready`] says so.
///
/// # Errors
/// When it can't be downloaded or started.
pub fn start(project: &Project, ports: &Ports) -> Result<u32> {
    let java = java::link(project)?;
    let lib = install(project)?;
    let number = |port: Port| ports.get(port).with_context(|| format!("no port was chosen for {}", port.name()));
    let (own, postgres) = (number(Port::Registry)?, number(Port::Postgres)?);
    let mut command = Command::new(&java);
    command
        .args(REGISTRY_JVM)
        .arg("-XX:+ExitOnOutOfMemoryError")
        .arg(format!("-XX:ErrorFile={}", project.log("registry-crash").display()))
        .arg(Mark::new(project, Part::Registry.name()).java())
        // Which database it stores in, readable from its arguments: it must be restarted when that moves.
        .arg(database_mark(postgres))
        .arg("-jar")
        .arg(lib.join(format!("apicurio-registry-app-{REGISTRY_VERSION}-runner.jar")))
        .envs(REGISTRY_SETTINGS.iter().copied())
        .env("QUARKUS_HTTP_HOST", HOST)
        .env("QUARKUS_HTTP_PORT", own.to_string())
        .env("APICURIO_DATASOURCE_URL", format!("jdbc:postgresql://{HOST}:{postgres}/{REGISTRY_DATABASE}"))
        .current_dir(project.folder());
    process::start(&command, project.new_log(Part::Registry.name())?)
}

fn database_mark(port: u16) -> String {
    format!("-Dquadrille.database.port={port}")
}

/// Whether the running registry `pid` stores its schemas in the PostgreSQL that listens on the chosen port.
pub fn stores_here(pid: u32, ports: &Ports) -> bool {
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mark = ports.get(Port::Postgres).map(database_mark).unwrap_or_default();
    arguments.split(|&byte| byte == 0).any(|argument| argument == mark.as_bytes())
}

/// Whether the registry serves, its database included.
pub fn is_ready(ports: &Ports) -> bool {
    ports.get(Port::Registry).is_some_and(|port| probe::http(port, "/health/ready"))
}

fn install(project: &Project) -> Result<PathBuf> {
    java::install(project, "registry", REGISTRY_VERSION, |folder| {
        println!("registry: downloading Apicurio {REGISTRY_VERSION} (109 MB)");
        let artifact = format!("-Dartifact=io.apicurio:apicurio-registry-app:{REGISTRY_VERSION}:tar.gz:all");
        java::maven("copy", &[artifact, format!("-DoutputDirectory={}", folder.display())])?;
        let archive = folder.join(format!("apicurio-registry-app-{REGISTRY_VERSION}-all.tar.gz"));
        let mut unpack = Command::new("tar");
        unpack.arg("-xzf").arg(&archive).arg("-C").arg(folder).arg("--no-same-owner").stdin(Stdio::null());
        let status = unpack.status().context("cannot run tar")?;
        if !status.success() {
            bail!("tar could not unpack {}: delete ~/.m2/repository/io/apicurio and try again", archive.display());
        }
        fs::remove_file(&archive).with_context(|| format!("cannot delete {}", archive.display()))
    })
}
