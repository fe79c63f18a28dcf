//! Cases of the warehouse: cancellations that race with parcels, shipments in part, refusals.

use events::{OrderCompleted, OrderFailed, PaymentCaptured, PaymentRefunded, ShipmentDispatched, StockReallocated};
use quadrille_tests::{Order, Pipeline};
use serde_json::{Value, json};

use super::{cancel, level, story, times, told, with_real_warehouse, with_stock};

/// The shipments of an order that leave from a warehouse.
async fn shipments(pipeline: &Pipeline, order: &str, warehouse: &str) -> Vec<Value> {
    let view = pipeline.get("fulfillment", &format!("/orders/{order}/shipments")).await;
    let all = view["shipments"].as_array().cloned().unwrap_or_default();
    all.into_iter().filter(|shipment| shipment["warehouse"] == warehouse).collect()
}

/// Tells something of the one shipment of a warehouse, and runs to quiescence.
async fn tell(pipeline: &Pipeline, order: &str, warehouse: &str, what: &str, body: Value) {
    let found = shipments(pipeline, order, warehouse).await;
    assert_eq!(found.len(), 1, "{warehouse}: {found:?}");
    let shipment = found[0]["shipment_id"].as_str().unwrap();
    told(pipeline, "fulfillment", &format!("/orders/{order}/shipments/{shipment}/{what}"), body).await;
    pipeline.settle().await;
}

/// A warehouse packs its shipment but for so many units of it.
async fn pick(pipeline: &Pipeline, order: &str, warehouse: &str, but: i64) {
    let picks = shipments(pipeline, order, warehouse).await[0]["picks"].as_array().cloned().unwrap();
    assert_eq!(picks.len(), 1, "{picks:?}");
    let items =
        json!([{"allocation_id": picks[0]["allocation_id"], "quantity": picks[0]["quantity"].as_i64().unwrap() - but}]);
    tell(pipeline, order, warehouse, "picked", json!({"items": items})).await;
}

async fn hand_over(pipeline: &Pipeline, order: &str, warehouse: &str) {
    tell(pipeline, order, warehouse, "handed-over", json!({"carrier": "DHL", "tracking": "T-1"})).await;
}

