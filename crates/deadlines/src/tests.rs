//! The judge: what is owed on every path of the protocol, when it is due, and that nothing is stuck while anything explains that it is late.

mod random;
mod sample;

use std::collections::HashMap;

use serde_json::json;

use super::*;
use sample::{PATHS, at, evidence, happened, order, order_of};

#[test]
fn every_rule_of_topics_yaml_names_one_consumer_that_must_answer() {
    let told: HashMap<&str, (&str, bool)> =
        RULES.all().map(|rule| (rule.name, (rule.consumer, rule.of_itself))).collect();
    for (name, expected) in [
        ("OrderAccepted", ("inventory", false)),
        ("OrderCancellationRequested", ("fulfillment", false)),
        ("StockReserved", ("payments", false)),
        ("StockRejected", ("orders", false)),
        ("ReservationExpired", ("payments", false)),
        ("StockReallocated", ("fulfillment", false)),
        ("PaymentActionRequired", ("payments", true)),
        ("PaymentAuthorized", ("fraud", false)),
        ("PaymentCaptured", ("fulfillment", false)),
        ("PaymentVoided", ("inventory", false)),
        ("PaymentRefundFailed", ("payments", true)),
        ("FraudReviewRequested", ("fraud", true)),
        ("FulfillmentShortPicked", ("inventory", false)),
        ("FulfillmentCancelled", ("payments", false)),
        ("ShipmentDispatched", ("inventory", false)),
    ] {
        assert_eq!(told.get(name), Some(&expected), "{name}");
    }
    assert!(RULES.all().all(|rule| !rule.consumer.is_empty() && !rule.answers.is_empty()));
    let beginning = RULES.beginning.as_ref().unwrap();
    assert_eq!((beginning.consumer, beginning.of_itself), ("orders", true));
    let by_shipment: Vec<&str> = RULES.all().filter(|rule| rule.by_shipment).map(|rule| rule.name).collect();
    assert_eq!(by_shipment.len(), 2, "{by_shipment:?}");
}

#[test]
fn on_every_path_an_answer_is_owed_until_the_order_has_ended_and_none_after() {
    for path in PATHS {
        let ended = order_of(path);
        let judged = judge(&RULES, &ended, &evidence(100, 1_000_000_000), at(1_000_000));
        let owed: Vec<&str> = judged.answers.iter().map(|answer| answer.rule.name).collect();
        assert!(owed.is_empty(), "{path:?} has ended, and is owed {owed:?}");
        for length in 1..path.len() {
            let open = order_of(&path[..length]);
            let judged = judge(&RULES, &open, &evidence(100, 1_000), at(200));
            assert!(!judged.answers.is_empty(), "nobody owes anything to {:?}", &path[..length]);
        }
    }
}

#[test]
fn what_nobody_answers_is_stuck_once_its_time_has_passed_since_its_consumer_came_to_it() {
    let order = order_of(&["OrderAccepted", "StockReserved", "PaymentAuthorized"]);
    let status = |evidence: &Evidence, seconds| judge(&RULES, &order, evidence, at(seconds)).answers[0].status;
    let due = 30 + 120;
    assert_eq!(status(&evidence(30, due), due - 1), AnswerStatus::Waits);
    assert_eq!(status(&evidence(30, due), due), AnswerStatus::Overdue);
    assert_eq!(status(&evidence(30, due - 1), due + 50), AnswerStatus::Late(Explanation::Unpublished), "the relay");
    let mut behind = evidence(30, due);
    behind.pace = SampleHistory::default();
    assert_eq!(status(&behind, due + 86_400), AnswerStatus::Late(Explanation::Behind), "the consumer");
    let mut down = evidence(30, due);
    down.outages.see("fraud", true, at(due));
    assert_eq!(status(&down, due + 50), AnswerStatus::Waits, "it has time to recover");
    down.outages.see("fraud", true, at(due + 86_400));
    assert_eq!(status(&down, due + 2 * 86_400 + 600), AnswerStatus::Late(Explanation::Down));
}

