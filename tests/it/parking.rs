//! Parking: what fails for its order alone waits with its key, all other orders flow, and a person ends what no repetition could.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use events::{DeadLetterResolved, Event, OrderCancelled, OrderParked, OrderUnparked, Unparked};
use inventory::{Inventory, Pick, Priority, Shelves, Strategy, Want};
use quadrille_tests::{Order, Pipeline, Setup, produce, read_all};
use runtime::parking::{self, HeldLetter, RetryRefusal};
use serde_json::json;
use uuid::Uuid;

mod circuits;
mod hand;
mod locks;

/// A strategy of a shop's own that does not know some SKUs, and panics over them until that is mended.
#[derive(Clone, Debug, Default)]
struct Cursed {
    mended: Arc<AtomicBool>,
}

impl Strategy for Cursed {
    fn allocate(&self, wants: &[Want<'_>], shelves: &Shelves<'_>) -> Vec<Pick> {
        let known = wants.iter().all(|want| !want.sku.as_str().starts_with("CURSED"));
        assert!(known || self.mended.load(Ordering::SeqCst), "a strategy of the shop's own does not know this SKU");
        Priority.allocate(wants, shelves)
    }
}

impl Cursed {
    fn mend(&self) {
        self.mended.store(true, Ordering::SeqCst);
    }

    /// A pipeline whose inventory goes by it, with stock of some tea and of a cursed SKU.
    async fn pipeline(&self, settings: &str) -> Pipeline {
        let consumers = Setup::default().consumers.into_iter().filter(|name| *name != "inventory").collect();
        let setup = Setup { settings: settings.to_owned(), consumers, ..Setup::default() };
        let pipeline = Pipeline::with(setup).await;
        self.host(&pipeline).await;
        pipeline.stock("TEA", "a", 5_000).await;
        pipeline.stock("CURSED-1", "a", 100).await;
        pipeline
    }

    /// One more instance of inventory.
    async fn host(&self, pipeline: &Pipeline) {
        let strategy = self.clone();
        let start = async |host: Arc<runtime::Host>| {
            let inventory = Inventory::new(host.settings().section("inventory")?).with_strategy(Box::new(strategy));
            inventory::start_as(&host, inventory).await
        };
        pipeline.host_as(start).await;
    }
}

/// An order of a customer of its own: many of one customer would be reviewed.
fn tea() -> Order {
    of_someone("TEA")
}

fn cursed() -> Order {
    of_someone("CURSED-1")
}

fn of_someone(sku: &str) -> Order {
    static CUSTOMERS: AtomicU32 = AtomicU32::new(0);
    Order::of(&[(sku, 1, 450)]).by(&format!("c-{}", CUSTOMERS.fetch_add(1, Ordering::Relaxed)))
}

/// Moves the clock on, a little at a time, until a condition holds.
async fn until_later<F: Future<Output = bool>>(pipeline: &Pipeline, condition: impl Fn() -> F, what: &str) {
    for _ in 0..300 {
        if condition().await {
            return;
        }
        pipeline.advance(Duration::from_secs(5));
        pipeline.settle().await;
    }
    panic!("{what} does not come");
}

async fn count(pipeline: &Pipeline, query: &str, wanted: i64) -> bool {
    pipeline.count(query).await == wanted
}

/// Dead letters of a consumer that nobody has decided on.
async fn open_letters(pipeline: &Pipeline, schema: &str) -> Vec<HeldLetter> {
    let mut db = pipeline.database.pool.acquire().await.unwrap();
    parking::open_letters(&mut db, schema, 1_000).await.unwrap()
}

async fn retry(
    pipeline: &Pipeline,
    schema: &str,
    letter_id: Uuid,
    edited: Option<Vec<u8>>,
) -> parking::RetriedDeadLetter {
    let mut db = pipeline.database.pool.acquire().await.unwrap();
    parking::retry(&mut db, schema, letter_id, edited, pipeline.clock.now()).await.unwrap()
}

/// What was said on the topic `operations`, of one type, in order.
async fn said<E: Event>(pipeline: &Pipeline) -> Vec<E> {
    let rows: Vec<(Vec<u8>, Vec<u8>)> =
        sqlx::query_as("select headers, payload from outbox.event where topic = 'operations' order by seq")
            .fetch_all(&pipeline.database.pool)
            .await
            .unwrap();
    let codec = pipeline.codec().await;
    let ours = |headers: &[u8]| runtime::Headers::decode(headers).unwrap().text("ce_type") == Some(E::TYPE);
    rows.iter().filter(|(headers, _)| ours(headers)).map(|(_, value)| codec.decode(Some(value)).unwrap()).collect()
}

const ENDED: &str = "select count(*) from orders.\"order\" where ended_at is not null";
const COMPLETED: &str = "select count(*) from orders.\"order\" where state = 'COMPLETED'";
const PARKED: &str = "select count(*) from inventory.parked";

/// What each topic says of an order that went well, topic by topic: between topics Kafka promises no order.
const HAPPY: &str = "FraudCleared FulfillmentConfirmed ShipmentDispatched StockReserved StockCommitted OrderAccepted OrderCompleted \
                     PaymentAuthorized PaymentCaptured";

/// The stories in the event store (each topic's events in their order, topics by name), by how many orders tell each.
async fn stories(pipeline: &Pipeline) -> BTreeMap<String, i64> {
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "select story, count(*) from (
           select order_id, string_agg(split_part(event_type, '.', 3), ' ' order by topic, seq) as story from saga_tracker.event
            where topic not in ('operations', 'notifications', 'dead-letter-orders') group by order_id) told
          group by story",
    )
    .fetch_all(&pipeline.database.pool)
    .await
    .unwrap();
    rows.into_iter().collect()
}

