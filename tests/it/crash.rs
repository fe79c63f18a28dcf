//! The real binaries, killed (`kill -9`) and started again in the middle of 2,000 orders: nothing is lost, nothing is done twice.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use quadrille_tests::{Order, Pipeline, Setup, binary, deadline, produce, read_all, stack};
use serde_json::json;

const ORDERS: usize = 2_000;
/// Who is killed, one after another; those that hold the most in their hands several times.
const KILLED: [&str; 14] = [
    "payments",
    "outbox-relay",
    "inventory",
    "orders",
    "fulfillment",
    "payments",
    "fraud",
    "outbox-relay",
    "notifications",
    "inventory",
    "saga-tracker",
    "payments",
    "orders",
    "outbox-relay",
];
/// How long nothing may get further, on a machine with much else to do.
const STANDSTILL: Duration = Duration::from_secs(90);

/// One consumer as a process; killed when the test ends, however it does.
struct Process {
    name: &'static str,
    child: Child,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended already
        let _ = self.child.wait();
    }
}

impl Process {
    /// Starts a consumer for the database and topics of a pipeline; what it logs is kept in the target folder.
    fn start(pipeline: &Pipeline, name: &'static str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let log = File::options()
            .create(true)
            .append(true)
            .open(folder.join(format!("crash-{}-{name}.log", pipeline.database.name)))
            .expect("a log");
        let section = name.to_uppercase().replace('-', "_");
        let mut command = Command::new(binary(&format!("quadrille-{name}")));
        if name != "outbox-relay" {
            // Whoever comes back under its name has its partitions at once.
            command.env(format!("QUADRILLE_{section}__INSTANCE_ID"), format!("{name}-1"));
        }
        let child = command
            .current_dir(folder)
            .env("QUADRILLE_PROFILE", "demo")
            .env("DATABASE_URL", &pipeline.database.url)
            .env("KAFKA_BOOTSTRAP_SERVERS", &stack().kafka)
            .env("SCHEMA_REGISTRY_URL", &stack().registry_url)
            .env("QUADRILLE_TOPIC_PREFIX", &pipeline.prefix)
            .env(format!("QUADRILLE_{section}__HTTP"), "127.0.0.1:0")
            .env("RUST_LOG", "warn")
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        Self { name, child }
    }

    /// `kill -9`: no goodbye, and no batch finished.
    fn kill(&mut self) {
        assert!(
            self.child.try_wait().expect("its state").is_none(),
            "{} had ended by itself: its log says why",
            self.name
        );
        self.child.kill().expect("a signal");
        self.child.wait().expect("its end");
    }

    /// As an operator stops it: it finishes its batches, and says that all is well.
    fn stop(mut self) {
        let signalled = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().expect("kill");
        assert!(signalled.success());
        let status = self.child.wait().expect("its end");
        assert!(status.success(), "{} stopped with {status}: its log says why", self.name);
    }
}

/// An order of one of the kinds that end without people.
fn order(number: usize) -> Order {
    let (sku, token) = match number % 20 {
        0 => ("TEA", "tok_declined"),
        1 => ("TEA", "tok_capture_fails"),
        2 => ("TEA", "tok_void_fails_once"),
        3 => ("SHORT-1", "tok_approved"),
        4 => ("GONE-1", "tok_approved"),
        5 => ("DAMAGED-1", "tok_approved"),
        6 => ("TEA", "tok_answer_lost_once"),
        7 => ("TEA", "tok_stored_500"),
        8 => ("NONE", "tok_approved"),
        _ => ("TEA", "tok_approved"),
    };
    let address = json!({"name": "Ada", "line1": format!("{number} Main St"), "city": "London", "postal_code": "N1 1AA", "country": "GB"});
    let order = Order::of(&[(sku, 2, 450)]).paid_with(token).by(&format!("c-{number}"));
    order
        .with("ship_to", address.clone())
        .with("bill_to", address)
        .with("reference", format!("r-{number}"))
        .with("source", "crash")
}

/// The orders that are placed before each kill: all of them together, in nearly equal parts.
fn wave_numbers() -> impl Iterator<Item = std::ops::Range<usize>> {
    let kills = KILLED.len();
    (0..kills).map(move |wave| ORDERS * wave / kills..ORDERS * (wave + 1) / kills)
}

/// Orders that have ended, by the consumer that ends them.
async fn ended(pipeline: &Pipeline) -> i64 {
    pipeline.count("select count(*) from orders.\"order\" where ended_at is not null").await
}

/// Waits until a count has come so far; panics when it stands still.
async fn until_count(pipeline: &Pipeline, query: &str, wanted: i64) {
    let (mut last, mut since) = (0, Instant::now());
    loop {
        let count = pipeline.count(query).await;
        if count >= wanted {
            return;
        }
        if count > last {
            (last, since) = (count, Instant::now());
        }
        assert!(since.elapsed() < STANDSTILL, "{query}: stands at {count} of {wanted}");
        tokio::time::sleep(Duration::from_millis(50)).await; // between two looks at a condition
    }
}

