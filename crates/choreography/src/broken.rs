//! Broken choreographies, one for each rule: the check must find the breach and say what to do about it.

use std::path::Path;

use events::{CatalogueEntry, catalogue};

use crate::check::check;
use crate::code::check_says;
use crate::evolution::check_evolution;
use crate::model::{Choreography, EMBEDDED};
use crate::problem::RuleBreach;

/// The embedded choreography with one passage replaced.
fn changed(from: &str, to: &str) -> Choreography {
    assert!(EMBEDDED.contains(from), "topics.yaml has no {from:?} any more: correct the test");
    Choreography::parse(&EMBEDDED.replacen(from, to, 1)).unwrap()
}

fn text(problems: &[RuleBreach]) -> String {
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

/// What the check says of the embedded choreography with one passage replaced.
fn found(from: &str, to: &str) -> String {
    text(&check(&changed(from, to), catalogue(), &[]))
}

fn assert_told(problems: &str, expected: &str) {
    assert!(problems.contains(expected), "expected {expected:?} in:\n{problems}");
}

/// What each consumer hears by topics.yaml itself.
fn subscribes_to() -> Vec<(String, Vec<&'static str>)> {
    let choreography = Choreography::embedded();
    let full = |name: &str| catalogue().iter().find(|entry| entry.name == name).unwrap().event_type;
    choreography
        .consumers
        .names()
        .map(|consumer| (consumer.to_owned(), choreography.heard_by(consumer).into_iter().map(full).collect()))
        .collect()
}

fn borrowed<'a>(subscribes_to: &'a [(String, Vec<&'static str>)]) -> Vec<(&'a str, &'a [&'static str])> {
    subscribes_to.iter().map(|(consumer, types)| (consumer.as_str(), types.as_slice())).collect()
}

#[test]
fn the_choreography_of_the_project_breaks_no_rule() {
    let subscribes_to = subscribes_to();
    let problems = check(Choreography::embedded(), catalogue(), &borrowed(&subscribes_to));
    assert!(problems.is_empty(), "{}", text(&problems));
}

#[test]
fn a_name_that_nothing_has_is_found() {
    let problems = found("heard_by: [inventory, fraud]\n        holds", "heard_by: [inventory, froud]\n        holds");
    assert_told(
        &problems,
        "event PaymentAuthorized, heard_by: expected a consumer listed under `consumers`, got \"froud\"",
    );
    assert_told(&found("undoes: [PaymentCaptured]", "undoes: [PaymentCatched]"), "got \"PaymentCatched\"");
    assert_told(&found("answers: [StockCommitted]", "answers: [StockCommited]"), "got \"StockCommited\"");
    assert_told(&found("    - stock-levels", "    - levels"), "expected a topic listed under `topics`, got \"levels\"");
    assert_told(&found("{local: 14d, production: 30d}", "{lunar: 14d}"), "got \"lunar\"");
}

#[test]
fn two_programs_with_one_port_are_found() {
    assert_told(
        &found("port: 8081", "port: 8080"),
        "program inventory, port: expected a port of its own, got 8080, as orders has",
    );
}

#[test]
fn a_topic_with_two_writers_is_found() {
    let problems = found("owner: payments", "owner: everyone");
    assert_told(&problems, "topic payments, owner: expected one consumer, got `everyone`");
    assert_told(&found("owner: anyone", "owner: orders"), "topic order-placed, owner: expected `anyone`, got `orders`");
}

#[test]
fn one_event_in_two_topics_is_found() {
    let twice = "    events:\n      OrderRejected:\n        schema: schemas/fraud/OrderRejected.avsc\n        \
                 heard_by: [orders]\n        terminal: REJECTED\n      FraudCleared:";
    let problems = found("    events:\n      FraudCleared:", twice);
    assert_told(&problems, "event OrderRejected: expected one topic, got topics orders, fraud");
    assert_told(&problems, "event OrderRejected: expected topic orders, as in crates/events, got topic fraud");
}

#[test]
fn an_event_without_struct_and_a_struct_without_event_are_found() {
    let problems = found("      ShipmentDelivered:", "      ShipmentArrived:");
    assert_told(&problems, "event ShipmentArrived: expected a struct of that name in crates/events, got none");
    assert_told(
        &problems,
        "event ShipmentDelivered: expected an entry under topic fulfillment in topics.yaml, got none",
    );
    let problems = found("schemas/fraud/FraudCleared.avsc", "schemas/FraudCleared.avsc");
    assert_told(&problems, "event FraudCleared, schema: expected \"schemas/fraud/FraudCleared.avsc\"");
}

#[test]
fn a_hold_that_nobody_gives_back_is_found() {
    let problems = found("        undoes: [PaymentCaptured]\n", "");
    assert_told(&problems, "event PaymentCaptured, holds: expected an event that undoes it, got none");
}

#[test]
fn an_undo_that_the_next_in_the_chain_does_not_hear_is_found() {
    let problems = found("heard_by: [inventory, fraud]\n        undoes", "heard_by: [fraud]\n        undoes");
    assert_told(&problems, "event PaymentVoided, heard_by: expected inventory, which lets go next in the chain");
}

#[test]
fn an_undo_of_what_another_consumer_holds_is_found() {
    let problems = found("undoes: [PaymentCaptured]", "undoes: [PaymentCaptured, StockReserved]");
    assert_told(
        &problems,
        "event PaymentRefunded, undoes: expected events of its own owner, payments, got StockReserved",
    );
    let problems = found("undoes: [PaymentCaptured]", "undoes: [PaymentCaptured, PaymentDeclined]");
    assert_told(&problems, "expected events that hold something, got PaymentDeclined, which holds nothing");
    let problems =
        found("chain: [fulfillment, payments, inventory, orders]", "chain: [fulfillment, payments, inventory]");
    assert_told(&problems, "event StockReleased, undoes: expected an owner with a successor in the chain");
}

#[test]
fn a_path_that_ends_nowhere_is_found() {
    let problems = found("        within: {deadline: 2m, answers: [OrderFailed, OrderCancelled]}\n", "");
    assert_told(
        &problems,
        "event StockRejected: expected answers under `within`, because consumers that decide hear it",
    );
    assert_told(
        &problems,
        "event OrderAccepted, within.answers: expected events from which a terminal event can be reached, got StockRejected",
    );
}

#[test]
fn a_circle_without_an_exit_is_found() {
    let problems = found("answers: [OrderFailed, OrderCancelled]}", "answers: [StockRejected]}");
    assert_told(
        &problems,
        "event StockRejected, within.answers: expected events from which a terminal event can be reached",
    );
}

#[test]
fn an_event_heard_by_nobody_must_say_why() {
    let answers = "        within: {deadline: 2m, answers: [FulfillmentCancelled, FulfillmentRejected]}\n";
    let problems = found(&format!("        heard_by: [fulfillment]\n{answers}"), answers);
    assert_told(&problems, "event PaymentCaptureFailed: expected a consumer under `heard_by`, or the reason");
    assert_told(&problems, "event PaymentCaptureFailed, within.answers: expected an answer of one that hears it");
    let both = "heard_by: [notifications]\n        heard_by_nobody: really\n        terminal: REJECTED";
    assert_told(
        &found("heard_by: [notifications]\n        terminal: REJECTED", both),
        "got both, heard by notifications",
    );
}

#[test]
fn a_terminal_event_waits_for_nobody() {
    let problems = found(
        "        terminal: FAILED\n",
        "        terminal: FAILED\n        within: {deadline: 1m, answers: [OrderFailed]}\n",
    );
    assert_told(
        &problems,
        "event OrderFailed: expected either `terminal`, or at least one answer under `within`, got both",
    );
}

#[test]
fn a_deadline_beyond_the_hard_limit_and_fields_that_are_none_are_found() {
    let problems = found(
        "        heard_by: [inventory, payments, notifications]\n        after_end: true\n",
        "        heard_by: [inventory, payments, notifications]\n",
    );
    assert_told(&problems, "event ReturnReceived: expected answers under `within`");
    let problems = found("        after_end: true\n", "        after_end: true\n        terminal: FAILED\n");
    assert_told(&problems, "event StockReturned, after_end: expected neither `within` nor `terminal`");
    assert_told(&found("hard_limit: 21d", "hard_limit: 5d"), "event FulfillmentCancelled, within.deadline: expected");
    assert_told(&found("after: expires_at", "after: amount"), "expected a field of the event that is a moment");
    assert_told(
        &found("only_if: closed", "only_if: items"),
        "expected a field of the event that is optional, got \"items\"",
    );
}

#[test]
fn a_horizon_shorter_than_what_can_bring_an_event_back_is_found() {
    assert_told(&found("horizon: 60d", "horizon: 45d"), "horizon: expected more than 45.0 days");
}

#[test]
fn code_that_hears_more_or_less_than_the_file_says_is_found() {
    let mut subscribes_to = subscribes_to();
    let fraud = subscribes_to.iter_mut().find(|(consumer, _)| consumer == "fraud").unwrap();
    fraud.1 = vec!["quadrille.payments.PaymentAuthorized", "quadrille.orders.OrderAccepted"];
    subscribes_to.push(("astrology".to_owned(), vec![]));
    let problems = text(&check(Choreography::embedded(), catalogue(), &borrowed(&subscribes_to)));
    assert_told(&problems, "consumer fraud: expected a handler for quadrille.payments.PaymentVoided");
    assert_told(&problems, "got one for quadrille.orders.OrderAccepted");
    assert_told(&problems, "got \"astrology\"");
}

#[test]
fn a_consumer_that_says_what_another_owns_is_found() {
    let publishes = [("fraud", &["quadrille.payments.PaymentVoided", "quadrille.fraud.FraudCleared"][..])];
    let problems = text(&check_says(Choreography::embedded(), catalogue(), &publishes));
    assert_told(
        &problems,
        "consumer fraud: expected quadrille.payments.PaymentVoided to be said by its topic's owner alone",
    );
    assert_told(&problems, "event FraudRejected: expected fraud, which owns topic fraud, to say it");
    assert!(!problems.contains("event FraudCleared:"), "{problems}");
}

/// What the check says of one schema, with a passage of OrderFailed's replaced.
fn schema_problems(from: &str, to: &str) -> String {
    let entry = *catalogue().iter().find(|entry| entry.name == "OrderFailed").unwrap();
    assert!(entry.schema.contains(from));
    let schema: &'static str = entry.schema.replacen(from, to, 1).leak();
    text(&check(Choreography::embedded(), &[CatalogueEntry { schema, ..entry }], &[]))
}

#[test]
fn schemas_that_break_the_rules_for_avro_are_found() {
    let total = r#"{"name": "total", "type": "long""#;
    let kind = |to: &str| schema_problems(total, &format!(r#"{{"name": "total", "type": {to}"#));
    let an_enum = r#"{"type": "enum", "name": "Kind", "symbols": ["A"]}"#;
    assert_told(&kind(an_enum), "OrderFailed.avsc, field total: expected a string for a code, got an enum");
    assert_told(&kind(r#""double""#), "field total: expected whole numbers, got a double");
    assert_told(
        &kind(r#"["string", "null"]"#),
        "expected a union of null, first, and one type, got [\"string\",\"null\"]",
    );
    assert_told(&kind(r#""long", "aliases": ["sum"]"#), "field total: expected no aliases");
    assert_told(&kind(r#""lang""#), "expected a valid Avro schema");
    assert_told(
        &schema_problems(r#""name": "OrderFailed""#, r#""name": "OrderLost""#),
        "got quadrille.orders.OrderLost",
    );
    let doc = r#""doc": "The order; the key of the record.""#;
    assert_told(&schema_problems(doc, r#""doc": """#), "field order_id: expected a `doc`, got none");
}

fn published(event_type: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/published");
    let read = |version: u32| std::fs::read_to_string(folder.join(format!("{event_type}.v{version}.avsc"))).ok();
    (1..).map_while(read).collect()
}

#[test]
fn every_schema_is_compatible_with_all_its_published_versions() {
    for entry in catalogue() {
        let versions = published(entry.event_type);
        let versions: Vec<&str> = versions.iter().map(String::as_str).collect();
        assert!(!versions.is_empty(), "{} was never published", entry.name);
        let problems = check_evolution(entry.event_type, &versions, entry.schema);
        assert!(problems.is_empty(), "{}", text(&problems));
    }
}

#[test]
fn versions_that_can_not_read_each_other_are_found() {
    let entry = catalogue().iter().find(|entry| entry.name == "OrderFailed").unwrap();
    let evolve = |from: &str, to: &str| {
        assert!(entry.schema.contains(from));
        text(&check_evolution(entry.event_type, &[entry.schema], &entry.schema.replacen(from, to, 1)))
    };
    let total = r#"{"name": "total", "type": "long""#;
    let added = format!(r#"{{"name": "more", "type": "long", "doc": "More."}}, {total}"#);
    assert_told(&evolve(total, &added), "expected a default for the added field more");
    let added = format!(r#"{{"name": "more", "type": "long", "default": 0, "doc": "More."}}, {total}"#);
    assert_eq!(evolve(total, &added), "");
    assert_told(
        &evolve(total, r#"{"name": "total", "type": "int""#),
        "expected field total to stay \"long\", got \"int\"",
    );
    assert_told(&evolve(r#""name": "total""#, r#""name": "sum""#), "expected field total, which has no default");
    assert_told(&evolve(r#""OrderFailed""#, r#""OrderLost""#), "expected a record quadrille.orders.OrderFailed");
    // Records inside records count as well.
    assert_told(
        &evolve(r#"{"name": "detail", "type": "string""#, r#"{"name": "detail", "type": "bytes""#),
        "record quadrille.Reason",
    );
}
