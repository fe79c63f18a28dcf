//! saga-tracker: sees everything, and decides nothing but that an order is stuck.
//!
//! Hears every event of every topic but the front door, and every record of `dead-letter-events`. It keeps the events of each order as they came
//! (the event store) and folds them into what can be asked: orders, shipments, stock levels, dead letters, and how long each step took. The fold
//! is commutative and idempotent ([`Facts::merge`]): this is the one consumer that hears topics in any order, and a group that is reset to the
//! beginning ends in the same rows.
//!
//! It owns `dead-letter-orders`, on which it will say `OrderStuck`. What is stuck is not decided yet. Its place: a sweep over orders whose
//! `deadline` has passed and that have not ended (the index is there; a row's deadline is set once, from when it was placed, and the sweep moves
//! it on), judged by `seen`, by `within` of topics.yaml, and by the tables `position` and `watermark`, which tell late from stuck. `OrderStuck`
//! that is heard already stands among the dead letters.

mod decide;
mod facts;
pub mod hand;
mod handlers;
mod http;
mod letter;
mod record;
mod status;
mod steps;
mod store;
mod told;
mod world;

use std::sync::Arc;

use runtime::Consumer as _;
use tokio::sync::Notify;

pub use facts::{Facts, Moment, Moments, Reason, Shipment};
pub use handlers::Input;
pub use letter::{Header, Kind, Letter, LetterStatus};
pub use record::{Heard, Place, Record};
pub use status::Status;
pub use world::{Level, Position, Resolution, Watermark, World};

/// The consumer `saga-tracker`. Its own settings are those of the operator's hand ([`hand::HandSettings`]).
#[derive(Clone, Copy, Debug, Default)]
pub struct SagaTracker;

/// The migrations of the schema `saga_tracker`.
pub fn migrations() -> sqlx::migrate::Migrator {
    sqlx::migrate!("../../migrations/saga_tracker")
}

/// Starts the consumer and opens its doors.
///
/// # Errors
/// When something that it needs is missing; the message says what to do.
pub async fn start(host: &runtime::Host) -> anyhow::Result<()> {
    let (settings, pool) = (host.settings(), host.pool::<SagaTracker>()?);
    let own: hand::HandSettings = settings.section(SagaTracker::NAME)?;
    let others = hand::Doors::new(settings, &own, |name| host.address(name))?;
    let hand = hand::Hand::new(settings, host.clock().clone(), pool.clone(), others).await?;
    let (keys, wake) = (Arc::new(hand::Keys::new(&own.api_keys)?), Arc::new(Notify::new()));
    let doors = http::Doors { pool, clock: host.clock().clone(), hand: hand.clone(), keys, wake: Arc::clone(&wake) };
    host.start(Arc::new(SagaTracker), |_| http::doors(doors)).await?;
    host.spawn(SagaTracker::NAME, hand::jobs::work(hand, wake, host.shutdown().clone()));
    Ok(())
}
