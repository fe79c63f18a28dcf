//! The rules about code: consumers handle what they hear, and say what they own, by `topics.yaml`.

use events::CatalogueEntry;

use crate::model::{Choreography, Owner};
use crate::problem::RuleBreach;

/// Checks that each consumer's code handles what it subscribes to by `topics.yaml`, and nothing else.
pub(crate) fn check_hears(
    choreography: &Choreography,
    catalogue: &[CatalogueEntry],
    subscribes_to: &[(&str, &[&str])],
    problems: &mut Vec<RuleBreach>,
) {
    let full_name = |name: &str| catalogue.iter().find(|entry| entry.name == name).map(|entry| entry.event_type);
    for consumer in choreography.consumers.names() {
        let handled = subscribes_to.iter().find(|(name, _)| *name == consumer).map_or(&[][..], |(_, types)| *types);
        let written: Vec<&str> = choreography.heard_by(consumer).into_iter().filter_map(full_name).collect();
        for event_type in written.iter().filter(|event_type| !handled.contains(event_type)) {
            problems.push(RuleBreach::new(
                format!("consumer {consumer}"),
                format!("a handler for {event_type}, which it hears by topics.yaml"),
                "none",
                "handle it, or take the consumer off the event's `heard_by`",
            ));
        }
        for event_type in handled.iter().filter(|event_type| !written.contains(event_type)) {
            problems.push(RuleBreach::new(
                format!("consumer {consumer}"),
                "handlers for what it hears by topics.yaml only",
                format!("one for {event_type}"),
                "add the consumer to the event's `heard_by`, or remove the handler",
            ));
        }
    }
    for (consumer, _) in subscribes_to.iter().filter(|(name, _)| choreography.consumers.get(name).is_none()) {
        problems.push(RuleBreach::unknown("the code", "a consumer listed under `consumers`", consumer));
    }
}

/// Checks that each consumer says only events of topics it owns, and that every event of an owned topic is said.
///
/// `publishes` names for each consumer the full names (`ce_type`) of the events its code writes; give all consumers.
pub fn check_says(
    choreography: &Choreography,
    catalogue: &[CatalogueEntry],
    publishes: &[(&str, &[&str])],
) -> Vec<RuleBreach> {
    let mut problems = Vec::new();
    for (consumer, types) in publishes {
        for event_type in *types {
            let owner = catalogue
                .iter()
                .find(|entry| entry.event_type == *event_type)
                .and_then(|entry| choreography.topics.get(entry.topic))
                .map(|topic| &topic.owner);
            let allowed = match owner {
                Some(Owner::Everyone | Owner::Anyone) => true,
                Some(Owner::Consumer(owner)) => owner == consumer,
                None => false,
            };
            if !allowed {
                let owner = owner.and_then(Owner::consumer).unwrap_or("nobody that is known");
                problems.push(RuleBreach::new(
                    format!("consumer {consumer}"),
                    format!("{event_type} to be said by its topic's owner alone, {owner}"),
                    format!("{consumer} saying it"),
                    "let its owner say it, or say an event of your own topic",
                ));
            }
        }
    }
    for entry in catalogue {
        let owner = choreography.topics.get(entry.topic).and_then(|topic| topic.owner.consumer());
        let Some(owner) = owner else { continue };
        if !publishes.iter().any(|(consumer, types)| *consumer == owner && types.contains(&entry.event_type)) {
            problems.push(RuleBreach::new(
                format!("event {}", entry.name),
                format!("{owner}, which owns topic {}, to say it", entry.topic),
                "code that never does",
                "say it where docs/protocol.md has it, or remove the event",
            ));
        }
    }
    problems
}
