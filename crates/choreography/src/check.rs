//! Proves that `topics.yaml`, schemas and code agree; every breach says where, what was expected, and what to do.

use std::collections::BTreeMap;

use events::CatalogueEntry;

use crate::code;
use crate::flow;
use crate::model::{Choreography, EventRules, Owner};
use crate::problem::RuleBreach;
use crate::schema_rules;

/// Topics that may have more than one writer.
const SHARED_TOPICS: [(&str, Owner); 3] =
    [("order-placed", Owner::Anyone), ("operations", Owner::Everyone), ("dead-letter-events", Owner::Everyone)];

/// Checks the choreography by itself, against the catalogue of event types, and against what consumers hear.
///
/// `subscribes_to` names for each consumer the full names (`ce_type`) of the events its code handles; give all consumers, or
/// none to leave the code out. No problem means: schemas and code agree, every hold has an undo heard by the right
/// consumer, every path ends in a terminal event, and no event is heard by nobody unless it says why.
pub fn check(
    choreography: &Choreography,
    catalogue: &[CatalogueEntry],
    subscribes_to: &[(&str, &[&str])],
) -> Vec<RuleBreach> {
    let mut problems = Vec::new();
    check_names(choreography, &mut problems);
    check_writers(choreography, &mut problems);
    check_catalogue(choreography, catalogue, &mut problems);
    for entry in catalogue {
        schema_rules::check_schema(entry, &mut problems);
        if let Some((_, rules)) = choreography.event(entry.name) {
            schema_rules::check_fields(entry, rules, &mut problems);
        }
    }
    for (_, _, name, rules) in choreography.events() {
        check_heard(name, rules, &mut problems);
    }
    flow::check_undo(choreography, &mut problems);
    flow::check_paths(choreography, &mut problems);
    check_horizon(choreography, &mut problems);
    if !subscribes_to.is_empty() {
        code::check_hears(choreography, catalogue, subscribes_to, &mut problems);
    }
    problems
}

fn check_names(choreography: &Choreography, problems: &mut Vec<RuleBreach>) {
    let consumers = |at: String, names: &[String], problems: &mut Vec<RuleBreach>| {
        for name in names.iter().filter(|name| choreography.consumers.get(name).is_none()) {
            problems.push(RuleBreach::unknown(&at, "a consumer listed under `consumers`", name));
        }
    };
    let events = |at: String, names: &[String], problems: &mut Vec<RuleBreach>| {
        for name in names.iter().filter(|name| choreography.event(name).is_none()) {
            problems.push(RuleBreach::unknown(&at, "an event of one of the topics", name));
        }
    };
    let mut ports = BTreeMap::new();
    for (name, program) in choreography.all_programs() {
        if let Some(other) = ports.insert(program.port, name) {
            problems.push(RuleBreach::new(
                format!("program {name}, port"),
                "a port of its own",
                format!("{}, as {other} has", program.port),
                "give it another one",
            ));
        }
    }
    consumers("chain".to_owned(), &choreography.chain, problems);
    for (observer, topics) in choreography.observers.iter() {
        consumers("observers".to_owned(), &[observer.to_owned()], problems);
        for topic in topics.iter().filter(|topic| choreography.topics.get(topic).is_none()) {
            problems.push(RuleBreach::unknown(
                &format!("observers.{observer}"),
                "a topic listed under `topics`",
                topic,
            ));
        }
    }
    for (name, topic) in choreography.topics.iter() {
        consumers(format!("topic {name}, owner"), topic.owner.consumer().map(str::to_owned).as_slice(), problems);
        for profile in topic.partitions.keys().chain(topic.retention.keys()) {
            if choreography.profiles.get(profile).is_none() {
                problems.push(RuleBreach::unknown(
                    &format!("topic {name}"),
                    "a profile listed under `profiles`",
                    profile,
                ));
            }
        }
    }
    for (_, _, name, rules) in choreography.events() {
        consumers(format!("event {name}, heard_by"), &rules.heard_by, problems);
        events(format!("event {name}, undoes"), &rules.undoes, problems);
        if let Some(within) = &rules.within {
            events(format!("event {name}, within.answers"), &within.answers, problems);
        }
    }
}

