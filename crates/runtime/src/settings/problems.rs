//! What a start refuses: unknown settings, missing ones, and, for who asks before it, everything else that is wrong.

use std::sync::Arc;

use super::common::missing;
use super::describe;
use super::read::extract;
use super::section::Section;
use super::tree::{self, Node};
use super::{Common, ConsumerSettings, Settings, SettingsError, unknown};
use crate::programs::programs;

impl Settings {
    /// Everything that is wrong with the settings of this process and these parts; they are read as a start would read them.
    pub fn problems(sections: &[Section]) -> Vec<String> {
        let root = tree::file().and_then(|file| Ok(file.under(Node::of_variables(std::env::vars_os())?)));
        Self::problems_of(root, sections)
    }

    fn problems_of(root: Result<Node, SettingsError>, sections: &[Section]) -> Vec<String> {
        let root = match root {
            Ok(root) => root,
            Err(error) => return vec![error.to_string()],
        };
        // One that does not fit is no reason to think others missing, nor that this is no demo.
        let (mut common, misfits) = fitting(&root);
        let misfit = |name: &str| misfits.iter().any(|(of, _)| of == name);
        let mut problems: Vec<String> = misfits.iter().map(|(_, why)| why.clone()).collect();
        problems.extend(missing(&common).into_iter().filter(|(of, _)| !misfit(of)).map(|(_, error)| error.to_string()));
        common.take_registry_user_out_of_its_url();
        let settings = Self { root: Arc::new(root), common, of_process: false };
        if let Err(SettingsError::Unknown(unknown)) = settings.refuse_unknown_in(sections) {
            problems.extend(unknown);
        }
        for error in sections.iter().flat_map(|section| section.problems(&settings)) {
            match error.downcast_ref::<SettingsError>() {
                Some(SettingsError::Unknown(_)) => {} // named already
                Some(SettingsError::Unnamed(_)) if misfit("profile") => {}
                None if misfit("keys") && error.is::<crate::addresses::Reachable>() => {}
                Some(SettingsError::Unnamed(_) | SettingsError::Unfit(_)) | None => problems.push(format!("{error:#}")),
            }
        }
        let mut named = std::collections::BTreeSet::new();
        problems.retain(|problem| named.insert(problem.clone())); // what is common is wrong for everyone
        problems
    }

    /// Refuses what is set of this part, or of none that there is, and nobody reads. A part's start asks it; what is set of other parts is theirs to
    /// refuse.
    ///
    /// # Errors
    /// Every such setting, with the nearest that there is.
    pub fn refuse_unknown(&self, section: &Section) -> Result<(), SettingsError> {
        self.refuse_unknown_in(std::slice::from_ref(section))
    }

    /// The same for several parts.
    pub fn refuse_unknown_in(&self, sections: &[Section]) -> Result<(), SettingsError> {
        let all = names(sections);
        let consumers = programs().map(|name| name.replace('-', "_"));
        let known = sections.iter().map(|of| of.name.clone()).chain(["common".to_owned()]).chain(consumers);
        let mut problems = unknown::sections(&self.root, &known.collect::<Vec<_>>(), &all);
        for Section { name, fields, .. } in sections {
            problems.extend(unknown::in_section(&self.root, name, fields, &all));
        }
        if problems.is_empty() { Ok(()) } else { Err(SettingsError::Unknown(problems)) }
    }
}

/// The paths of all settings that these parts and all consumers have, for who looks for the one that was meant.
fn names(sections: &[Section]) -> Vec<Vec<String>> {
    let of_consumers = programs().map(|name| Section::consumer(name, &ConsumerSettings::default()));
    let all: Vec<Section> = sections.iter().cloned().chain([Section::common()]).chain(of_consumers).collect();
    all.iter().flat_map(|section| describe::names(section.leaves())).collect()
}

/// The common settings that fit; and of each other its field, and what is wrong.
fn fitting(root: &Node) -> (Common, Vec<(String, String)>) {
    let common =
        |of: Node| extract::<Common>(&Node::Table([("common".to_owned(), of)].into()), "common", &Common::default());
    let (mut fits, mut misfits) = (Node::default(), Vec::new());
    for (name, one) in root.get("common").into_iter().flat_map(Node::each) {
        match common(one.clone()) {
            Ok(_) => fits = fits.under(one),
            Err(error) => misfits.push((name.strip_suffix(tree::FILE).unwrap_or(&name).to_owned(), error.to_string())),
        }
    }
    // Each for itself fits, and together they may not: a secret, and a file for it.
    if misfits.is_empty()
        && let Err(error) = extract::<Common>(root, "common", &Common::default())
    {
        misfits.push((String::new(), error.to_string()));
    }
    (common(fits).unwrap_or_default(), misfits)
}
