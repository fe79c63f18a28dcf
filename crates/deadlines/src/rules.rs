//! The rules of `topics.yaml` as the judge needs them: by event type, who must answer with what, and how soon.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::LazyLock;
use std::time::Duration;

use choreography::{Choreography, EventRules, Holds, Topic, Within};
use events::{CatalogueEntry, DisputeClosed, Event as _, FulfillmentConfirmed, OrderPlaced, PaymentDisputed, entry_of};

/// The rules of the choreography that this build was made with.
pub static RULES: LazyLock<DeadlineRules> = LazyLock::new(|| DeadlineRules::new(Choreography::embedded()));

/// Which answer one type of event must have.
#[derive(Clone, Debug)]
pub struct DeadlineRule {
    /// Its `ce_type`.
    pub event_type: &'static str,
    /// Its short name.
    pub name: &'static str,
    /// Who says it.
    pub speaker: &'static str,
    /// Who must answer.
    pub consumer: &'static str,
    /// Whether the answer comes of the consumer's own accord (a timer, a person, a gateway) and not because it hears the event.
    pub of_itself: bool,
    /// The types that are an answer.
    pub answers: Vec<&'static str>,
    /// How long the answer may take.
    pub within: Duration,
    /// The field of the event from whose moment that counts.
    pub after: Option<String>,
    /// The field that must be set for an answer to be owed.
    pub only_if: Option<String>,
    /// Whether each shipment has an answer of its own.
    pub by_shipment: bool,
}

/// Something that an event holds until it is taken back.
#[derive(Clone, Debug)]
pub struct DeadlineHold {
    /// The event that holds it.
    pub event_type: &'static str,
    /// `stock`, `money` or `goods`.
    pub holds: &'static str,
    /// The types that take it back.
    pub taken_back_by: Vec<&'static str>,
    /// Who says those.
    pub consumer: &'static str,
}

/// All of them.
#[derive(Clone, Debug)]
pub struct DeadlineRules {
    by_type: HashMap<&'static str, DeadlineRule>,
    /// What an order that was heard of must have begun with.
    pub beginning: Option<DeadlineRule>,
    /// What must be taken back.
    pub holds: Vec<DeadlineHold>,
    /// After that an open order is stuck.
    pub hard_limit: Duration,
    /// The consumers that must answer anything, each with the topics on which it hears what it answers.
    pub subscribes_to: Vec<(&'static str, Vec<&'static str>)>,
    /// The topics on which answers are, and what explains that they are not there.
    pub topics: Vec<&'static str>,
}

impl DeadlineRules {
    /// The rules of a choreography. What the catalogue does not know is passed over: `quadrille topics check` finds it.
    pub fn new(choreography: &Choreography) -> Self {
        let rule = |name: &str| {
            let (topic, rules) = choreography.event(name)?;
            let speaker = topic.owner.consumer().unwrap_or("orders");
            Some(rule(choreography, entry_of(name)?, speaker, &rules.heard_by, rules.within.as_ref()?))
        };
        let names = choreography.events().map(|event| event.2).filter(|name| *name != OrderPlaced::NAME);
        let of_orders: Vec<DeadlineRule> = names.filter_map(rule).collect();
        // The front door is not heard here: that an order was placed shows in whatever comes first.
        let beginning = rule(OrderPlaced::NAME).map(|beginning| DeadlineRule { of_itself: true, ..beginning });
        let topics = of_orders.iter().flat_map(|rule| &rule.answers).filter_map(|answer| entry_of(answer));
        let topics: BTreeSet<&'static str> = topics.map(|entry| entry.topic).chain(["operations"]).collect();
        Self {
            subscribes_to: subscribes_to(&of_orders),
            holds: holds(choreography),
            hard_limit: choreography.hard_limit,
            beginning,
            topics: topics.into_iter().collect(),
            by_type: of_orders.into_iter().map(|rule| (rule.event_type, rule)).collect(),
        }
    }

    /// The rule of this type of event; none: it needs no answer.
    pub fn rule(&self, event_type: &str) -> Option<&DeadlineRule> {
        self.by_type.get(event_type)
    }

    /// All rules, for tests that go through them.
    #[cfg(test)]
    pub fn all(&self) -> impl Iterator<Item = &DeadlineRule> {
        self.by_type.values()
    }

