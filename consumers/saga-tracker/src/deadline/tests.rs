//! The judge: what is owed on every path of the protocol, when it is due, and that nothing is stuck while anything explains that it is late.

use std::collections::HashMap;
use std::time::Duration;

use events::{OrderId, Timestamp, entry_of};
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::judge::Why;
use super::*;

/// When the order was placed.
const BEGAN: i64 = 1_790_000_000_000;
const DATABASE: &str = "shop";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(BEGAN + seconds * 1_000)
}

/// An event of this name, or `Name{closed}`, or `Name#1` of a shipment; the n-th stands at offset n.
fn happened(name: &str, number: i64, seconds: i64) -> Happened {
    let closed = name.contains("{closed}");
    let name = name.trim_end_matches("{closed}");
    let (name, shipment) = name.split_once('#').map_or((name, None), |(name, shipment)| (name, Some(shipment)));
    let entry = entry_of(name).unwrap_or_else(|| panic!("no event {name}"));
    let data = json!({
        "closed": if closed { json!({}) } else { Value::Null },
        "shipment_id": shipment,
        "expires_at": BEGAN + 900_000,
        "deadline": BEGAN + 86_400_000,
    });
    Happened {
        event_id: Uuid::from_u128(number as u128 + 1),
        event_type: entry.event_type,
        topic: entry.topic,
        partition: 0,
        offset: number,
        at: at(seconds),
        data,
    }
}

fn order(events: Vec<Happened>) -> OpenOrder {
    OpenOrder {
        order_id: OrderId(Uuid::from_u128(7)),
        placed_at: at(0),
        events,
        parked: Vec::new(),
        moved_until: None,
        rounds: 0,
        told: Vec::new(),
    }
}

/// One event a second.
fn order_of(names: &[&str]) -> OpenOrder {
    order(names.iter().zip(0..).map(|(name, number)| happened(name, number, number)).collect())
}

/// Everyone passed everything at this moment, and everything said until that one is published and read.
fn evidence(passed: i64, folded: i64) -> Evidence {
    let mut evidence = Evidence::default();
    for (consumer, topics) in &RULES.hears {
        evidence.databases.insert(consumer, DATABASE.to_owned());
        for topic in topics {
            evidence.pace.see(consumer, (topic, 0), Sample { at: at(passed), committed: 1_000 });
        }
    }
    evidence.folded = all_shards(folded);
    evidence
}

fn all_shards(folded: i64) -> HashMap<Shard, Timestamp> {
    (0..8).map(|shard| ((DATABASE.to_owned(), shard), at(folded))).collect()
}

