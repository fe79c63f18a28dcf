//! All SQL of fulfillment: one row per order, locked and read in one statement, saved in another.

pub mod work;

use std::collections::HashMap;

use events::{OrderId, Timestamp};
use runtime::sql::{JsonText, Timestamptz};
use runtime::{Failure, Reading, Recall, Recalled, Retention, WriteSet};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use self::work::Tasks;
use crate::consignment::{Consignment, State};

/// Orders of which all has left that will ever leave, with what their warehouses never said that they did.
pub(crate) fn retention() -> Retention {
    Retention {
        rows: "fulfillment.consignment",
        guards: "true",
        ended: "state = 'closed'",
        changed_at: "updated_at",
        with: vec!["delete from fulfillment.task where order_id = any($1)"],
    }
}

/// What a batch knows of one order.
#[derive(Clone, Debug, Default)]
pub struct Slot {
    /// The version that was loaded; none if there was no row.
    pub loaded: Option<i64>,
    /// The order; none if it is not known.
    pub row: Option<Consignment>,
    /// Whether it is to be saved.
    pub changed: bool,
}

/// What a batch was loaded into. Empty, it is a world in which no order is known; kept over batches, it is a store in memory.
#[derive(Clone, Debug, Default)]
pub struct BatchState {
    /// The orders of the batch.
    pub orders: HashMap<OrderId, Slot>,
    /// The orders that were not read.
    pub(crate) recalled: Recalled,
}

impl BatchState {
    /// What is known of an order.
    pub fn order(&self, order_id: OrderId) -> Option<&Consignment> {
        self.orders.get(&order_id).and_then(|slot| slot.row.as_ref())
    }

    /// The orders of which something is still to leave, as they are read from the table after the batch.
    pub(crate) fn into_open(self) -> impl Iterator<Item = (OrderId, i64, Consignment)> {
        self.orders.into_iter().filter_map(|(order_id, Slot { loaded, row, changed })| {
            let row = row.filter(|row| row.state != State::Closed)?;
            Some((order_id, loaded.unwrap_or(0) + i64::from(changed), Consignment { personal: None, ..row }))
        })
    }
}

type Row = (Uuid, String, i64, JsonText<Consignment>);

/// Reads those orders, by id, locked or not, that are not recalled.
///
/// # Errors
/// What the database says, or a state that this version does not know.
pub(crate) async fn load(
    db: &mut PgConnection,
    recall: Recall<Consignment>,
    reading: Reading,
) -> Result<BatchState, Failure> {
    let Recall { rows, recalled, others } = recall;
    let mut world = BatchState { recalled, ..BatchState::default() };
    for (order_id, version, row) in rows {
        world.orders.insert(order_id, Slot { loaded: Some(version), row: Some(row), changed: false });
    }
    if others.is_empty() {
        return Ok(world);
    }
    let rows: Vec<Row> =
        sqlx::query_as(reading.of("select order_id, state, version, data from fulfillment.consignment
         where order_id = any($1) order by order_id"))
        .bind(&others)
        .fetch_all(db)
        .await?;
    for (order_id, state, version, JsonText(row)) in rows {
        let row = Consignment { state: state_of(order_id, &state)?, ..row };
        world.orders.insert(OrderId(order_id), Slot { loaded: Some(version), row: Some(row), changed: false });
    }
    Ok(world)
}

fn state_of(order_id: Uuid, name: &str) -> Result<State, sqlx::Error> {
    State::from_name(name).ok_or_else(|| {
        let message =
            format!("consignment {order_id} is in state `{name}`, which this version does not know: run a newer one");
        sqlx::Error::Decode(message.into())
    })
}

/// Adds what the batch changed to its writes; the work lists too where a real warehouse works.
///
/// # Errors
/// When an order that was not read is not changed either.
pub(crate) fn save(writes: &mut WriteSet, world: &BatchState, now: Timestamp, work_lists: bool) -> Result<(), Failure> {
    world.recalled.check(|order_id| world.orders.get(&order_id).is_some_and(|slot| slot.changed))?;
    let changed = world.orders.iter().filter(|(_, slot)| slot.changed);
    let mut rows: Vec<(OrderId, i64, &Consignment)> = changed
        .filter_map(|(order_id, slot)| Some((*order_id, slot.loaded.unwrap_or(0) + 1, slot.row.as_ref()?)))
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    rows.sort_unstable_by_key(|(order_id, ..)| *order_id);
    if work_lists {
        Tasks::of(&rows, now).save(writes);
    }
    let (known, new): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(_, version, _)| *version > 1);
    save_consignments(writes, INSERT, &new, now);
    save_consignments(writes, UPDATE, &known, now);
    Ok(())
}

const INSERT: &str =
    "insert into fulfillment.consignment (order_id, state, version, units_dispatched, data, personal_key, personal_data, created_at, updated_at)
     select decided.*, $8, $8
       from unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::bytea[]) as decided";

/// Personal data comes with the first version and is not written again, so that an erasure lasts.
const UPDATE: &str = "update fulfillment.consignment as known set state = decided.state, version = decided.version,
            units_dispatched = decided.units_dispatched, data = decided.data, updated_at = $8
       from unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::bytea[])
            as decided (order_id, state, version, units_dispatched, data, personal_key, personal_data)
      where known.order_id = decided.order_id and known.version = decided.version - 1";

fn save_consignments(writes: &mut WriteSet, statement: &str, rows: &[(OrderId, i64, &Consignment)], now: Timestamp) {
    if rows.is_empty() {
        return;
    }
    let ids: Vec<Uuid> = rows.iter().map(|(order_id, ..)| order_id.0).collect();
    let states: Vec<&str> = rows.iter().map(|(.., row)| row.state.as_str()).collect();
    let versions: Vec<i64> = rows.iter().map(|(_, version, _)| *version).collect();
    let units: Vec<i64> = rows.iter().map(|(.., row)| row.units_dispatched()).collect();
    let keys: Vec<Option<&str>> =
        rows.iter().map(|(.., row)| row.personal.as_ref().map(|it| it.key_id.as_str())).collect();
    let sealed: Vec<Option<&[u8]>> =
        rows.iter().map(|(.., row)| row.personal.as_ref().map(|it| it.data.as_slice())).collect();
    let data: Vec<JsonText<&Consignment>> = rows.iter().map(|(.., row)| JsonText(*row)).collect();
    writes
        .add("fulfillment.consignment", Some(rows.len()), statement)
        .bind(ids)
        .bind(states)
        .bind(versions)
        .bind(units)
        .bind(data)
        .bind(keys)
        .bind(sealed)
        .bind(Timestamptz(now));
}

/// An order as it stands, without its personal data; none if it is not known.
///
/// # Errors
/// What the database says.
pub async fn read(pool: &PgPool, order_id: OrderId) -> Result<Option<Consignment>, sqlx::Error> {
    let row: Option<(String, JsonText<Consignment>)> =
        sqlx::query_as("select state, data from fulfillment.consignment where order_id = $1")
            .bind(order_id.0)
            .fetch_optional(pool)
            .await?;
    row.map(|(state, JsonText(row))| Ok(Consignment { state: state_of(order_id.0, &state)?, ..row })).transpose()
}
