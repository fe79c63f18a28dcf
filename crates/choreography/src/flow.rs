//! The rules about whole paths: what is held can be given back, and whatever happens, the order ends.

use std::collections::BTreeSet;

use crate::model::{Choreography, EventRules};
use crate::problem::RuleBreach;

fn owner<'c>(choreography: &'c Choreography, event: &str) -> Option<&'c str> {
    choreography.event(event).and_then(|(topic, _)| topic.owner.consumer())
}

/// Every event that holds something has an undo: said by who holds it, heard by whoever lets go next in the chain.
pub(crate) fn check_undo(choreography: &Choreography, problems: &mut Vec<RuleBreach>) {
    for (_, _, name, rules) in choreography.events() {
        let undoing = choreography.events().filter(|(_, _, _, undo)| undo.undoes.iter().any(|undone| undone == name));
        let undos: Vec<(&str, &EventRules)> = undoing.map(|(_, _, undo, rules)| (undo, rules)).collect();
        if rules.holds.is_some() && undos.is_empty() {
            problems.push(RuleBreach::new(
                format!("event {name}, holds"),
                "an event that undoes it",
                "none",
                "add its name to the `undoes` of the event that gives back what it holds",
            ));
        }
        for (undo, undo_rules) in undos {
            if rules.holds.is_none() {
                problems.push(RuleBreach::new(
                    format!("event {undo}, undoes"),
                    "events that hold something",
                    format!("{name}, which holds nothing"),
                    "say what it `holds`, or take it off `undoes`",
                ));
            }
            check_chain(choreography, name, undo, undo_rules, problems);
        }
    }
}

fn check_chain(
    choreography: &Choreography,
    name: &str,
    undo: &str,
    undo_rules: &EventRules,
    problems: &mut Vec<RuleBreach>,
) {
    let (held_by, undone_by) = (owner(choreography, name), owner(choreography, undo));
    if held_by != undone_by {
        problems.push(RuleBreach::new(
            format!("event {undo}, undoes"),
            format!("events of its own owner, {}", undone_by.unwrap_or("nobody")),
            format!("{name}, held by {}", held_by.unwrap_or("nobody")),
            "only who holds something can give it back: let that consumer say the undo",
        ));
    }
    let place = choreography.chain.iter().position(|consumer| Some(consumer.as_str()) == undone_by);
    let Some(next) = place.and_then(|place| choreography.chain.get(place + 1)) else {
        problems.push(RuleBreach::new(
            format!("event {undo}, undoes"),
            format!("an owner with a successor in the chain {}", choreography.chain.join(" → ")),
            undone_by.unwrap_or("nobody"),
            "an undo that nobody follows leaves what was done before it undone for ever",
        ));
        return;
    };
    if !undo_rules.heard_by.contains(next) {
        problems.push(RuleBreach::new(
            format!("event {undo}, heard_by"),
            format!("{next}, which lets go next in the chain {}", choreography.chain.join(" → ")),
            format!("[{}]", undo_rules.heard_by.join(", ")),
            format!("add {next}: else what it holds is never given back"),
        ));
    }
}

/// From every event that waits for an answer, every answer leads on to a terminal event.
pub(crate) fn check_paths(choreography: &Choreography, problems: &mut Vec<RuleBreach>) {
    let ending = events_that_reach_an_end(choreography);
    let decides = |consumer: &String| choreography.consumers.get(consumer).is_some_and(|program| program.decides);
    for (_, _, name, rules) in choreography.events() {
        if rules.after_end && (rules.within.is_some() || rules.terminal.is_some()) {
            problems.push(RuleBreach::new(
                format!("event {name}, after_end"),
                "neither `within` nor `terminal`, as no order waits for what comes after its end",
                if rules.within.is_some() { "`within`" } else { "`terminal`" },
                "take one of them off",
            ));
        }
        let Some(within) = &rules.within else {
            if rules.terminal.is_none() && !rules.after_end && rules.heard_by.iter().any(decides) {
                problems.push(RuleBreach::new(
                    format!("event {name}"),
                    "answers under `within`, because consumers that decide hear it, `terminal`, or `after_end`",
                    "none of them",
                    "name every event that may answer it: without one an order is lost without a word",
                ));
            }
            continue;
        };
        check_answers(choreography, name, rules, problems);
        if within.deadline.is_zero() || within.deadline > choreography.hard_limit {
            problems.push(RuleBreach::new(
                format!("event {name}, within.deadline"),
                "more than nothing and at most the hard limit",
                format!("{:?}", within.deadline),
                "set a time in which the answer comes even on a bad day",
            ));
        }
        for answer in within.answers.iter().filter(|answer| choreography.event(answer).is_some()) {
            if !ending.contains(answer.as_str()) {
                problems.push(RuleBreach::new(
                    format!("event {name}, within.answers"),
                    "events from which a terminal event can be reached",
                    format!("{answer}, from which none can"),
                    format!("say under {answer} what must answer it, or that it is terminal"),
                ));
            }
        }
    }
}

fn check_answers(choreography: &Choreography, name: &str, rules: &EventRules, problems: &mut Vec<RuleBreach>) {
    let answers = rules.answers();
    if rules.terminal.is_some() || answers.is_empty() {
        problems.push(RuleBreach::new(
            format!("event {name}"),
            "either `terminal`, or at least one answer under `within`",
            if rules.terminal.is_some() { "both" } else { "no answer" },
            "a terminal event is the last of its order, and any other one leads on",
        ));
    }
    // An answer comes from someone who heard the event, or from its own author (who waits for a person or a gateway).
    let mut answerers = answers.iter().filter_map(|answer| owner(choreography, answer));
    let heard = answerers.any(|one| owner(choreography, name) == Some(one) || rules.is_heard_by(one));
    if !answers.is_empty() && !heard {
        problems.push(RuleBreach::new(
            format!("event {name}, within.answers"),
            format!("an answer of one that hears it ({})", rules.heard_by.join(", ")),
            answers.join(", "),
            "add the consumer that should answer to `heard_by`, or correct the answers",
        ));
    }
}

/// All events that are terminal, or have an answer that reaches an end.
fn events_that_reach_an_end(choreography: &Choreography) -> BTreeSet<&str> {
    let mut ending = BTreeSet::new();
    loop {
        let before = ending.len();
        for (_, _, name, rules) in choreography.events() {
            if rules.terminal.is_some() || rules.answers().iter().any(|answer| ending.contains(answer.as_str())) {
                ending.insert(name);
            }
        }
        if ending.len() == before {
            return ending;
        }
    }
}