/// Places orders, many at once; their ids in this order.
async fn place_all(pipeline: &Pipeline, orders: &[Order]) -> Vec<String> {
    let mut ids = Vec::with_capacity(orders.len());
    for some in orders.chunks(50) {
        ids.extend(futures(some.iter().map(|order| pipeline.place(order)).collect()).await);
    }
    ids
}

/// Runs futures side by side; their results in this order.
async fn futures<F: Future>(all: Vec<F>) -> Vec<F::Output> {
    let mut pinned: Vec<_> = all.into_iter().map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut pending = false;
        for (future, output) in &mut pinned {
            if output.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(ready) => *output = Some(ready),
                    std::task::Poll::Pending => pending = true,
                }
            }
        }
        if pending { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
    pinned.into_iter().filter_map(|(_, output)| output).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_thousand_orders_the_sick_ones_wait_alone_die_with_their_case_and_end_well_by_a_persons_hand() {
    let curse = Cursed::default();
    let pipeline = curse.pipeline("[payments.sandbox]\nlatency = '0s'\n").await;
    let healthy = 940_usize;
    let mut orders = Vec::new();
    for number in 0..60 + healthy {
        let order = match number {
            0..5 => cursed(),
            5..10 => tea().paid_with("tok_down_a_day"),
            10..60 => tea().paid_with("tok_down_a_minute"),
            _ => tea(),
        };
        orders.push(order);
    }
    // The sick ones are among the others, not before them.
    orders.rotate_left(30);
    let ids = place_all(&pipeline, &orders).await;
    let place_of = |number: usize| (number + orders.len() - 30) % orders.len();
    let id_of = |number: usize| ids[place_of(number)].clone();
    let poison = poison_in_each_format();
    let records: Vec<quadrille_tests::NewRecord<'_>> =
        poison.iter().map(|(key, bytes, headers)| (key.as_deref(), bytes.as_slice(), headers.as_slice())).collect();
    produce(&pipeline.topic("order-placed"), &records);

    // The others go their way while the sick ones wait.
    pipeline.until(|| count(&pipeline, COMPLETED, healthy as i64), "the healthy orders").await;
    pipeline.until(|| count(&pipeline, "select count(*) from orders.dead_letter", 15), "the poison").await;
    assert_eq!(pipeline.count(PARKED).await, 5, "each panic holds its own lane");
    assert_eq!(pipeline.count("select count(*) from payments.payment where state = 'AUTHORIZING'").await, 55);
    assert_eq!(pipeline.count(ENDED).await, healthy as i64);
    assert_eq!(pipeline.count("select count(*) from inventory.dead_letter").await, 0, "nobody is given up yet");

    // One of those that wait is called off: what that brings waits behind its beginning.
    let called_off = id_of(0);
    let body = json!({"requested_by": "customer", "reason": "changed my mind"});
    let (status, answer) = pipeline.post("orders", &format!("/orders/{called_off}/cancel"), body).await;
    assert_eq!(status, 202, "{answer}");
    pipeline.until(|| count(&pipeline, PARKED, 6), "the second event of its lane").await;

    // Time passes: fifty are answered, the others die.
    until_later(&pipeline, || count(&pipeline, COMPLETED, healthy as i64 + 50), "the fifty").await;
    let dead = "select (select count(*) from inventory.dead_letter where error_class = 'panic')
                     + (select count(*) from payments.dead_letter where error_class = 'gateway_no_answer')";
    until_later(&pipeline, || count(&pipeline, dead, 10), "ten dead letters").await;
    pipeline.settle().await;
    assert_eq!(pipeline.count(ENDED).await, healthy as i64 + 50);
    assert_eq!(pipeline.count(PARKED).await, 6, "a dead head holds its lane");
    every_case_has_its_context(&pipeline, &poison).await;

    // A person mends what was wrong, and has everything tried again.
    curse.mend();
    for letter in open_letters(&pipeline, "inventory").await {
        assert!(letter.blocking && letter.attempts == 8, "{letter:?}");
        assert_eq!(retry(&pipeline, "inventory", letter.letter_id, None).await.loops, 1);
    }
    for (number, letter) in open_letters(&pipeline, "orders").await.into_iter().enumerate() {
        let edited = tea().with("reference", format!("mended-{number}")).body().to_string().into_bytes();
        assert!(retry(&pipeline, "orders", letter.letter_id, Some(edited)).await.edited);
    }
    // A day passes only when none of them is on its way: a reservation that expires between two events is another story.
    pipeline.until(|| count(&pipeline, ENDED, healthy as i64 + 70), "the end of what was tried again").await;
    pipeline.advance(Duration::from_secs(24 * 3_600));
    for number in 5..10 {
        let path = format!("/payments/{}/retry", id_of(number));
        let (status, answer) = pipeline.post("payments", &path, json!({"by": "eve"})).await;
        assert_eq!(status, 202, "{answer}");
    }
    pipeline.until(|| count(&pipeline, ENDED, 1_015), "the end of all").await;
    pipeline.settle().await;
    let sick: Vec<String> = (0..60).map(id_of).collect();
    all_is_well(&pipeline, &called_off, &sick).await;
    pipeline.finish_with_dead_letters().await;
}

type Poison = (Option<Vec<u8>>, Vec<u8>, Vec<(&'static str, &'static str)>);

/// Five in each format of the front door: Avro in registry framing, CloudEvents, plain JSON.
fn poison_in_each_format() -> Vec<Poison> {
    let avro: [&[u8]; 5] =
        [b"\x00", b"\x00\x00\x00", b"\x00\x7f\xff\xff\xff datum", b"\x00\x00\x00\x00\x00", b"\x00\xff\xff\xff\xff\x02"];
    let event = [
        "{",
        "{\"specversion\": \"1.0\", \"id\": \"1\", \"source\": \"/shop\", \"type\": \"t\", \"data\": \"text\"}",
        "{\"specversion\": \"1.0\", \"id\": \"2\", \"source\": \"/shop\", \"type\": \"t\", \"data\": {\"lines\": 1}}",
        "[]",
        "{\"specversion\": \"1.0\", \"id\": \"3\", \"source\": \"/shop\", \"type\": \"t\", \"data\": [1]}",
    ];
    let plain = ["{\"lines\": [", "[1, 2]", "nonsense", "{\"tax\": 1, \"tax\": 2}", "\"text\""];
    let headers = |content_type: Option<&'static str>| match content_type {
        Some(content_type) => vec![("content-type", content_type), ("x-own", "kept")],
        None => vec![("x-own", "kept")],
    };
    let avro = avro.iter().map(|bytes| (Some(b"avro".to_vec()), bytes.to_vec(), headers(None)));
    let event =
        event.iter().map(|text| (None, text.as_bytes().to_vec(), headers(Some("application/cloudevents+json"))));
    let plain = plain.iter().map(|text| (Some(b"plain".to_vec()), text.as_bytes().to_vec(), headers(None)));
    avro.chain(event).chain(plain).collect()
}