const ENDED: &str = "select count(*) from orders.\"order\" where ended_at is not null";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumers_killed_in_the_middle_of_two_thousand_orders_lose_nothing_and_do_nothing_twice() {
    let pipeline =
        Pipeline::with(Setup { consumers: vec!["inventory", "outbox-relay"], partitions: 4, ..Setup::default() }).await;
    for (sku, units) in [("TEA", 10_000), ("SHORT-1", 10_000), ("GONE-1", 10_000), ("DAMAGED-1", 10_000)] {
        pipeline.stock(sku, "a", units).await;
    }
    pipeline.settle().await;
    for host in pipeline.hosts() {
        pipeline.stop(&host).await;
    }

    let everyone = Setup::default().consumers;
    let mut processes: HashMap<&str, Process> =
        everyone.iter().map(|name| (*name, Process::start(&pipeline, name))).collect();
    let waves: Vec<Vec<String>> =
        wave_numbers().map(|wave| wave.map(|number| order(number).body().to_string()).collect()).collect();
    let (mut placed, mut open) = (0, Vec::new());
    for (name, wave) in KILLED.iter().zip(&waves) {
        let records: Vec<quadrille_tests::NewRecord<'_>> =
            wave.iter().map(|body| (None, body.as_bytes(), &[] as &[_])).collect();
        produce(&pipeline.topic("order-placed"), &records);
        // It is killed when a part of the wave is on its way.
        until_count(&pipeline, "select count(*) from orders.\"order\"", placed + wave.len() as i64 / 4).await;
        placed += wave.len() as i64;
        processes.get_mut(name).expect("all run").kill();
        let ended = ended(&pipeline).await;
        open.push(placed - ended);
        processes.insert(name, Process::start(&pipeline, name));
        until_count(&pipeline, ENDED, ended + 40).await;
    }
    assert_eq!(placed, ORDERS as i64);
    assert!(
        open.iter().all(|open| *open > 0),
        "who is killed between orders proves nothing; open when each was killed: {open:?}"
    );
    until_count(&pipeline, ENDED, ORDERS as i64).await;
    until_count(&pipeline, "select count(*) from saga_tracker.\"order\" where outcome is not null", ORDERS as i64)
        .await;

    for (_, process) in processes {
        process.stop();
    }
    nothing_lost_and_nothing_twice(&pipeline, ORDERS as i64).await;
    pipeline.finish_without_audit("its programs have ended; it was audited just now").await;
}

/// How long an instance is frozen: longer than its group waits for it, so that another takes its partitions over, and it finds out when it wakes up.
/// `FROZEN=90` is the time of the report that this was asked for.
fn frozen_for() -> Duration {
    #[allow(clippy::disallowed_methods)] // a test has no settings of its own
    let seconds = std::env::var("FROZEN").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(14))
}

