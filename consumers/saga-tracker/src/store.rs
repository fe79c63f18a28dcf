//! All SQL of the tracker. What a batch tells is merged into the rows in one statement for each table, in the order of their keys; rows of one table
//! are always written before those of the next, so that two instances never wait for each other.

mod actions;
pub(crate) mod alerts;
mod breaches;
pub(crate) mod cases;
pub(crate) mod deadlines;
mod events;
mod jobs;
mod letters;
mod levels;
mod orders;
pub(crate) mod pace;
mod parked;
mod positions;
pub(crate) mod pruning;
pub(crate) mod rebuild;
mod resolutions;
mod shipments;
mod stats;
mod tables;
pub(crate) mod watch;

use std::borrow::Cow;
use std::collections::HashMap;

use ::events::OrderId;
use runtime::Failure;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::steps::Timeline;
use crate::world::BatchState;

pub(crate) use actions::{Action, ActionFilter, ActionRow, actions, conclude, note};
pub(crate) use breaches::{
    BreachRow, Found, breaches, claim_audit, open as open_breaches, open_orders, pages, record, walked,
};
pub(crate) use events::{StoredEvent, folded, history};
pub(crate) use jobs::{Hold, JobRow, advance_job, begin_job, end_job, job, jobs, release_job, resume_job, take_job};
pub(crate) use letters::{
    GroupRow, LetterRow, count_letters, groups, letter, letters, letters_between, oldest_letters,
};
pub(crate) use levels::{LevelFilter, LevelRow, level_position, levels};
pub(crate) use orders::{OrderFilter, OrderRow, order, orders};
pub(crate) use positions::{PositionRow, positions, published, watermarks};
pub(crate) use shipments::{ShipmentFilter, ShipmentRow, shipments, shipments_of};
pub use stats::FIGURES;
pub(crate) use stats::{StepRow, counts, newest, step_times};
pub(crate) use tables::{REBUILT, Tables};

/// Writes what a batch tells. Returns whether all its events were new, and what is known now of the way of its orders. Unless events may be `repeating`,
/// one that is kept already is a lost race.
pub(crate) async fn save(
    db: &mut PgConnection,
    tables: Tables,
    world: &BatchState,
    repeating: bool,
) -> Result<(bool, HashMap<OrderId, Timeline>), Failure> {
    let all_new = events::save(db, &world.events, repeating).await?;
    let timelines = save_models(db, tables, world).await?;
    resolutions::save(db, &world.resolutions).await?;
    parked::save(db, &world.parked).await?;
    deadlines::set_looks(db, &world.looks).await?;
    deadlines::keep_told(db, &world.told).await?;
    Ok((all_new, timelines))
}

/// The same without the event store: what is written here can be told again from it and the topics.
pub(crate) async fn save_models(
    db: &mut PgConnection,
    tables: Tables,
    world: &BatchState,
) -> Result<HashMap<OrderId, Timeline>, Failure> {
    let timelines = orders::save(db, tables, &world.orders).await?;
    shipments::save(db, tables, &world.orders).await?;
    levels::save(db, tables, &world.levels).await?;
    letters::save(db, tables, &world.letters).await?;
    positions::save_watermarks(db, tables, &world.watermarks).await?;
    positions::save(db, tables, &world.positions).await?;
    Ok(timelines)
}

/// Text that the database takes: it has no NUL.
fn clean(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "\u{fffd}").into() } else { text.into() }
}

fn clean_option(text: &Option<String>) -> Option<Cow<'_, str>> {
    text.as_deref().map(clean)
}

/// The least id of an order that was placed at this time or later.
pub(crate) fn least_id(at: ::events::Timestamp) -> Uuid {
    let millis = at.as_millis().clamp(0, (1 << 48) - 1) as u128; // a UUIDv7 has 48 bits for it
    Uuid::from_u128(millis << 80)
}

/// A stored JSON text.
pub(crate) fn stored<T: serde::de::DeserializeOwned>(text: &str, what: &'static str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|source| Failure::Stored { what: format!("saga_tracker.{what}"), source })
}
