//! Apache Kafka: one broker that is its own controller, from Maven Central.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use anyhow::{Context, Result};

use crate::{
    java,
    ports::Ports,
    probe, process,
    project::Project,
    stack::{HOST, KAFKA_JVM, KAFKA_POM, KAFKA_PROPERTIES, KAFKA_VERSION, Part, Port},
};

/// How long the broker may take to serve; it takes 3 s, and longer when it recovers many partitions after a crash.
pub const READY_WITHIN: Duration = Duration::from_secs(120);
pub const STOP_WITHIN: Duration = Duration::from_secs(30);

pub fn start(project: &Project, ports: &Ports) -> Result<u32> {
    let java = java::link(project)?;
    let lib = install(project)?;
    let properties = write_properties(project, ports)?;
    let classes = format!("{}/*", lib.display());
    let log_settings = project.root().join("xtask/stack/log4j2.properties");
    let logging = format!("-Dlog4j2.configurationFile={}", log_settings.display());

    if !project.data("kafka").join("meta.properties").exists() {
        let mut format = Command::new(&java);
        format.args(["-XX:TieredStopAtLevel=1", &logging, "-cp", &classes, "kafka.tools.StorageTool", "format"]);
        process::run(format.args(["--cluster-id", &cluster_id()?, "--config"]).arg(&properties))?;
    }
    let mut command = java::server(project, Part::Kafka, KAFKA_JVM)?;
    command.args([&logging, "-cp", &classes, "kafka.Kafka"]).arg(&properties);
    process::start(&mut command, project.new_log(Part::Kafka.name())?)
}

pub fn is_ready(ports: &Ports) -> bool {
    ports.get(Port::Kafka).is_some_and(probe::kafka)
}

fn install(project: &Project) -> Result<PathBuf> {
    java::install(project, "kafka", KAFKA_POM, |folder| {
        println!("kafka: downloading Apache Kafka {KAFKA_VERSION} (55 MB)");
        let pom = project.root().join("xtask/stack/kafka-pom.xml");
        let arguments = [
            format!("--file={}", pom.display()),
            format!("-DoutputDirectory={}", folder.display()),
            "-DincludeScope=runtime".into(),
        ];
        java::maven("copy-dependencies", &arguments)
    })
}

fn write_properties(project: &Project, ports: &Ports) -> Result<PathBuf> {
    let (client, controller) = (ports.chosen(Port::Kafka)?, ports.chosen(Port::Controller)?);
    let text = format!(
        "# Written by `cargo xtask up` from xtask/stack/kafka.properties: changes here are lost.\n{KAFKA_PROPERTIES}\n\
         controller.quorum.voters=1@{HOST}:{controller}\n\
         listeners=PLAINTEXT://{HOST}:{client},CONTROLLER://{HOST}:{controller}\n\
         advertised.listeners=PLAINTEXT://{HOST}:{client}\n\
         log.dirs={}\n",
        project.data("kafka").display()
    );
    let path = project.folder().join("kafka.properties");
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// A new cluster id: 22 characters of URL-safe base64, as Kafka's own, of which the digits of Linux's random UUIDs are some. The last stands for two bits.
fn cluster_id() -> Result<String> {
    let random = fs::read_to_string("/proc/sys/kernel/random/uuid").context("cannot draw a cluster id")?;
    Ok(random.chars().filter(char::is_ascii_hexdigit).take(21).chain(['A']).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_id_is_one_that_kafka_takes_and_another_each_time() {
        let ids: std::collections::BTreeSet<String> = (0..500).map(|_| cluster_id().unwrap()).collect();
        assert!(ids.len() == 500 && ids.iter().all(|id| id.len() == 22 && !id.starts_with('-')));
    }
}