/// The paths of PROTOCOL.md (c) and the happy one, each to its end.
const PATHS: [&[&str]; 16] = [
    &["OrderRejected"],
    &[
        "OrderAccepted",
        "StockReserved",
        "PaymentAuthorized",
        "FraudCleared",
        "FulfillmentConfirmed",
        "PaymentCaptured",
        "ShipmentDispatched#1",
        "StockCommitted#1{closed}",
        "OrderCompleted",
    ],
    &["OrderAccepted", "StockRejected", "OrderFailed"],
    &["OrderAccepted", "StockReserved", "PaymentDeclined", "StockReleased{closed}", "OrderFailed"],
    &[
        "OrderAccepted",
        "StockReserved",
        "PaymentActionRequired",
        "ReservationExpired",
        "PaymentVoided",
        "StockReleased{closed}",
        "OrderFailed",
    ],
    &[
        "OrderAccepted",
        "StockReserved",
        "ReservationExpired",
        "PaymentAuthorized",
        "FraudRejected",
        "PaymentVoided",
        "StockReleased{closed}",
        "OrderFailed",
    ],
    &[
        "OrderAccepted",
        "StockReserved",
        "PaymentAuthorized",
        "FraudReviewRequested",
        "FraudRejected",
        "PaymentVoided",
        "StockReleased{closed}",
        "OrderFailed",
    ],
    &[
        "OrderAccepted",
        "StockReserved",
        "PaymentAuthorized",
        "FraudReviewRequested",
        "FraudCleared",
        "FulfillmentRejected",
        "PaymentVoided",
        "StockReleased{closed}",
        "OrderFailed",
    ],
    &[
        "OrderAccepted",
        "StockReserved",
        "PaymentAuthorized",
        "FraudCleared",
        "FulfillmentShortPicked#1",
        "StockReallocated#1",
        "FulfillmentShortPicked#2",
        "StockReallocated#2",
        "FulfillmentConfirmed",
        "PaymentCaptured",
        "ShipmentDispatched#3",
        "StockCommitted#3{closed}",
        "OrderCompleted",
    ],
    &[
        "OrderAccepted",
        "StockReserved",
        "PaymentAuthorized",
        "FraudCleared",
        "FulfillmentConfirmed",
        "PaymentCaptureFailed",
        "FulfillmentCancelled",
        "PaymentVoided",
        "StockReleased{closed}",
        "OrderFailed",
    ],
    &[
        "OrderAccepted",
        "OrderCancellationRequested",
        "FulfillmentCancelled",
        "PaymentVoided",
        "StockReleased{closed}",
        "OrderCancelled",
    ],
    &[
        "OrderAccepted",
        "StockReserved",
        "OrderCancellationRequested",
        "FulfillmentCancelled",
        "PaymentDeclined",
        "StockReleased{closed}",
        "OrderCancelled",
    ],
    &[
        "OrderAccepted",
        "StockReserved",
        "PaymentAuthorized",
        "FraudCleared",
        "OrderCancellationRequested",
        "FulfillmentCancelled",
        "PaymentVoided",
        "StockReleased{closed}",
        "OrderCancelled",
    ],
    &[
        "OrderAccepted",
        "StockReserved",
        "PaymentAuthorized",
        "FraudCleared",
        "FulfillmentConfirmed",
        "OrderCancellationRequested",
        "FulfillmentCancelled",
        "PaymentCaptured",
        "PaymentRefunded",
        "StockReleased{closed}",
        "OrderCancelled",
    ],
    &[
        "OrderAccepted",
        "StockReserved",
        "PaymentAuthorized",
        "FraudCleared",
        "FulfillmentConfirmed",
        "PaymentCaptured",
        "ShipmentDispatched#1",
        "FulfillmentCancelled",
        "StockCommitted#1",
        "PaymentRefundFailed",
        "PaymentRefunded",
        "StockReleased{closed}",
        "OrderCompleted",
    ],
    &[
        "OrderAccepted",
        "StockReserved",
        "PaymentAuthorized",
        "FraudCleared",
        "FulfillmentConfirmed",
        "PaymentCaptured",
        "OrderCancellationRequested",
        "ShipmentDispatched#1",
        "StockCommitted#1{closed}",
        "OrderCompleted",
    ],
];

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
    assert!(RULES.all().all(|rule| !rule.consumer.is_empty() && !rule.answers.is_empty() && rule.mask != 0));
    assert_eq!((RULES.beginning.consumer, RULES.beginning.of_itself), ("orders", true));
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
    let standing = |evidence: &Evidence, seconds| judge(&RULES, &order, evidence, at(seconds)).answers[0].standing;
    let due = 30 + 120;
    assert_eq!(standing(&evidence(30, due), due - 1), Standing::Waits);
    assert_eq!(standing(&evidence(30, due), due), Standing::Overdue);
    assert_eq!(standing(&evidence(30, due - 1), due + 50), Standing::Late(Why::Unpublished), "the relay");
    let mut behind = evidence(30, due);
    behind.pace = Pace::default();
    assert_eq!(standing(&behind, due + 86_400), Standing::Late(Why::Behind), "the consumer");
    let mut down = evidence(30, due);
    down.outages.see("fraud", true, at(due));
    assert_eq!(standing(&down, due + 50), Standing::Waits, "it has time to recover");
    down.outages.see("fraud", true, at(due + 86_400));
    assert_eq!(standing(&down, due + 2 * 86_400 + 600), Standing::Late(Why::Down));
}

#[test]
fn an_order_that_waits_for_a_retry_is_late_and_has_its_whole_time_after_it() {
    let mut order = order_of(&["OrderAccepted", "StockReserved", "PaymentAuthorized"]);
    order.parked.push(Waiting { consumer: "fraud".into(), waits: true, unparked_at: None });
    let standing =
        |order: &OpenOrder, seconds| judge(&RULES, order, &evidence(30, 10_000), at(seconds)).answers[0].standing;
    assert_eq!(standing(&order, 5_000), Standing::Late(Why::Parked));
    order.parked[0] = Waiting { consumer: "fraud".into(), waits: false, unparked_at: Some(at(5_000)) };
    assert_eq!(standing(&order, 5_119), Standing::Waits);
    assert_eq!(standing(&order, 5_120), Standing::Overdue);
}

#[test]
fn a_customers_and_a_persons_own_deadline_count_first() {
    let order = order_of(&["OrderAccepted", "StockReserved", "PaymentActionRequired"]);
    let judged = judge(&RULES, &order, &evidence(30, 100_000), at(800));
    assert_eq!((judged.answers[0].standing, judged.answers[0].due), (Standing::Waits, at(900 + 300)));
    let order = order_of(&["OrderAccepted", "StockReserved", "PaymentAuthorized", "FraudReviewRequested"]);
    let judged = judge(&RULES, &order, &evidence(30, 100_000), at(80_000));
    assert_eq!((judged.answers[0].standing, judged.look_at), (Standing::Waits, at(86_400 + 300)));
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
    assert_eq!((judged.answers[0].standing, judged.answers[0].due), (Standing::Waits, at(30 + 2 * day + 23 * 3_600)));
}

