//! Tests of the documents: links lead somewhere, and what comments cite is written down.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// The text files with one of these endings, below the folders of the project and in its root.
fn files(endings: &[&str]) -> Vec<(PathBuf, String)> {
    let mut folders = vec![root()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the project") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('.') && name != "target" && name != "node_modules" {
                folders.push(path);
            } else if endings.iter().any(|ending| name.ends_with(ending)) && name != "documents.rs" {
                found.push((path.clone(), fs::read_to_string(&path).expect("text")));
            }
        }
    }
    assert!(!found.is_empty(), "no {endings:?}");
    found
}

/// The number behind each place where `words` stand.
fn numbers_behind<'t>(text: &'t str, words: &'t str) -> impl Iterator<Item = u32> + 't {
    text.split(words).skip(1).filter_map(|rest| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    })
}

/// The numbers with which rows of a document's tables begin.
fn rows(document: &str) -> BTreeSet<u32> {
    let text = fs::read_to_string(root().join(document)).expect(document);
    text.lines().flat_map(|line| numbers_behind(line.get(..8).unwrap_or(line), "| ").collect::<Vec<_>>()).collect()
}

/// GitHub's anchor of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|of| of.is_alphanumeric() || matches!(of, ' ' | '-' | '_'));
    kept.map(|of| if of == ' ' { '-' } else { of.to_ascii_lowercase() }).collect()
}

#[test]
fn every_link_of_a_document_leads_to_a_file_and_a_heading_that_exist() {
    let mut broken = Vec::new();
    for (path, text) in files(&[".md"]) {
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let images = text.split("src=\"").skip(1).filter_map(|rest| rest.split('"').next());
        for link in links.chain(images).filter(|link| !link.contains("://") && !link.contains([' ', '{', '`'])) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { path.clone() } else { path.parent().expect("a folder").join(file) };
            let is_there = || {
                let text = fs::read_to_string(&target).unwrap_or_default();
                let mut headings = text.lines().filter(|line| line.starts_with('#'));
                headings.any(|line| anchor(line.trim_start_matches('#')) == heading)
                    || text.contains(&format!("id=\"{heading}\""))
            };
            if !target.exists() || !heading.is_empty() && !is_there() {
                broken.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn what_comments_cite_is_written_down() {
    let decisions: BTreeSet<u32> = fs::read_dir(root().join("docs/adr"))
        .expect("docs/adr")
        .filter_map(|entry| entry.ok()?.file_name().to_string_lossy().get(..4)?.parse().ok())
        .collect();
    let (edge_cases, reports) = (rows("docs/edge-cases.md"), rows("docs/cases.md"));
    assert!(decisions.len() > 20 && edge_cases.len() == 36 && reports.len() > 25, "{decisions:?} {reports:?}");
    let mut missing = Vec::new();
    for (path, text) in files(&[".rs", ".md", ".yaml", ".yml"]) {
        // What was merged stands in a table of docs/adr/README.md, and in the changelog.
        if !path.ends_with("docs/adr/README.md") && !path.ends_with("CHANGELOG.md") {
            for number in numbers_behind(&text, "ADR ").filter(|number| !decisions.contains(number)) {
                missing.push(format!("{}: ADR {number}", path.display()));
            }
        }
        for (words, there) in [("dge case ", &edge_cases), ("dge cases ", &edge_cases), ("/ Report ", &reports)] {
            for number in numbers_behind(&text, words).filter(|number| !there.contains(number)) {
                missing.push(format!("{}: {words}{number}", path.display()));
            }
        }
        for name in text.split(|of: char| !of.is_ascii_alphanumeric() && !"/.-_".contains(of)) {
            if name.starts_with("docs/") && name.ends_with(".md") && !root().join(name).exists() {
                missing.push(format!("{}: {name}", path.display()));
            }
            if ["PROTOCOL.md", "EDGE-CASES.md", "TECHNIQUE.md", "CHOREOGRAPHY.md"].contains(&name) {
                missing.push(format!("{}: {name}, which is not in the repository", path.display()));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}
