//! Apache Kafka: one broker that is its own controller, from Maven Central.

use std::{
    fs::{self, File},
    io::Read,
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
    stack::{HOST, KAFKA_JVM, KAFKA_POM, KAFKA_PROPERTIES, KAFKA_VERSION, Part, Port},
};

/// How long the broker may take to serve; it takes 3 s, and longer when it recovers many partitions after a crash.
pub const READY_WITHIN: Duration = Duration::from_secs(120);
/// How long it may take to stop.
pub const STOP_WITHIN: Duration = Duration::from_secs(30);

/// Starts the broker, with a cluster of its own at the first time. It serves when [`is_ready`] says so.
///
/// # Errors
/// When it can't be downloaded, set up or started.
pub fn start(project: &Project, ports: &Ports) -> Result<u32> {
    let java = java::link(project)?;
    let lib = install(project)?;
    let properties = write_properties(project, ports)?;
    let classes = format!("{}/*", lib.display());
    let log_settings = project.root().join("xtask/stack/log4j2.properties");
    let logging = format!("-Dlog4j2.configurationFile={}", log_settings.display());

    if !project.data("kafka").join("meta.properties").exists() {
        let output = Command::new(&java)
            .args(["-XX:TieredStopAtLevel=1", &logging, "-cp", &classes, "kafka.tools.StorageTool", "format"])
            .args(["--cluster-id", &cluster_id()?, "--config"])
            .arg(&properties)
            .stdin(Stdio::null())
            .output()
            .context("cannot run Kafka's StorageTool")?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            bail!("Kafka could not set up {}: {}", project.data("kafka").display(), text.trim());
        }
    }
    let mut command = Command::new(&java);
    command
        .args(KAFKA_JVM)
        // Half alive is worse than dead: clients of a broker that died are told, and `up` starts it again.
        .arg("-XX:+ExitOnOutOfMemoryError")
        .arg(format!("-XX:ErrorFile={}", project.log("kafka-crash").display()))
        .args([&Mark::new(project, Part::Kafka.name()).java(), &logging, "-cp", &classes, "kafka.Kafka"])
        .arg(&properties)
        .current_dir(project.folder());
    process::start(&command, project.new_log(Part::Kafka.name())?)
}

/// Whether the broker serves.
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

/// The committed settings, and what depends on this clone: addresses and the data folder.
fn write_properties(project: &Project, ports: &Ports) -> Result<PathBuf> {
    let number = |port: Port| ports.get(port).with_context(|| format!("no port was chosen for {}", port.name()));
    let (client, controller) = (number(Port::Kafka)?, number(Port::Controller)?);
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

/// A new cluster id: 16 random bytes in URL-safe base64, as Kafka makes them, and none that reads as an option.
fn cluster_id() -> Result<String> {
    loop {
        let mut bytes = [0_u8; 16];
        let mut source = File::open("/dev/urandom").context("cannot draw a cluster id")?;
        source.read_exact(&mut bytes).context("cannot draw a cluster id")?;
        let id = base64(&bytes);
        if !id.starts_with('-') {
            return Ok(id);
        }
    }
}

/// URL-safe base64 without padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let encode = |group: &[u8]| {
        let padded = [group[0], group.get(1).copied().unwrap_or(0), group.get(2).copied().unwrap_or(0)];
        let bits = u32::from_be_bytes([0, padded[0], padded[1], padded[2]]);
        let digit = move |place: usize| char::from(DIGITS[(bits >> (18 - 6 * place)) as usize & 63]);
        (0..=group.len()).map(digit).collect::<String>()
    };
    bytes.chunks(3).map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_rfc_4648() {
        assert_eq!(base64(b"foobar"), "Zm9vYmFy");
        assert_eq!(base64(b"fooba"), "Zm9vYmE");
        assert_eq!(base64(b"foob"), "Zm9vYg");
        assert_eq!(base64(&[0xfb, 0xff]), "-_8");
    }

    #[test]
    fn a_cluster_id_is_never_taken_for_an_option() {
        let ids: Vec<String> = (0..500).map(|_| cluster_id().unwrap()).collect();
        assert!(ids.iter().all(|id| id.len() == 22 && !id.starts_with('-')));
    }
}