#[test]
fn who_waits_itself_for_what_it_asked_later_is_excused_and_whom_it_asked_is_not() {
    let asked = ["OrderAccepted", "StockReserved", "PaymentAuthorized", "FraudCleared", "FulfillmentShortPicked#1"];
    let order = order_of(&asked);
    let judged = judge(&RULES, &order, &evidence(30, 1_000_000), at(300_000));
    let standings: Vec<(&str, Standing)> =
        judged.answers.iter().map(|answer| (answer.rule.name, answer.standing)).collect();
    assert_eq!(standings, [("FulfillmentShortPicked", Standing::Overdue), ("FraudCleared", Standing::Excused)]);
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
    evidence.pace = Pace::default();
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
    evidence.pace = Pace::default();
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
    assert_eq!((judged.answers[0].standing, judged.look_at), (Standing::Waits, at(50_000)));
    assert_eq!(judge(&RULES, &order, &evidence(30, 1_000_000), at(50_000)).overdue().count(), 1);
}

proptest! {
    /// However consumers, relay, parking and clock are: who calls an order stuck has looked at all of them.
    #[test]
    fn nothing_is_stuck_while_anything_explains_that_it_is_late(
        path in 0..PATHS.len(), length in 1..12_usize, now in 0..2_000_000_i64,
        passed in proptest::option::of(0..2_000_000_i64), folded in proptest::option::of(0..2_000_000_i64),
        outages in proptest::collection::vec((0..6_usize, 0..2_000_000_i64, any::<bool>()), 0..12),
        waits in any::<bool>(), unparked in proptest::option::of(0..2_000_000_i64), moved in proptest::option::of(0..2_000_000_i64),
    ) {
        let mut order = order_of(&PATHS[path][..length.min(PATHS[path].len())]);
        let mut evidence = evidence(passed.unwrap_or(0), folded.unwrap_or(0));
        if passed.is_none() {
            evidence.pace = Pace::default();
        }
        if folded.is_none() {
            evidence.folded.clear();
        }
        let mut outages = outages;
        outages.sort_by_key(|(_, when, _)| *when);
        for (consumer, when, is_down) in outages {
            let consumer = RULES.hears[consumer % RULES.hears.len()].0;
            evidence.outages.see(consumer, is_down, at(when));
        }
        if waits || unparked.is_some() {
            order.parked.push(Waiting { consumer: "payments".into(), waits, unparked_at: unparked.map(at) });
        }
        order.moved_until = moved.map(at);
        let judged = judge(&RULES, &order, &evidence, at(now));
        prop_assert!(judged.look_at > at(now), "a look that is due now would be looked at for ever");
        for answer in judged.overdue() {
            let rule = answer.rule;
            prop_assert!(!waits);
            prop_assert!(folded.is_some_and(|folded| at(folded) >= answer.due && answer.due <= at(now)));
            prop_assert!(!evidence.outages.is_down(rule.consumer));
            prop_assert!(answer.due >= answer.event.at.plus(rule.within.min(Duration::from_secs(60))));
            prop_assert!(moved.is_none_or(|moved| answer.due >= at(moved)));
            if !rule.of_itself {
                prop_assert!(passed.is_some_and(|passed| answer.due >= at(passed).plus(rule.within)));
            }
        }
    }

    /// The order in which events are read, and other orders' events between them, change nothing.
    #[test]
    fn what_is_owed_does_not_depend_on_the_order_in_which_events_came(
        path in 0..PATHS.len(), shuffled in Just((0..16_usize).collect::<Vec<_>>()).prop_shuffle(), now in 0..500_000_i64,
    ) {
        let straight = order_of(PATHS[path]);
        let mut mixed = straight.clone();
        mixed.events = shuffled.iter().filter_map(|index| straight.events.get(*index).cloned()).collect();
        mixed.events.truncate(straight.events.len());
        let evidence = evidence(30, 1_000_000);
        let of = |order: &OpenOrder| {
            let judged = judge(&RULES, order, &evidence, at(now));
            let mut owed: Vec<_> = judged.answers.iter().map(|a| (a.rule.name, a.event.event_id, a.due, a.standing == Standing::Overdue)).collect();
            owed.sort();
            owed
        };
        prop_assert_eq!(of(&mixed), of(&straight));
    }
}