async fn every_case_has_its_context(pipeline: &Pipeline, poison: &[Poison]) {
    let dead = read_all(&pipeline.topic("dead-letter-events"));
    assert_eq!(dead.len(), 25);
    for letter in &dead {
        for name in [
            "quadrille-dead-letter-id",
            "quadrille-consumer",
            "quadrille-stage",
            "quadrille-error-class",
            "quadrille-error-message",
            "quadrille-attempts",
            "quadrille-first-failed-at",
            "quadrille-last-failed-at",
            "quadrille-loops",
            "quadrille-code-version",
            "quadrille-fingerprint",
            "kafka_dlt-exception-fqcn",
            "kafka_dlt-exception-message",
        ] {
            assert!(!letter.header(name).is_empty(), "{name} of {letter:?}");
        }
    }
    let of =
        |class: &str| dead.iter().filter(|letter| letter.header("quadrille-error-class") == class).collect::<Vec<_>>();
    for (class, attempts) in [("panic", "8"), ("gateway_no_answer", "8")] {
        let letters = of(class);
        assert_eq!(letters.len(), 5, "{class}");
        let groups: BTreeSet<&str> = letters.iter().map(|letter| letter.header("quadrille-fingerprint")).collect();
        assert_eq!(groups.len(), 1, "one cause, one group: {class}");
        assert!(letters.iter().all(|letter| letter.header("quadrille-attempts") == attempts), "{letters:?}");
    }
    for letter in of("panic") {
        assert_eq!(
            (letter.header("kafka_dlt-original-topic"), letter.header("quadrille-consumer")),
            ("orders", "inventory")
        );
        assert!(letter.header("ce_type").ends_with("OrderAccepted"), "its own headers: {letter:?}");
        assert!(letter.header("quadrille-error-message").contains("does not know this SKU"));
    }
    for (key, bytes, _) in poison {
        let letter = dead
            .iter()
            .find(|letter| letter.value.as_ref() == Some(bytes))
            .unwrap_or_else(|| panic!("{bytes:?} is lost"));
        assert_eq!(&letter.key, key);
        assert_eq!((letter.header("x-own"), letter.header("quadrille-stage")), ("kept", "decode"));
        assert_eq!(letter.header("kafka_dlt-original-topic"), "order-placed");
    }
}