fn check_writers(choreography: &Choreography, problems: &mut Vec<RuleBreach>) {
    for (name, topic) in choreography.topics.iter() {
        let shared = SHARED_TOPICS.iter().find(|(shared, _)| *shared == name).map(|(_, owner)| owner);
        let agrees = match (&topic.owner, shared) {
            (Owner::Consumer(_), None) => true,
            (owner, Some(shared)) => owner == shared,
            (Owner::Anyone | Owner::Everyone, None) => false,
        };
        if !agrees {
            problems.push(RuleBreach::new(
                format!("topic {name}, owner"),
                shared.map_or_else(|| "one consumer".to_owned(), |owner| format!("`{}`", owner_text(owner))),
                format!("`{}`", owner_text(&topic.owner)),
                "name its only writer: what two write has no order (only order-placed, operations and \
                 dead-letter-events are shared)",
            ));
        }
    }
    let mut topics_of: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (topic, _, event, _) in choreography.events() {
        topics_of.entry(event).or_default().push(topic);
    }
    for (event, topics) in topics_of.into_iter().filter(|(_, topics)| topics.len() > 1) {
        problems.push(RuleBreach::new(
            format!("event {event}"),
            "one topic",
            format!("topics {}", topics.join(", ")),
            "give each event a name of its own: answers and undoes are told by name",
        ));
    }
}

fn owner_text(owner: &Owner) -> &str {
    match owner {
        Owner::Anyone => "anyone",
        Owner::Everyone => "everyone",
        Owner::Consumer(name) => name,
    }
}

fn check_catalogue(choreography: &Choreography, catalogue: &[CatalogueEntry], problems: &mut Vec<RuleBreach>) {
    for (topic, _, name, rules) in choreography.events() {
        match catalogue.iter().find(|entry| entry.name == name) {
            Some(entry) if entry.topic == topic => {
                let file = format!("schemas/{topic}/{name}.avsc");
                if rules.schema != file {
                    problems.push(RuleBreach::new(
                        format!("event {name}, schema"),
                        format!("{file:?}"),
                        format!("{:?}", rules.schema),
                        "the code embeds the former: correct topics.yaml, or move the file",
                    ));
                }
            }
            Some(entry) => problems.push(RuleBreach::new(
                format!("event {name}"),
                format!("topic {}, as in crates/events", entry.topic),
                format!("topic {topic}"),
                "move it in topics.yaml, or in the catalogue",
            )),
            None => problems.push(RuleBreach::new(
                format!("event {name}"),
                "a struct of that name in crates/events",
                "none",
                "add struct and schema to the catalogue, or remove the event from topics.yaml",
            )),
        }
    }
    for entry in catalogue.iter().filter(|entry| choreography.event(entry.name).is_none()) {
        problems.push(RuleBreach::new(
            format!("event {}", entry.name),
            format!("an entry under topic {} in topics.yaml", entry.topic),
            "none",
            "say there who hears it, what it undoes and who must answer it",
        ));
    }
}

fn check_heard(name: &str, rules: &EventRules, problems: &mut Vec<RuleBreach>) {
    match (&rules.heard_by_nobody, rules.heard_by.as_slice()) {
        (None, []) => problems.push(RuleBreach::new(
            format!("event {name}"),
            "a consumer under `heard_by`, or the reason under `heard_by_nobody`",
            "neither",
            "name who acts on it, or for whom it is said all the same",
        )),
        (Some(_), [_, ..]) => problems.push(RuleBreach::new(
            format!("event {name}"),
            "either `heard_by` or `heard_by_nobody`",
            format!("both, heard by {}", rules.heard_by.join(", ")),
            "remove one of them",
        )),
        (None, [_, ..]) | (Some(_), []) => {}
    }
}

fn check_horizon(choreography: &Choreography, problems: &mut Vec<RuleBreach>) {
    for (profile, _) in choreography.profiles.iter() {
        let needed = choreography.retention_in(profile);
        if choreography.horizon <= needed {
            problems.push(RuleBreach::new(
                "horizon",
                format!("more than {} (topics + outbox + dead letters in profile {profile})", days(needed)),
                days(choreography.horizon),
                "raise it: an event that outlives its order's row would be taken for a new order's",
            ));
        }
    }
}

fn days(duration: std::time::Duration) -> String {
    format!("{:.1} days", duration.as_secs_f64() / 86_400.0)
}
