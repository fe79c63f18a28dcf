//! Code, topics.yaml, Compose, README and documents name the same programs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::*;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn topics_yaml_schemas_and_the_code_of_all_consumers_agree() {
    let problems: Vec<String> = problems(Choreography::embedded()).iter().map(ToString::to_string).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn the_lines_here_and_topics_yaml_name_the_same_consumers_and_schemas() {
    let choreography = Choreography::embedded();
    let here = consumers()
        .into_iter()
        .map(|consumer| (consumer.name, consumer.schemas.into_iter().map(|(schema, _)| schema).collect::<Vec<_>>()));
    let there = choreography.consumers.names().map(|name| (name, choreography.schemas_of(name)));
    assert_eq!(here.collect::<Vec<_>>(), there.collect::<Vec<_>>());
    assert!(choreography.programs.names().eq([outbox_relay::NAME]));
}

/// Compose itself is compared with topics.yaml service by service, in xtask/src/docker_compose.rs.
#[test]
fn readme_compose_alerts_and_documents_name_the_programs_that_there_are() {
    let choreography = Choreography::embedded();
    let programs: Vec<&str> = choreography.default_programs().collect();
    let readme = read("README.md").replace(" on ", " ");
    for (name, program) in choreography.all_programs().filter(|(name, _)| programs.contains(name)) {
        let expected = format!("{name} {}", program.port);
        assert!(readme.replace('\n', " ").contains(&expected), "README.md does not say: {expected}");
    }
    let compose = read("docker-compose.yml");
    let started: Vec<&str> =
        compose.split("command: [quadrille-").skip(1).filter_map(|rest| rest.split(']').next()).collect();
    assert_eq!(started, programs, "docker-compose.yml");
    for path in ["docs/restore.md", "docs/scaling.md", "docs/parts.md", "docs/configuration.md"] {
        let text = read(path).replace('-', "_").replace("| tracker", "| saga_tracker");
        for consumer in choreography.default_consumers().map(|name| name.replace('-', "_")) {
            assert!(text.contains(&consumer), "{path} does not name {consumer}");
        }
    }
    for path in ["docs/alerts/quadrille.rules.yml", "docs/alerts/quadrille.rules.test.yml"] {
        let text = read(path);
        for label in text.split("consumer=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(programs.contains(&label), "{path}: there is no consumer {label}");
        }
    }
}

/// Files of a folder that hold this word, by their paths from the top.
fn naming(folder: &Path, word: &str, found: &mut BTreeSet<String>) {
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('.') || ["target", "tests", "Cargo.lock"].contains(&name.as_str()) || name.ends_with(".md")
        {
            continue;
        }
        if path.is_dir() {
            naming(&path, word, found);
        } else if std::fs::read_to_string(&path).is_ok_and(|text| text.contains(word)) {
            found.insert(path.strip_prefix(root()).unwrap().display().to_string());
        }
    }
}

/// What docs/adding-a-consumer.md promises of a new consumer.
#[test]
fn the_example_is_named_in_few_files_outside_of_its_folder_and_is_short() {
    let mut found = BTreeSet::new();
    naming(&root(), "loyalty", &mut found);
    let (inside, outside): (Vec<String>, Vec<String>) =
        found.into_iter().partition(|path| path.starts_with("examples/loyalty/"));
    let outside: Vec<&str> = outside.iter().map(String::as_str).filter(|path| !path.ends_with("/tests.rs")).collect();
    assert_eq!(outside, ["Cargo.toml", "crates/pipeline/Cargo.toml", "crates/pipeline/src/lib.rs", "topics.yaml"]);
    assert!(!inside.is_empty());
    let sources = std::fs::read_dir(root().join("examples/loyalty/src")).unwrap().map(|entry| entry.unwrap().path());
    let texts = sources.filter_map(|path| std::fs::read_to_string(path).ok());
    let is_code = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with("//");
    let lines: usize = texts.map(|text| text.lines().filter(is_code).count()).sum();
    assert!(lines < 250, "{lines} lines of code");
}

#[test]
fn every_excerpt_of_the_tutorial_stands_in_its_file() {
    let tutorial = read("docs/adding-a-consumer.md");
    let mut compared = 0;
    for block in tutorial.split("\n```").skip(1).step_by(2) {
        let (head, excerpt) = block.split_once('\n').unwrap();
        let Some((_, path)) = head.split_once(' ') else { continue };
        assert!(read(path).contains(excerpt), "docs/adding-a-consumer.md: not in {path}:\n{excerpt}");
        compared += 1;
    }
    assert!(compared > 10, "{compared} excerpts");
}
