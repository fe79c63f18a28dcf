//! The choreography drawn: a Mermaid flowchart with consumers as nodes and events as edges.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::model::{Choreography, Owner, TerminalStatus};

/// The map as a Mermaid flowchart.
///
/// Solid arrows are events that lead on, dotted ones take something back, and thick ones end the order. Observers are
/// left out, which hear everything, and optional consumers.
pub fn graph(choreography: &Choreography) -> String {
    let mut drawing = String::from("flowchart LR\n");
    let mut line = |text: String| writeln!(drawing, "  {text}").expect("writing to a String does not fail");
    line("shop([\"any system\"])".to_owned());
    for consumer in nodes(choreography) {
        line(format!("{}[{consumer}]", node(consumer)));
    }
    line("people([people])".to_owned());
    for ((from, to, arrow), events) in edges(choreography) {
        line(format!("{} {arrow}|\"{}\"| {}", node(from), events.join("<br>"), node(to)));
    }
    let ends: BTreeSet<&str> = choreography.events().filter_map(|(_, _, _, rules)| rules.terminal.map(end)).collect();
    for end in ends {
        line(format!("{end}(((\"{end}\")))"));
    }
    drawing
}

fn nodes(choreography: &Choreography) -> impl Iterator<Item = &str> {
    choreography.default_consumers().filter(|consumer| choreography.observers.get(consumer).is_none())
}

type Edge<'c> = (&'c str, &'c str, &'static str);

/// The events between two nodes, in the order of the file: so an order's way is read from top to bottom.
fn edges(choreography: &Choreography) -> Vec<(Edge<'_>, Vec<&str>)> {
    let mut edges: Vec<(Edge<'_>, Vec<&str>)> = Vec::new();
    let mut add = |edge, event| match edges.iter_mut().find(|(known, _)| *known == edge) {
        Some((_, events)) => events.push(event),
        None => edges.push((edge, vec![event])),
    };
    for (_, topic, event, rules) in choreography.events() {
        let from = match &topic.owner {
            Owner::Anyone => "shop",
            Owner::Consumer(consumer) => consumer,
            // What everyone says of itself is not part of an order's way.
            Owner::Everyone => continue,
        };
        if choreography.observers.get(from).is_some() {
            continue;
        }
        let arrow = if rules.undoes.is_empty() { "-->" } else { "-.->" };
        for hearer in rules.heard_by.iter().filter(|hearer| nodes(choreography).any(|name| name == *hearer)) {
            add((from, hearer, arrow), event);
        }
        if rules.heard_by_nobody.is_some() {
            add((from, "people", "-->"), event);
        }
        if let Some(status) = rules.terminal {
            add((from, end(status), "==>"), event);
        }
    }
    edges
}

fn end(status: TerminalStatus) -> &'static str {
    match status {
        TerminalStatus::Rejected => "REJECTED",
        TerminalStatus::Completed => "COMPLETED",
        TerminalStatus::Cancelled => "CANCELLED",
        TerminalStatus::Failed => "FAILED",
    }
}

/// A node's name: Mermaid takes no hyphens in it.
fn node(name: &str) -> String {
    name.replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drawing_has_every_consumer_on_an_orders_way_and_how_it_ends() {
        let drawing = graph(Choreography::embedded());
        for expected in [
            "  shop -->|\"OrderPlaced\"| orders\n",
            "  orders -->|\"OrderAccepted\"| inventory\n",
            "  payments -.->|\"PaymentVoided<br>PaymentRefunded\"| inventory\n",
            "  fraud -->|\"FraudReviewRequested\"| people\n",
            "  orders ==>|\"OrderCompleted\"| COMPLETED\n",
        ] {
            assert!(drawing.contains(expected), "{expected} is not in\n{drawing}");
        }
        assert!(!drawing.contains("tracker"));
    }
}