    /// The types whose data must be read: fields of them say when, or for what, an answer is owed.
    pub fn read(&self) -> Vec<&'static str> {
        let asked = |rule: &&DeadlineRule| rule.after.is_some() || rule.only_if.is_some() || rule.by_shipment;
        let rules = self.by_type.values().filter(asked);
        let of_shipments = |rule: &DeadlineRule| if rule.by_shipment { rule.answers.clone() } else { Vec::new() };
        let types: BTreeSet<&'static str> =
            rules.flat_map(|rule| of_shipments(rule).into_iter().chain([rule.event_type])).collect();
        types.into_iter().chain([FulfillmentConfirmed::TYPE, PaymentDisputed::TYPE, DisputeClosed::TYPE]).collect()
    }
}

/// Who must answer: of those who say an answer, who hears the event; else who said it; else whoever says an answer.
fn rule(
    choreography: &Choreography,
    entry: &'static CatalogueEntry,
    speaker: &str,
    heard_by: &[String],
    within: &Within,
) -> DeadlineRule {
    let owner = |answer: &String| choreography.event(answer).and_then(|(topic, _)| topic.owner.consumer());
    let owners: Vec<&str> = within.answers.iter().filter_map(owner).collect();
    let hearer = owners.iter().copied().find(|owner| heard_by.iter().any(|hearer| hearer == owner));
    let consumer = hearer.or_else(|| owners.iter().copied().find(|owner| *owner == speaker));
    let entries: Vec<&'static CatalogueEntry> = within.answers.iter().filter_map(|answer| entry_of(answer)).collect();
    DeadlineRule {
        event_type: entry.event_type,
        name: entry.name,
        speaker: named(speaker),
        consumer: named(consumer.or(owners.first().copied()).unwrap_or_default()),
        of_itself: hearer.is_none(),
        answers: entries.iter().map(|answer| answer.event_type).collect(),
        within: within.deadline,
        after: within.after.clone(),
        only_if: within.only_if.clone(),
        by_shipment: names_shipment(entry) && entries.iter().copied().any(names_shipment),
    }
}

fn names_shipment(entry: &CatalogueEntry) -> bool {
    let schema: serde_json::Value = serde_json::from_str(entry.schema).unwrap_or_default();
    schema["fields"].as_array().is_some_and(|fields| fields.iter().any(|field| field["name"] == "shipment_id"))
}

/// A consumer's name that lives as long as the program: each that decides owns a topic of its name.
fn named(consumer: &str) -> &'static str {
    events::catalogue().iter().map(|entry| entry.topic).find(|topic| *topic == consumer).unwrap_or_default()
}

/// Who must answer, each with the topics of what it answers because it hears it.
fn subscribes_to(rules: &[DeadlineRule]) -> Vec<(&'static str, Vec<&'static str>)> {
    let mut subscribes_to: BTreeMap<&'static str, BTreeSet<&'static str>> = BTreeMap::new();
    for rule in rules {
        let topics = subscribes_to.entry(rule.consumer).or_default();
        topics.extend(entry_of(rule.event_type).filter(|_| !rule.of_itself).map(|entry| entry.topic));
    }
    subscribes_to.into_iter().map(|(consumer, topics)| (consumer, topics.into_iter().collect())).collect()
}

fn holds(choreography: &Choreography) -> Vec<DeadlineHold> {
    let hold = |(_, _, name, rules): (&str, &Topic, &str, &EventRules)| {
        let undoing = choreography.events().filter(|(_, _, _, other)| other.undoes.iter().any(|undone| undone == name));
        let undoing: Vec<_> = undoing.collect();
        Some(DeadlineHold {
            event_type: entry_of(name)?.event_type,
            holds: match rules.holds? {
                Holds::Stock => "stock",
                Holds::Money => "money",
                Holds::Goods => "goods",
            },
            taken_back_by: undoing.iter().filter_map(|(_, _, by, _)| entry_of(by)).map(|by| by.event_type).collect(),
            consumer: named(undoing.first().and_then(|(_, topic, _, _)| topic.owner.consumer()).unwrap_or_default()),
        })
    };
    choreography.events().filter_map(hold).collect()
}