#[test]
fn what_a_dispute_holds_is_late_as_long_as_it_is_open_and_has_its_whole_time_after_it() {
    const DAY: i64 = 86_400;
    let paid = [
        ("OrderAccepted", 0),
        ("StockReserved", 1),
        ("PaymentAuthorized", 2),
        ("FraudCleared", 3),
        ("FulfillmentConfirmed", 4),
        ("PaymentCaptured", 5),
        ("PaymentDisputed", DAY),
    ];
    let of = |told: &[(&str, i64)]| {
        order(told.iter().zip(0..).map(|((name, seconds), number)| happened(name, number, *seconds)).collect())
    };
    let held = of(&paid);
    let judged = judge(&RULES, &held, &evidence(30, 100 * DAY), at(60 * DAY));
    assert_eq!(judged.answers[0].status, AnswerStatus::Late(Explanation::Disputed));
    assert!(!judged.beyond_limit, "not stuck by the hard limit either");
    let over = of(&[&paid[..], &[("DisputeClosed", 60 * DAY)]].concat());
    let status = |seconds| judge(&RULES, &over, &evidence(30, 100 * DAY), at(seconds)).answers[0].status;
    assert_eq!(status(63 * DAY - 1), AnswerStatus::Waits);
    assert_eq!(status(63 * DAY), AnswerStatus::Overdue);
    assert!(!judge(&RULES, &over, &evidence(30, 100 * DAY), at(80 * DAY)).beyond_limit);
    assert!(judge(&RULES, &over, &evidence(30, 100 * DAY), at(82 * DAY)).beyond_limit);
}

#[test]
fn an_order_that_waits_for_a_retry_is_late_and_has_its_whole_time_after_it() {
    let mut order = order_of(&["OrderAccepted", "StockReserved", "PaymentAuthorized"]);
    order.parked.push(WaitingEvents { consumer: "fraud".into(), waits: true, unparked_at: None });
    let status =
        |order: &OpenOrder, seconds| judge(&RULES, order, &evidence(30, 10_000), at(seconds)).answers[0].status;
    assert_eq!(status(&order, 5_000), AnswerStatus::Late(Explanation::Parked));
    order.parked[0] = WaitingEvents { consumer: "fraud".into(), waits: false, unparked_at: Some(at(5_000)) };
    assert_eq!(status(&order, 5_119), AnswerStatus::Waits);
    assert_eq!(status(&order, 5_120), AnswerStatus::Overdue);
}

#[test]
fn a_customers_and_a_persons_own_deadline_count_first() {
    let order = order_of(&["OrderAccepted", "StockReserved", "PaymentActionRequired"]);
    let judged = judge(&RULES, &order, &evidence(30, 100_000), at(800));
    assert_eq!((judged.answers[0].status, judged.answers[0].due), (AnswerStatus::Waits, at(900 + 300)));
    let order = order_of(&["OrderAccepted", "StockReserved", "PaymentAuthorized", "FraudReviewRequested"]);
    let judged = judge(&RULES, &order, &evidence(30, 100_000), at(80_000));
    assert_eq!((judged.answers[0].status, judged.look_at), (AnswerStatus::Waits, at(86_400 + 300)));
}

#[test]
fn an_outage_adds_its_length_to_what_its_consumer_owes() {
    let order = order_of(&["OrderAccepted", "StockReserved", "PaymentAuthorized", "FraudCleared"]);
    let mut evidence = evidence(30, 10_000_000);
    let day = 86_400;
    for hour in 0..24 {
        evidence.outages.see("fulfillment", true, at(day + hour * 3_600));
    }
    evidence.outages.see("fulfillment", false, at(2 * day));
    let judged = judge(&RULES, &order, &evidence, at(2 * day + 100));
    assert_eq!((judged.answers[0].status, judged.answers[0].due), (AnswerStatus::Waits, at(30 + 2 * day + 23 * 3_600)));
}

#[test]
fn who_waits_itself_for_what_it_asked_later_is_excused_and_whom_it_asked_is_not() {
    let asked = ["OrderAccepted", "StockReserved", "PaymentAuthorized", "FraudCleared", "FulfillmentShortPicked#1"];
    let order = order_of(&asked);
    let judged = judge(&RULES, &order, &evidence(30, 1_000_000), at(300_000));
    let statuses: Vec<(&str, AnswerStatus)> =
        judged.answers.iter().map(|answer| (answer.rule.name, answer.status)).collect();
    assert_eq!(statuses, [("FulfillmentShortPicked", AnswerStatus::Overdue), ("FraudCleared", AnswerStatus::Excused)]);
    let answered = [&asked[..], &["StockReallocated#1", "FulfillmentShortPicked#2"]].concat();
    let order = order_of(&answered);
    let judged = judge(&RULES, &order, &evidence(30, 1_000_000), at(300_000));
    let overdue: Vec<&str> = judged.overdue().map(|answer| answer.rule.name).collect();
    assert_eq!(overdue, ["FulfillmentShortPicked"], "the second shortage is not answered by the answer to the first");
}