/// Each order is cancelled at another moment of its way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_11_a_cancellation_that_races_with_dispatch_either_stops_the_parcel_or_is_too_late() {
    let pipeline = with_stock(&[("TEA", "a", 100)]).await;
    let mut orders = Vec::new();
    for at in 0..24 {
        let order = pipeline.place(&Order::of(&[("TEA", 2, 450)]).by(&format!("c-{at}"))).await;
        pipeline.until(|| async { story(&pipeline, &order).await.len() > at % 8 }, "its next event").await;
        cancel(&pipeline, &order).await;
        orders.push(order);
    }
    pipeline.settle().await;
    let mut left = 0;
    for order in &orders {
        let (parcels, refunds) =
            (times(&pipeline, order, "ShipmentDispatched").await, times(&pipeline, order, "PaymentRefunded").await);
        let captures = times(&pipeline, order, "PaymentCaptured").await;
        match pipeline.status(order).await.as_str() {
            "COMPLETED" => assert_eq!((parcels, captures, refunds), (1, 1, 0), "{order}: what left stays sold"),
            "CANCELLED" => assert_eq!((parcels, captures), (0, refunds), "{order}: nothing left, nothing is kept"),
            other => panic!("{order} is {other}"),
        }
        left += parcels as i64;
    }
    assert_eq!(level(&pipeline, "TEA").await, (100 - 2 * left, 0, 0));
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_13_a_cancellation_after_capture_refunds_exactly_the_lines_that_did_not_leave() {
    let pipeline = with_real_warehouse(&[("TEA", "a", 5), ("CUP", "b", 5)]).await;
    let order =
        pipeline.place(&Order::of(&[("TEA", 2, 450), ("CUP", 1, 300)]).with("shipping", 101).with("tax", 50)).await;
    pipeline.settle().await;
    pick(&pipeline, &order, "a", 0).await;
    pick(&pipeline, &order, "b", 0).await;
    let captured: PaymentCaptured = pipeline.the(&order).await;
    assert_eq!(captured.amount, 1_351);
    hand_over(&pipeline, &order, "a").await;
    assert_eq!(cancel(&pipeline, &order).await, 202);
    pipeline.settle().await;
    assert_eq!(
        times(&pipeline, &order, "PaymentRefunded").await,
        0,
        "its warehouse has not said yet whether it leaves"
    );
    tell(&pipeline, &order, "b", "will-not-ship", json!({"why": "recalled"})).await;
    let refunded: PaymentRefunded = pipeline.the(&order).await;
    let items: Vec<(&str, i64)> = refunded.items.iter().map(|item| (item.sku.as_str(), item.quantity)).collect();
    assert_eq!(items, [("CUP", 1)]);
    let completed: OrderCompleted = pipeline.the(&order).await;
    assert_eq!(
        (completed.cancellation.as_str(), completed.charged + refunded.amount),
        ("in_part", 1_351),
        "{completed:?}"
    );
    assert!(refunded.amount > 300, "with its share of shipping and tax: {refunded:?}");
    assert_eq!((level(&pipeline, "TEA").await, level(&pipeline, "CUP").await), ((3, 0, 0), (5, 0, 0)));
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_14_two_cancellations_at_once_are_one_refund() {
    let pipeline = with_stock(&[("HOLD-1", "a", 5)]).await;
    let order = pipeline.place(&Order::of(&[("HOLD-1", 2, 450)])).await;
    pipeline.settle().await;
    assert_eq!(tokio::join!(cancel(&pipeline, &order), cancel(&pipeline, &order)), (202, 202));
    pipeline.settle().await;
    for event in ["OrderCancellationRequested", "FulfillmentCancelled", "PaymentRefunded", "OrderCancelled"] {
        assert_eq!(times(&pipeline, &order, event).await, 1, "{event}");
    }
    assert_eq!(pipeline.count("select count(*) from sandbox.refund").await, 1);
    assert_eq!(pipeline.count("select refunded from sandbox.payment").await, 900);
    assert_eq!(cancel(&pipeline, &order).await, 409, "it has ended");
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_15_a_partial_shipment_is_captured_once_after_picking_for_exactly_what_ships() {
    let pipeline = with_real_warehouse(&[("TEA", "a", 5), ("CUP", "b", 2)]).await;
    let order = pipeline.place(&Order::of(&[("TEA", 2, 450), ("CUP", 2, 300)])).await;
    pipeline.settle().await;
    pick(&pipeline, &order, "a", 0).await;
    assert_eq!(times(&pipeline, &order, "PaymentCaptured").await, 0, "not before every shipment is picked");
    pick(&pipeline, &order, "b", 1).await;
    let captured: PaymentCaptured = pipeline.the(&order).await;
    assert_eq!((captured.amount, captured.remainder), (1_200, 300));
    assert_eq!(times(&pipeline, &order, "ShipmentDispatched").await, 0, "no parcel leaves before it is paid");
    hand_over(&pipeline, &order, "a").await;
    hand_over(&pipeline, &order, "b").await;
    let shipped: Vec<ShipmentDispatched> = pipeline.all(&order).await;
    assert_eq!(shipped.iter().flat_map(|parcel| &parcel.items).map(|item| item.quantity).sum::<i64>(), 3);
    assert_eq!(pipeline.count("select count(*) from sandbox.operation where operation = 'capture'").await, 1);
    let book = "select count(*) from sandbox.payment where authorized = 1500 and captured = 1200 and released = 300 and refunded = 0";
    assert_eq!(pipeline.count(book).await, 1, "the provider released the rest");
    assert_eq!(pipeline.status(&order).await, "COMPLETED");
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_16_a_short_pick_is_made_good_elsewhere_and_what_is_nowhere_is_not_charged_and_told() {
    let pipeline = with_real_warehouse(&[("TEA", "a", 3), ("TEA", "b", 1)]).await;
    let order = pipeline.place(&Order::of(&[("TEA", 3, 450)])).await;
    pipeline.settle().await;
    pick(&pipeline, &order, "a", 2).await;
    let moved: StockReallocated = pipeline.the(&order).await;
    assert_eq!(
        moved.moved.iter().map(|allocation| (allocation.warehouse.as_str(), allocation.quantity)).collect::<Vec<_>>(),
        [("b", 1)]
    );
    pick(&pipeline, &order, "b", 0).await;
    let captured: PaymentCaptured = pipeline.the(&order).await;
    assert_eq!((captured.amount, captured.remainder), (900, 450));
    hand_over(&pipeline, &order, "a").await;
    hand_over(&pipeline, &order, "b").await;
    let completed: OrderCompleted = pipeline.the(&order).await;
    assert_eq!(
        (completed.charged, completed.unshipped.iter().map(|line| line.quantity).sum::<i64>()),
        (900, 1),
        "{completed:?}"
    );
    assert_eq!(level(&pipeline, "TEA").await, (0, 0, 2), "what was not found is not on sale until someone counts");
    let told = "select count(*) from notifications.message where event_type like '%OrderCompleted' and subject like '%in part%' and body like '%TEA%'";
    assert_eq!(pipeline.count(told).await, 1, "the customer is told");
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_34_a_warehouse_that_refuses_is_replaced_by_another_and_only_then_compensated() {
    let pipeline =
        with_stock(&[("REFUSE-1", "a", 5), ("REFUSE-1", "b", 5), ("NEVER-1", "a", 5), ("NEVER-1", "b", 5)]).await;
    let replaced = pipeline.place(&Order::of(&[("REFUSE-1", 2, 450)])).await;
    let refused = pipeline.place(&Order::of(&[("NEVER-1", 2, 450)])).await;
    pipeline.settle().await;
    let parcel: ShipmentDispatched = pipeline.the(&replaced).await;
    assert_eq!(parcel.warehouse.as_str(), "b");
    let completed: OrderCompleted = pipeline.the(&replaced).await;
    assert_eq!((completed.charged, completed.unshipped.len()), (900, 0));
    assert_eq!(level(&pipeline, "REFUSE-1").await, (8, 0, 0), "what was refused is intact, and on sale again");
    assert_eq!(times(&pipeline, &refused, "FulfillmentShortPicked").await, 2, "both warehouses were asked");
    let failed: OrderFailed = pipeline.the(&refused).await;
    assert_eq!((failed.reason.code.as_str(), failed.charged), ("nothing_to_ship", 0));
    assert_eq!(level(&pipeline, "NEVER-1").await, (10, 0, 0));
    assert_eq!(pipeline.count("select count(*) from sandbox.payment where captured > 0").await, 1);
    pipeline.finish().await;
}

/// It had accepted and packed: the order is paid when the warehouse says that it can't ship after all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_34_a_warehouse_that_refuses_what_it_had_packed_has_the_money_given_back() {
    let pipeline = with_real_warehouse(&[("TEA", "a", 5)]).await;
    let order = pipeline.place(&Order::of(&[("TEA", 2, 450)])).await;
    pipeline.settle().await;
    pick(&pipeline, &order, "a", 0).await;
    tell(&pipeline, &order, "a", "will-not-ship", json!({"why": "refused"})).await;
    let refunded: PaymentRefunded = pipeline.the(&order).await;
    let failed: OrderFailed = pipeline.the(&order).await;
    assert_eq!((refunded.amount, failed.charged), (900, 0), "{failed:?}");
    assert_eq!(level(&pipeline, "TEA").await, (5, 0, 0));
    pipeline.finish().await;
}
