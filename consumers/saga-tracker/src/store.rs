//! All SQL of the tracker. What a batch tells is merged into the rows in one statement for each table, in the order of their keys; rows of one table
//! are always written before those of the next, so that two instances never wait for each other.

pub(crate) mod alerts;
mod breaches;
pub(crate) mod cases;
mod columns;
pub(crate) mod deadlines;
mod disputes;
mod events;
mod letters;
mod levels;
mod orders;
pub(crate) mod pace;
mod parked;
mod positions;
pub(crate) mod pruning;
pub(crate) mod rebuild;
mod refunds;
mod returns;
mod shipments;
mod stats;
pub(crate) mod watch;

use std::collections::HashMap;

use ::events::OrderId;
use runtime::Failure;
use sqlx::PgConnection;

use crate::facts::Facts;
use crate::world::BatchState;

pub(crate) use breaches::{
    BreachView, CheckFindings, breaches, claim_audit, open as open_breaches, open_orders, pages, record, walked,
};
pub(crate) use columns::{REBUILT, Tables, stored};
pub(crate) use disputes::{disputes_of, recent as recent_disputes};
pub(crate) use events::{StoredEvent, folded, history, stored_events};
pub(crate) use levels::{LevelView, level_position, levels};
pub(crate) use orders::{OrderFilter, OrderRow, order, orders};
pub(crate) use positions::{PositionView, PublishedView, positions, published, watermarks};
pub(crate) use refunds::{refunds_of, unsettled as unsettled_refunds};
pub(crate) use returns::{exchanges_for, returns_of};
pub(crate) use shipments::{ShipmentRow, shipments, shipments_of};
pub use stats::FIGURES;
pub(crate) use stats::{CountView, StepTimesView, counts, newest, step_times};

/// Writes what a batch tells. Returns whether all its events were new, and what is known now of the way of its orders. Unless events may be `repeating`,
/// one that is kept already is a lost race.
pub(crate) async fn save(
    db: &mut PgConnection,
    tables: Tables,
    world: &BatchState,
    repeating: bool,
) -> Result<(bool, HashMap<OrderId, Facts>), Failure> {
    let all_new = events::save(db, &world.events, repeating).await?;
    let timelines = save_models(db, tables, world).await?;
    letters::resolve(db, &world.resolutions).await?;
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
) -> Result<HashMap<OrderId, Facts>, Failure> {
    let timelines = orders::save(db, tables, &world.orders).await?;
    shipments::save(db, tables, &world.orders).await?;
    refunds::save(db, tables, &world.orders).await?;
    returns::save(db, tables, &world.orders).await?;
    disputes::save(db, tables, &world.orders).await?;
    levels::save(db, tables, &world.levels).await?;
    letters::save(db, tables, &world.letters).await?;
    positions::save_watermarks(db, tables, &world.watermarks).await?;
    positions::save(db, tables, &world.positions).await?;
    Ok(timelines)
}