#[test]
fn a_new_picking_list_has_its_whole_time() {
    let names = ["OrderAccepted", "StockReserved", "PaymentAuthorized", "FraudCleared", "FulfillmentShortPicked#1"];
    let mut events: Vec<Happened> =
        names.iter().zip(0..).map(|(name, number)| happened(name, number, number)).collect();
    let day = 86_400;
    events.push(happened("StockReallocated#1", 9, day));
    let order = order(events);
    let mut evidence = evidence(30, 100 * day);
    evidence.pace = SampleHistory::default();
    evidence.pace.see("fulfillment", ("fraud", 0), Sample { at: at(30), committed: 5 });
    evidence.pace.see("fulfillment", ("inventory", 0), Sample { at: at(day + 10), committed: 50 });
    let judged = judge(&RULES, &order, &evidence, at(2 * day + 500));
    assert!(judged.answers.iter().all(|answer| answer.due == at(3 * day + 10)), "{:?}", judged.answers);
    assert_eq!(judged.overdue().count(), 0);
}

#[test]
fn a_parcel_that_left_is_no_answer_for_the_others() {
    let names = [
        "OrderAccepted",
        "StockReserved",
        "PaymentAuthorized",
        "FraudCleared",
        "FulfillmentConfirmed",
        "PaymentCaptured",
    ];
    let mut events: Vec<Happened> =
        names.iter().zip(0..).map(|(name, number)| happened(name, number, number)).collect();
    events[4].data = json!({"shipments": [{"shipment_id": "1"}, {"shipment_id": "2"}]});
    events.push(happened("ShipmentDispatched#1", 7, 7));
    events.push(happened("StockCommitted#1", 8, 8));
    let mut order = order(events);
    let owed = |order: &OpenOrder| -> Vec<&str> {
        judge(&RULES, order, &evidence(30, 100), at(200)).answers.iter().map(|answer| answer.rule.name).collect()
    };
    assert_eq!(owed(&order), ["PaymentCaptured"]);
    order.events.push(happened("ShipmentDispatched#2", 9, 9));
    assert_eq!(owed(&order), ["ShipmentDispatched"], "the second parcel's stock");
}

#[test]
fn an_order_whose_beginning_was_never_heard_is_owed_it_by_orders() {
    let order = order_of(&["StockReserved", "PaymentDeclined", "StockReleased"]);
    let judged = judge(&RULES, &order, &evidence(30, 10_000), at(10_000));
    let overdue: Vec<(&str, &str)> = judged.overdue().map(|answer| (answer.rule.name, answer.rule.consumer)).collect();
    assert_eq!(overdue, [("OrderPlaced", "orders")]);
}

#[test]
fn beyond_the_hard_limit_an_order_is_stuck_whatever_explains_it_unless_the_tracker_itself_is_behind() {
    let order = order_of(&["OrderAccepted"]);
    let limit = 21 * 86_400;
    let mut evidence = evidence(30, 10);
    evidence.pace = SampleHistory::default();
    assert!(!judge(&RULES, &order, &evidence, at(limit - 1)).beyond_limit);
    assert!(judge(&RULES, &order, &evidence, at(limit)).beyond_limit);
    evidence.folded.clear();
    assert!(!judge(&RULES, &order, &evidence, at(limit)).beyond_limit);
}

#[test]
fn a_moved_deadline_puts_everything_off() {
    let mut order = order_of(&["OrderAccepted", "StockReserved"]);
    (order.moved_until, order.rounds) = (Some(at(50_000)), 1);
    let judged = judge(&RULES, &order, &evidence(30, 1_000_000), at(40_000));
    assert_eq!((judged.answers[0].status, judged.look_at), (AnswerStatus::Waits, at(50_000)));
    assert_eq!(judge(&RULES, &order, &evidence(30, 1_000_000), at(50_000)).overdue().count(), 1);
}
