//! saga-tracker: sees everything, and decides nothing but that an order is stuck.
//!
//! Hears every event of every topic but the front door, and every record of `dead-letter-events`. It keeps the events of each order as they came
//! (the event store) and folds them into what can be asked: orders, shipments, stock levels, dead letters, and how long each step took. The fold
//! is commutative and idempotent ([`Facts::merge`]): this is the one consumer that reads topics in any order, and a group that is reset to the
//! beginning ends in the same rows.
//!
//! It owns `dead-letter-orders`, on which it publishes `OrderStuck`: when an answer that topics.yaml's `within` asks for is missing, and nothing
//! explains that. A consumer or a relay that lags or is down makes orders late, not stuck, and so does an event that waits for a retry.

#![allow(missing_docs, reason = "an inner crate: its names say it")]

pub mod alerts;
mod audit;
mod case;
mod dead_letter;
mod deadline_checker;
mod decide;
mod decode;
mod facts;
mod find;
mod handlers;
mod http;
mod input;
pub mod open_orders;
mod order_event;
mod parked;
mod place;
mod rebuild;
mod settings;
mod status;
mod steps;
mod stock;
mod store;
mod stuck;
mod tracker;
mod world;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use operator::{ConsumerApis, Operator, OperatorSettings};
use runtime::{Consumer as _, Settings};
use tokio::sync::Notify;

pub use case::Case;
pub use facts::Facts;
pub use find::{FoundOrder, find_orders};
pub use rebuild::{Rebuilt, Stage, rebuild};
pub use settings::{TrackerSettings, section};
pub use store::FIGURES;
pub use tracker::SagaTracker;

/// Fulfillment's `hand_over_deadline`, unless it is set.
const HAND_OVER: Duration = Duration::from_secs(24 * 3_600);

pub fn migrations() -> sqlx::migrate::Migrator {
    operator::migrations()
}

pub fn document() -> serde_json::Value {
    http::routes().document(SagaTracker::NAME)
}

/// Starts the consumer, opens its routes, and begins to look at overdue orders and to deliver alerts.
///
/// # Errors
/// When something that it needs is missing, or a setting does not fit; the message says what to do.
pub fn start(host: &runtime::Host) -> runtime::Starting<'_> {
    Box::pin(begin(host))
}

async fn begin(host: &runtime::Host) -> anyhow::Result<()> {
    let settings = Arc::new(settings::read(host.settings())?);
    let (pool, clock, shutdown) = (host.pool::<SagaTracker>()?, host.clock().clone(), host.shutdown().clone());
    let databases = databases(host.settings())?;
    let hand_over: HandOver = host.settings().section("fulfillment")?;
    let hand_over = settings.hand_over.or(hand_over.hand_over_deadline).map_or(HAND_OVER, |span| span.0);
    let reads = host.settings().section(SagaTracker::NAME)?;
    let own: OperatorSettings = host.settings().section(SagaTracker::NAME)?;
    let others = ConsumerApis::new(host.settings(), &own, |name| host.address(name))?;
    let operator = Operator::new(host.settings(), clock.clone(), pool.clone(), others).await?;
    let wake = Arc::new(Notify::new());
    let api = http::TrackerApi {
        pool: pool.clone(),
        clock: clock.clone(),
        reads,
        operator: operator.clone(),
        wake: Arc::clone(&wake),
    };
    let mut opened = None;
    let tracker = SagaTracker { untold: settings.alerts_off.clone(), ..SagaTracker::default() };
    host.start(Arc::new(tracker), |door| {
        opened = Some(door);
        http::routes().with_state(api)
    })
    .await?;
    host.spawn(SagaTracker::NAME, operator::jobs::work(operator, wake, shutdown.clone()));
    let names = databases.values().cloned().collect();
    let set = [("orders", &own.orders_url), ("payments", &own.payments_url)];
    let set = set.into_iter().filter_map(|(name, url)| Some((name, url.as_ref()?))).collect();
    let outside = alerts::Outside::new(host, &settings, &set)?;
    host.spawn(
        "saga-tracker: alerts",
        alerts::deliver(pool.clone(), clock.clone(), Arc::clone(&settings), shutdown.clone()),
    );
    host.spawn(
        "saga-tracker: figures",
        alerts::watch(
            alerts::Watch::new(pool.clone(), Arc::clone(&settings), names, outside),
            clock.clone(),
            shutdown.clone(),
        ),
    );
    if let Some(door) = opened {
        let groups = kafka_admin::groups::Groups::of(host.settings().common());
        let checker =
            deadline_checker::DeadlineChecker { pool, clock, door, settings, hand_over, groups, databases, shutdown };
        host.spawn("saga-tracker: deadlines", checker.run());
    }
    audit::start(host)
}

/// What fulfillment's settings say of how long a shipment may stand in its warehouse.
#[derive(Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
struct HandOver {
    hand_over_deadline: Option<runtime::Span>,
}

/// The name of the database that each consumer's outbox is in.
fn databases(settings: &Settings) -> anyhow::Result<HashMap<&'static str, String>> {
    let mut databases = HashMap::new();
    for (consumer, _) in &deadlines::RULES.subscribes_to {
        let url = settings.database_url(consumer)?;
        let options = runtime::sql::address(url.expose()).context("DATABASE_URL")?;
        databases.insert(*consumer, options.get_database().unwrap_or(options.get_username()).to_owned());
    }
    Ok(databases)
}
