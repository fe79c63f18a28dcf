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

/// Something that has names, and whether one of them is this.
type Named<'c> = (&'static str, &'c dyn Fn(&str) -> bool);

fn check_names(choreography: &Choreography, problems: &mut Vec<RuleBreach>) {
    let consumer: Named<'_> =
        ("a consumer listed under `consumers`", &|name| choreography.consumers.get(name).is_some());
    let event: Named<'_> = ("an event of one of the topics", &|name| choreography.event(name).is_some());
    let topic: Named<'_> = ("a topic listed under `topics`", &|name| choreography.topics.get(name).is_some());
    let profile: Named<'_> = ("a profile listed under `profiles`", &|name| choreography.profiles.get(name).is_some());
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
    let mut check = |at: String, (expected, is_known): Named<'_>, names: &[String]| {
        let unknown = names.iter().filter(|name| !is_known(name));
        problems.extend(unknown.map(|name| RuleBreach::unknown(&at, expected, name)));
    };
    check("chain".to_owned(), consumer, &choreography.chain);
    for (observer, topics) in choreography.observers.iter() {
        check("observers".to_owned(), consumer, &[observer.to_owned()]);
        check(format!("observers.{observer}"), topic, topics);
    }
    for (name, topic) in choreography.topics.iter() {
        check(format!("topic {name}, owner"), consumer, topic.owner.consumer().map(str::to_owned).as_slice());
        let profiles: Vec<String> = topic.partitions.keys().chain(topic.retention.keys()).cloned().collect();
        check(format!("topic {name}"), profile, &profiles);
    }
    for (_, _, name, rules) in choreography.events() {
        check(format!("event {name}, heard_by"), consumer, &rules.heard_by);
        check(format!("event {name}, undoes"), event, &rules.undoes);
        check(format!("event {name}, within.answers"), event, rules.answers());
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
