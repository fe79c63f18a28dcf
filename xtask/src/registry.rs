//! The Apicurio schema registry, from Maven Central, with its schemas in PostgreSQL.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use anyhow::{Context, Result};

use crate::{
    java,
    ports::Ports,
    probe, process,
    project::{Project, remove},
    stack::{HOST, Part, Port, REGISTRY_DATABASE, REGISTRY_JVM, REGISTRY_SETTINGS, REGISTRY_VERSION},
};

/// How long the registry may take to serve; it takes 4 s.
pub const READY_WITHIN: Duration = Duration::from_secs(120);
pub const STOP_WITHIN: Duration = Duration::from_secs(20);

pub fn start(project: &Project, ports: &Ports) -> Result<u32> {
    let lib = install(project)?;
    let (own, postgres) = (ports.chosen(Port::Registry)?, ports.chosen(Port::Postgres)?);
    let mut command = java::server(project, Part::Registry, REGISTRY_JVM)?;
    command
        // Which database it stores in, readable from its arguments: it must be restarted when that moves.
        .arg(database_mark(postgres))
        .arg("-jar")
        .arg(lib.join(format!("apicurio-registry-app-{REGISTRY_VERSION}-runner.jar")))
        .envs(REGISTRY_SETTINGS.iter().copied())
        .env("QUARKUS_HTTP_HOST", HOST)
        .env("QUARKUS_HTTP_PORT", own.to_string())
        .env("APICURIO_DATASOURCE_URL", format!("jdbc:postgresql://{HOST}:{postgres}/{REGISTRY_DATABASE}"));
    process::start(&mut command, project.new_log(Part::Registry.name())?)
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
        unpack.arg("-xzf").arg(&archive).arg("-C").arg(folder).arg("--no-same-owner");
        process::run(&mut unpack).context("delete ~/.m2/repository/io/apicurio and try again")?;
        remove(&archive)
    })
}
