//! Java programs: which Java runs them, and how Maven fetches them.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::{
    process::{self, Mark},
    project::{Project, remove},
    stack::{JAVA_VERSION, Part},
};

/// The version that Maven 3 ships with. Later ones also read the parent of what they copy, which Apicurio's publishers
/// left out.
const DEPENDENCY_PLUGIN: &str = "org.apache.maven.plugins:maven-dependency-plugin:2.8";

pub fn find() -> Option<PathBuf> {
    let home = env::var_os("JAVA_HOME").map(|home| Path::new(&home).join("bin/java"));
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&path).map(|folder| folder.join("java")).collect::<Vec<_>>();
    let installed = fs::read_dir("/usr/lib/jvm").into_iter().flatten().flatten().map(|jvm| jvm.path().join("bin/java"));
    let candidates = home.into_iter().chain(on_path).chain(installed);
    candidates.filter(|java| java.is_file()).find(|java| version(java).is_some_and(|found| found >= JAVA_VERSION))
}

/// The major version that `java -version` prints: `openjdk version "17.0.15" …`.
fn version(java: &Path) -> Option<u32> {
    let output = Command::new(java).arg("-version").stdin(Stdio::null()).output().ok()?;
    major(&String::from_utf8_lossy(&output.stderr))
}

fn major(printed: &str) -> Option<u32> {
    let quoted = printed.lines().find_map(|line| line.split_once(" version \""))?.1;
    quoted.split(['.', '-', '"', '+']).next()?.parse().ok()
}

/// Links the Java that was found to `.quadrille/lib/java`, for xtask and the tools in `bin/`.
pub fn link(project: &Project) -> Result<PathBuf> {
    let java = find().with_context(|| format!("no Java of version {JAVA_VERSION} or later: `cargo xtask install`"))?;
    let link = project.lib("java");
    if fs::read_link(&link).ok().as_ref() != Some(&java) {
        remove(&link)?;
        std::os::unix::fs::symlink(&java, &link).with_context(|| format!("cannot make {}", link.display()))?;
    }
    Ok(link)
}

/// The command of a server in Java, in a session of its own, with its mark.
pub fn server(project: &Project, part: Part, jvm: &[&str]) -> Result<Command> {
    let mut command = Command::new(process::SESSION);
    // Half alive is worse than dead: clients of a server that died are told, and `up` starts it again.
    command.arg(link(project)?).args(jvm).arg("-XX:+ExitOnOutOfMemoryError");
    command.arg(format!("-XX:ErrorFile={}", project.log(&format!("{}-crash", part.name())).display()));
    command.arg(Mark::new(project, part.name()).java()).current_dir(project.folder());
    Ok(command)
}

/// Runs a goal of Maven's dependency plugin. A download whose checksum is wrong fails.
pub fn maven(goal: &str, arguments: &[String]) -> Result<()> {
    let output = Command::new("mvn")
        .args(["--batch-mode", "--quiet", "--strict-checksums"])
        .arg(format!("{DEPENDENCY_PLUGIN}:{goal}"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .context("cannot run Maven (mvn): `cargo xtask install`")?;
    if !output.status.success() {
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        let lines = text.lines().filter(|line| line.contains("ERROR")).take(3).collect::<Vec<_>>().join("\n");
        bail!("Maven could not download (is the network up, is a proxy needed in ~/.m2/settings.xml?):\n{lines}");
    }
    Ok(())
}

/// Fills the folder `name` in `.quadrille/lib` by `fill`, unless it was filled for the same `stamp` before. It is there
/// whole or not at all.
pub fn install(project: &Project, name: &str, stamp: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let folder = project.lib(name);
    let stamp_file = folder.join("stamp");
    if fs::read_to_string(&stamp_file).is_ok_and(|found| found == stamp) {
        return Ok(folder);
    }
    let draft = project.lib(&format!("{name}.new"));
    remove(&draft)?;
    fs::create_dir_all(&draft).with_context(|| format!("cannot create {}", draft.display()))?;
    fill(&draft)?;
    fs::write(draft.join("stamp"), stamp).context("cannot write the stamp")?;
    remove(&folder)?;
    fs::rename(&draft, &folder).with_context(|| format!("cannot move to {}", folder.display()))?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_every_java_prints_them() {
        assert_eq!(major("openjdk version \"17.0.15\" 2025-04-15\nOpenJDK Runtime"), Some(17));
        assert_eq!(major("openjdk version \"21\" 2023-09-19"), Some(21));
        assert_eq!(major("openjdk version \"25-ea\" 2025-09-16"), Some(25));
        assert_eq!(major("Picked up JAVA_TOOL_OPTIONS: -Xmx1g\njava version \"1.8.0_392\""), Some(1));
        assert_eq!(major("command not found"), None);
    }
}
