//! Topics as this deployment names them: topics.yaml's names, behind the deployment's prefix.

use std::collections::HashMap;

/// The topics that one consumer reads.
#[derive(Debug)]
pub struct Topology {
    prefix: String,
    by_full_name: HashMap<String, &'static str>,
}

impl Topology {
    /// The topics of these event types, and `more`.
    pub fn of(prefix: &str, subscribes_to: &[&'static str], more: &[&'static str]) -> Self {
        let heard = events::catalogue()
            .iter()
            .filter(|entry| subscribes_to.contains(&entry.event_type))
            .map(|entry| entry.topic);
        let by_full_name = heard.chain(more.iter().copied()).map(|topic| (format!("{prefix}{topic}"), topic)).collect();
        Self { prefix: prefix.to_owned(), by_full_name }
    }

    /// The full name of a topic.
    pub fn full(&self, topic: &str) -> String {
        format!("{}{topic}", self.prefix)
    }

    /// The topic of a full name, if it is one of these.
    pub fn known(&self, full: &str) -> Option<&'static str> {
        self.by_full_name.get(full).copied()
    }

    /// All full names, sorted.
    pub fn full_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.by_full_name.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }
}