async fn all_is_well(pipeline: &Pipeline, called_off: &str, sick: &[String]) {
    assert_eq!(pipeline.count(COMPLETED).await, 1_014);
    assert_eq!(pipeline.status(called_off).await, "CANCELLED");
    assert_eq!(pipeline.count(PARKED).await, 0);
    for schema in ["orders", "inventory", "payments"] {
        let open = format!("select count(*) from {schema}.dead_letter where resolution is distinct from 'recovered'");
        assert_eq!(pipeline.count(&open).await, 0, "{schema}");
    }
    let resolved: Vec<DeadLetterResolved> = said(pipeline).await;
    assert_eq!(resolved.iter().filter(|event| event.resolution.as_str() == "recovered").count(), 25, "{resolved:?}");
    // Each key's events were applied in their order: those of the lane that was called off too, or inventory would not have reserved first.
    let stories = stories(pipeline).await;
    let cancelled = "FulfillmentCancelled StockReserved StockReleased OrderAccepted OrderCancellationRequested OrderCancelled PaymentVoided";
    assert_eq!(stories.get(cancelled), Some(&1), "{stories:#?}");
    // The reservations of those that waited for their money ran out, wherever the payment was then.
    let late = HAPPY.replace("StockReserved ", "StockReserved ReservationExpired ");
    assert_eq!(stories.get(HAPPY).unwrap_or(&0) + stories.get(&late).unwrap_or(&0), 1_014, "{stories:#?}");
    assert_eq!(stories.values().sum::<i64>(), 1_015, "{stories:#?}");
    let (parked, unparked) = (said::<OrderParked>(pipeline).await, said::<OrderUnparked>(pipeline).await);
    let last: BTreeMap<_, _> =
        unparked.iter().map(|event| ((event.order_id, &event.consumer), &event.outcome)).collect();
    for event in &parked {
        let died = event.consumer == "payments" && sick[5..10].contains(&event.order_id.to_string());
        let outcome = if died { Unparked::DeadLettered } else { Unparked::Recovered };
        assert_eq!(last.get(&(event.order_id, &event.consumer)), Some(&&outcome), "{event:?}");
    }
    let told: BTreeSet<String> = parked.iter().map(|event| event.order_id.to_string()).collect();
    assert!(sick.iter().all(|order| told.contains(order)), "each sick order was said to wait");
}