/// One of two instances is frozen under load, in the middle of whatever it does, and wakes up with batches and offsets that are no longer its own; later it
/// is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_is_frozen_under_load_and_one_that_is_killed_lose_nothing_do_nothing_twice_and_set_no_offset_back()
 {
    const TWICE: [&str; 4] = ["orders", "inventory", "payments", "fulfillment"];
    const WAVE: usize = 20;
    let pipeline = Pipeline::with(Setup { partitions: 4, ..Setup::default() }).await;
    deadline::allow(Duration::from_secs(600) + 4 * frozen_for());
    for sku in ["TEA", "SHORT-1", "GONE-1", "DAMAGED-1"] {
        pipeline.stock(sku, "a", 10_000).await;
    }
    let place = |numbers: std::ops::Range<usize>| {
        let bodies: Vec<String> = numbers.map(|number| order(number).body().to_string()).collect();
        let records: Vec<quadrille_tests::NewRecord<'_>> =
            bodies.iter().map(|body| (None, body.as_bytes(), &[] as &[_])).collect();
        produce(&pipeline.topic("order-placed"), &records);
    };
    place(0..100);
    until_count(&pipeline, ENDED, 100).await;
    let host = pipeline.hosts().remove(0);
    let owned = |name: &str| host.decided().iter().filter(|(of, ..)| *of == name).count();
    let alone: Vec<usize> = TWICE.iter().map(|name| owned(name)).collect();
    let mut others: Vec<Process> = TWICE.iter().map(|name| Process::start(&pipeline, name)).collect();
    let shared = || async { TWICE.iter().zip(&alone).all(|(name, alone)| owned(name) < *alone) };
    pipeline.until(shared, "the second instances to have partitions").await;

    let topics = |names: &[&str]| names.iter().map(|name| pipeline.topic(name)).collect::<Vec<_>>();
    let groups = [
        (pipeline.topic("orders"), topics(&["order-placed", "inventory"])),
        (pipeline.topic("inventory"), topics(&["orders", "payments", "fulfillment"])),
        (pipeline.topic("payments"), topics(&["inventory", "fulfillment"])),
        (pipeline.topic("fulfillment"), topics(&["fraud", "payments"])),
    ];
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let watch = tokio::task::spawn_blocking({
        let stop = std::sync::Arc::clone(&stop);
        move || quadrille_tests::watch_offsets(&groups, &stop)
    });
    let signal = |process: &Process, signal: &str| {
        let sent = Command::new("kill").args([signal, &process.child.id().to_string()]).status().expect("kill");
        assert!(sent.success(), "{} has ended: its log says why", process.name);
    };
    let mut placed = 100;
    let mut wave = || {
        placed += WAVE;
        place(placed - WAVE..placed);
        placed
    };
    wave();
    for process in &others {
        signal(process, "-STOP");
    }
    let frozen = Instant::now();
    let taken_over = || TWICE.iter().zip(&alone).all(|(name, alone)| owned(name) >= *alone);
    while frozen.elapsed() < frozen_for() || !taken_over() {
        wave();
        assert!(
            frozen.elapsed() < frozen_for() + STANDSTILL,
            "the partitions of those that are frozen are not taken over"
        );
        tokio::time::sleep(Duration::from_millis(500)).await; // the load goes on meanwhile
    }
    for process in &others {
        signal(process, "-CONT");
    }
    // They find out what they have lost and are given partitions again, under load, and are killed in the middle of it.
    let woken = Instant::now();
    while woken.elapsed() < Duration::from_secs(1) || !shared().await {
        wave();
        assert!(woken.elapsed() < STANDSTILL, "those that were frozen get no partitions any more");
        tokio::time::sleep(Duration::from_millis(500)).await; // the load goes on meanwhile
    }
    println!("frozen for {:?}, and with partitions again after {:?}", woken - frozen, woken.elapsed());
    let before = ended(&pipeline).await;
    wave();
    wave();
    until_count(&pipeline, ENDED, before + WAVE as i64).await;
    for process in &mut others {
        process.kill();
    }
    let all = wave() as i64;
    until_count(&pipeline, ENDED, all).await;
    until_count(&pipeline, "select count(*) from saga_tracker.\"order\" where outcome is not null", all).await;
    stop.store(true, std::sync::atomic::Ordering::Release);
    assert!(watch.await.expect("no offset is set back") > 10, "it looked often");
    pipeline.settle().await;
    nothing_lost_and_nothing_twice(&pipeline, all).await;
    pipeline.finish().await;
}

async fn nothing_lost_and_nothing_twice(pipeline: &Pipeline, orders: i64) {
    for invariant in load::invariants::check(&pipeline.database.pool).await.expect("the books can be read") {
        assert!(invariant.holds, "{}: {}", invariant.name, invariant.figures);
    }
    let dead = pipeline.dead_letters().await;
    assert!(dead.is_empty(), "{dead:#?}");
    assert_eq!(pipeline.count("select count(*) from orders.\"order\"").await, orders, "none lost, none taken twice");
    assert_eq!(pipeline.count("select count(distinct reference) from orders.\"order\"").await, orders);
    for (what, twice) in [
        ("authorized", "select order_id from sandbox.payment group by 1 having count(*) > 1"),
        ("refunded", "select payment_id from sandbox.refund where state <> 'failed' group by 1 having count(*) > 1"),
        ("charged more than held", "select order_id from sandbox.payment where captured > amount"),
        ("committed", "select order_id from inventory.reservation where committed + released + missing > 2"),
    ] {
        assert_eq!(pipeline.count(&format!("select count(*) from ({twice}) twice")).await, 0, "{what} twice");
    }
    // On the topic a record may come twice (its id tells); an end, or a parcel, may not.
    for (topic, ends, wanted) in [
        ("orders", &["OrderCompleted", "OrderFailed", "OrderCancelled", "OrderRejected"][..], orders as usize),
        ("fulfillment", &["ShipmentDispatched"][..], 0),
    ] {
        let mut said: HashMap<Vec<u8>, Vec<String>> = HashMap::new();
        for record in read_all(&pipeline.topic(topic)) {
            if ends.iter().any(|end| record.header("ce_type").ends_with(end)) {
                let ids = said.entry(record.key.clone().unwrap_or_default()).or_default();
                if !ids.contains(&record.header("ce_id").to_owned()) {
                    ids.push(record.header("ce_id").to_owned());
                }
            }
        }
        assert!(said.len() >= wanted, "{topic}: {} of {wanted} ends were published", said.len());
        let twice: Vec<_> = said.values().filter(|ids| ids.len() > 1).collect();
        assert!(twice.is_empty(), "{topic}: said twice: {twice:?}");
    }
}
