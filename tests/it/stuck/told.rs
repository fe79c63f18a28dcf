//! An order that is stuck: told once for each situation, with its whole case; its deadline moved, the order then ended.

use events::{OrderStuck, PaymentAuthorized};
use quadrille_tests::{Pipeline, commit_end};
use serde_json::json;

use super::alerts::Receiver;
use super::{HOUR, order, without};

/// An order whose authorization fraud never sees: its group was set beyond it by hand.
async fn skipped(pipeline: &Pipeline) -> String {
    let order = pipeline.place(&order(1)).await;
    pipeline.settle().await;
    commit_end(&format!("{}fraud", pipeline.prefix), &[pipeline.topic("payments")]);
    pipeline.host(&["fraud"]).await;
    pipeline.settle().await;
    order
}

/// Moves the clock on, a quarter of a minute at a time, until so many OrderStuck were said.
async fn until_told(pipeline: &Pipeline, order: &str, times: usize) -> OrderStuck {
    let told = || async {
        pipeline.advance(std::time::Duration::from_secs(15));
        pipeline.story(order).await.iter().filter(|name| *name == "OrderStuck").count() >= times
    };
    pipeline.until(told, "OrderStuck").await;
    let all: Vec<OrderStuck> = pipeline.all(order).await;
    assert_eq!(all.len(), times);
    all.into_iter().next_back().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_whose_event_a_consumer_skipped_is_told_once_with_its_whole_case_and_alerted_until_it_is_taken() {
    let receiver = Receiver::that_refuses(1).await;
    let hook = format!("alert_url = '{}'\nalert_secret = 's3cret'\nmoney_at_risk = 800\n", receiver.url);
    let pipeline = without(&["fraud"], &hook).await;
    let order = skipped(&pipeline).await;
    let stuck = until_told(&pipeline, &order, 1).await;
    the_case_is_whole(&pipeline, &order, &stuck).await;

    // Nothing more is told of it, however long it stands.
    for _ in 0..5 {
        pipeline.advance(HOUR);
        pipeline.settle().await;
    }
    assert_eq!(pipeline.all::<OrderStuck>(&order).await.len(), 1);
    let letters = pipeline.get("saga-tracker", "/dead-letters?kind=order").await;
    assert_eq!(letters["dead_letters"].as_array().map(Vec::len), Some(1), "{letters}");

    // The receiver refused the first try; it is told until it takes it, under the same id.
    let told = || async {
        pipeline.advance(std::time::Duration::from_secs(1));
        let taken = ["order_stuck", "money_at_risk"].iter().all(|kind| receiver.taken(kind).len() == 1);
        taken && receiver.has_got_again_what_it_refused()
    };
    pipeline.until(told, "the alert, taken").await;
    receiver.refused_one_and_got_it_again(true);

    // More time: it is told again when that has passed, as another situation.
    let until = pipeline.clock.now().plus(HOUR);
    let body = json!({"until": until.to_string(), "by": "ada", "why": "fraud is being mended"});
    let (status, answer) = pipeline.post("saga-tracker", &format!("/orders/{order}/deadline"), body).await;
    assert_eq!(status, 200, "{answer}");
    let listed = pipeline.get("saga-tracker", "/deadlines").await;
    assert_eq!(listed["deadlines"][0]["moves"], 1, "{listed}");
    assert_eq!(listed["deadlines"][0]["owed"][0]["due"], until.to_string(), "{listed}");
    let again = until_told(&pipeline, &order, 2).await;
    assert!(again.round == 1 && again.due >= until, "{again:?}");

    // A person cancels it: it is undone, and nothing of it is open any more.
    let body = json!({"requested_by": "ada", "reason": "stuck"});
    let (status, answer) = pipeline.post("orders", &format!("/orders/{order}/cancel"), body).await;
    assert_eq!(status, 202, "{answer}");
    pipeline.settle().await;
    assert_eq!(pipeline.status(&order).await, "CANCELLED");
    assert_eq!(pipeline.count("select count(*) from saga_tracker.stuck_now").await, 0);
    let open = || async { pipeline.get("saga-tracker", "/alerts").await["alerts"].as_array().map(Vec::len) == Some(0) };
    pipeline.until(open, "the end of all alerts").await;
    pipeline.finish().await;
}

async fn the_case_is_whole(pipeline: &Pipeline, order: &str, stuck: &OrderStuck) {
    let authorized: PaymentAuthorized = pipeline.the(order).await;
    assert_eq!(stuck.event_type, "quadrille.payments.PaymentAuthorized");
    assert_eq!((stuck.status.as_str(), stuck.consumers.as_slice()), ("AUTHORIZED", &["fraud".to_owned()][..]));
    assert!(stuck.waiting_for.contains(&"quadrille.fraud.FraudCleared".to_owned()), "{stuck:?}");
    assert!(stuck.due.since(stuck.since).as_secs() >= 120 && !stuck.hard_limit && stuck.round == 0, "{stuck:?}");
    assert!(stuck.detail.contains("expected fraud to answer PaymentAuthorized"), "{}", stuck.detail);
    let names: Vec<&str> = stuck.history.iter().map(|entry| entry.event_type.rsplit('.').next().unwrap()).collect();
    let way: Vec<&str> = names.into_iter().filter(|name| !name.starts_with("Notification")).collect();
    assert_eq!(way, ["OrderAccepted", "StockReserved", "PaymentAuthorized"]);
    let took: i64 = stuck.history.iter().map(|entry| entry.since_previous_ms).sum();
    let (first, last) = (stuck.history.first().unwrap(), stuck.history.last().unwrap());
    assert_eq!((stuck.last_heard.as_str(), stuck.last_heard_from.as_str()), (stuck.event_type.as_str(), "payments"));
    assert_eq!(took, last.time.as_millis() - first.time.as_millis());
    let expected = &stuck.expected[0];
    assert_eq!((expected.consumer.as_str(), expected.overdue, stuck.expected.len()), ("fraud", true, 1));
    let money = stuck.money.as_ref().unwrap();
    assert_eq!((money.authorized, money.captured, money.held, money.currency.as_str()), (900, 0, 900, "EUR"));
    assert_eq!(money.held_until, Some(authorized.capture_before));
    let stock = &stuck.stock[0];
    assert_eq!((stock.sku.as_str(), stock.warehouse.as_str(), stock.quantity), ("TEA", "a", 2));
    assert_eq!(stuck.stock_held_until, Some(authorized.capture_before));
    let open: Vec<(&str, &str)> =
        stuck.compensations.iter().map(|open| (open.holds.as_str(), open.consumer.as_str())).collect();
    assert_eq!(open, [("stock", "inventory"), ("money", "payments")]);
    let actions: Vec<&str> = stuck.actions.iter().map(|action| action.action.as_str()).collect();
    assert_eq!(actions, ["wait", "cancel"]);
    assert!(stuck.parked.is_empty() && stuck.dead_letters.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_was_stuck_and_goes_on_is_stuck_no_longer() {
    let pipeline = without(&["fraud"], "").await;
    let order = skipped(&pipeline).await;
    until_told(&pipeline, &order, 1).await;
    assert_eq!(pipeline.count("select count(*) from saga_tracker.stuck_now").await, 1);
    // Somebody sets fraud's group back: it hears the event after all.
    let fraud = pipeline.hosts().into_iter().find(|host| host.address("fraud").is_some()).unwrap();
    pipeline.stop(&fraud).await;
    quadrille_tests::commit_beginning(&format!("{}fraud", pipeline.prefix), &[pipeline.topic("payments")]);
    pipeline.host(&["fraud"]).await;
    pipeline.settle().await;
    assert_eq!(pipeline.status(&order).await, "COMPLETED");
    assert_eq!(pipeline.count("select count(*) from saga_tracker.stuck_now").await, 0);
    let kept = pipeline.count("select count(*) from saga_tracker.stuck").await;
    assert_eq!(kept, 1, "that it was is still known");
    pipeline.finish().await;
}
