//! Cases of stock: split over warehouses, sold out, held during a review.

use events::{Allocation, OrderCompleted, ShipmentDispatched, StockReserved};
use quadrille_tests::{Order, Pipeline, Setup};
use serde_json::json;
use tokio::task::JoinSet;

use super::{level, stocked, suspicious, times, told, until_said, with_stock};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_07_stock_that_no_single_warehouse_has_is_split_before_payment_and_ships_as_reserved() {
    let pipeline = with_stock(&[("TEA", "a", 5), ("TEA", "b", 2), ("TEA", "c", 9)]).await;
    let order = pipeline.place(&Order::of(&[("TEA", 8, 450)])).await;
    pipeline.settle().await;
    let reserved: StockReserved = pipeline.the(&order).await;
    let mut plan: Vec<(String, i64)> =
        reserved.plan.iter().map(|Allocation { warehouse, quantity, .. }| (warehouse.to_string(), *quantity)).collect();
    plan.sort();
    assert_eq!(plan, [("a".to_owned(), 5), ("b".to_owned(), 2), ("c".to_owned(), 1)]);
    let parcels: Vec<ShipmentDispatched> = pipeline.all(&order).await;
    let mut shipped: Vec<_> =
        parcels.iter().flat_map(|parcel| parcel.items.iter().map(|item| (item.allocation_id, item.quantity))).collect();
    let mut planned: Vec<_> =
        reserved.plan.iter().map(|allocation| (allocation.allocation_id, allocation.quantity)).collect();
    shipped.sort();
    planned.sort();
    assert_eq!((shipped, parcels.len()), (planned, 3), "the plan that was reserved is the plan that ships");
    let completed: OrderCompleted = pipeline.the(&order).await;
    assert_eq!(completed.charged, 8 * 450);
    pipeline.finish().await;
}

/// Every order wants a plentiful SKU too, half of them in the other order, and two instances decide: locks must have an order of their own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_08_of_two_hundred_orders_at_once_for_fifty_units_fifty_get_one() {
    let pipeline = stocked(
        Pipeline::with(Setup { partitions: 6, ..Setup::default() }).await,
        &[("LAST", "a", 50), ("MUG", "a", 1_000)],
    )
    .await;
    pipeline.host(&["inventory"]).await;
    let mut buyers = JoinSet::new();
    for buyer in 0..200 {
        let lines = [("LAST", 1, 450), ("MUG", 1, 100)];
        let order = if buyer % 2 == 0 { Order::of(&lines) } else { Order::of(&[lines[1], lines[0]]) };
        let address = json!({"name": "Ada", "line1": format!("{buyer} Main St"), "city": "London", "postal_code": "N1 1AA", "country": "GB"});
        let body = order.by(&format!("c-{buyer}")).with("ship_to", address.clone()).with("bill_to", address).body();
        let request = pipeline.http.post(pipeline.door("orders", "/orders")).json(&body);
        buyers.spawn(async move { request.send().await.unwrap().status().as_u16() });
    }
    assert_eq!(buyers.join_all().await, [202; 200]);
    pipeline.settle().await;
    let ended = |state: &str| format!("select count(*) from orders.\"order\" where state = '{state}'");
    assert_eq!(pipeline.count(&ended("COMPLETED")).await, 50);
    assert_eq!(pipeline.count(&ended("FAILED")).await, 150);
    assert_eq!(level(&pipeline, "LAST").await, (0, 0, 0));
    assert_eq!(level(&pipeline, "MUG").await, (950, 0, 0));
    assert_eq!(pipeline.count("select count(*) from sandbox.payment where captured > 0").await, 50);
    assert_eq!(
        pipeline.count("select count(*) from sandbox.payment").await,
        50,
        "nobody is asked for money for what is sold out"
    );
    pipeline.finish().await;
}

/// A second order shows that reservations did run out meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_10_once_money_is_held_a_review_may_outlast_the_reservation() {
    let pipeline = with_stock(&[("TEA", "a", 5)]).await;
    let reviewed = pipeline.place(&suspicious()).await;
    let unpaid = pipeline.place(&Order::of(&[("TEA", 1, 450)]).by("c-2").paid_with("tok_3ds_abandoned")).await;
    pipeline.settle().await;
    pipeline.advance(std::time::Duration::from_secs(3_600));
    until_said(&pipeline, &unpaid, "OrderFailed").await;
    assert_eq!(level(&pipeline, "TEA").await, (5, 2, 0), "still held for the order under review");
    told(&pipeline, "fraud", &format!("/reviews/{reviewed}/verdict"), json!({"verdict": "clear", "by": "eve"})).await;
    pipeline.settle().await;
    assert_eq!(pipeline.status(&reviewed).await, "COMPLETED");
    assert_eq!(times(&pipeline, &reviewed, "ReservationExpired").await, 0);
    assert_eq!(level(&pipeline, "TEA").await, (3, 0, 0));
    pipeline.finish().await;
}
