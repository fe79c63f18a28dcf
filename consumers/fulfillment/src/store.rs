//! All SQL of fulfillment: one row per order, locked and read in one statement, saved in another; and the lists that doors show.

use std::collections::HashMap;

use events::{OrderId, Personal, ShipmentId, Timestamp};
use runtime::Failure;
use runtime::sql::At;
use sqlx::types::Json;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::consignment::{Consignment, State, Step};

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
pub struct World {
    /// The orders of the batch.
    pub orders: HashMap<OrderId, Slot>,
}

impl World {
    /// What is known of an order.
    pub fn order(&self, order_id: OrderId) -> Option<&Consignment> {
        self.orders.get(&order_id).and_then(|slot| slot.row.as_ref())
    }
}

type Row = (Uuid, String, i64, Json<Consignment>);

/// Locks and reads the orders, by id.
///
/// # Errors
/// What the database says, or a state that this version does not know.
pub async fn load(db: &mut PgConnection, mut ids: Vec<Uuid>) -> Result<World, Failure> {
    ids.sort_unstable();
    ids.dedup();
    let rows: Vec<Row> = sqlx::query_as(
        "select order_id, state, version, data from fulfillment.consignment
         where order_id = any($1) order by order_id for no key update",
    )
    .bind(&ids)
    .fetch_all(db)
    .await?;
    let mut world = World { orders: ids.into_iter().map(|id| (OrderId(id), Slot::default())).collect() };
    for (order_id, state, version, Json(row)) in rows {
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

/// Writes what the batch changed; the work lists too where a real warehouse works.
///
/// # Errors
/// What the database says; [`Failure::LostRace`] if another instance wrote one of the orders first.
pub async fn save(db: &mut PgConnection, world: World, now: Timestamp, work_lists: bool) -> Result<(), Failure> {
    let changed = world.orders.into_iter().filter(|(_, slot)| slot.changed);
    let mut rows: Vec<(OrderId, i64, Consignment)> = changed
        .filter_map(|(order_id, slot)| slot.row.map(|row| (order_id, slot.loaded.unwrap_or(0) + 1, row)))
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    rows.sort_unstable_by_key(|(order_id, ..)| *order_id);
    let tasks = if work_lists { Tasks::of(&rows, now) } else { Tasks::default() };
    save_consignments(db, rows, now).await?;
    if work_lists {
        forget_tasks(db, &tasks.done).await?;
        save_tasks(db, &tasks).await?;
    }
    Ok(())
}

async fn save_consignments(
    db: &mut PgConnection,
    rows: Vec<(OrderId, i64, Consignment)>,
    now: Timestamp,
) -> Result<(), Failure> {
    let decided = rows.len() as u64;
    let ids: Vec<Uuid> = rows.iter().map(|(order_id, ..)| order_id.0).collect();
    let states: Vec<&str> = rows.iter().map(|(.., row)| row.state.as_str()).collect();
    let versions: Vec<i64> = rows.iter().map(|(_, version, _)| *version).collect();
    let units: Vec<i64> = rows.iter().map(|(.., row)| row.units_dispatched()).collect();
    let keys: Vec<Option<&str>> =
        rows.iter().map(|(.., row)| row.personal.as_ref().map(|it| it.key_id.as_str())).collect();
    let sealed: Vec<Option<&[u8]>> =
        rows.iter().map(|(.., row)| row.personal.as_ref().map(|it| it.data.as_slice())).collect();
    let data: Vec<Json<&Consignment>> = rows.iter().map(|(.., row)| Json(row)).collect();
    // Personal data comes with the first version and is not written again, so that an erasure lasts.
    let done = sqlx::query(
        "insert into fulfillment.consignment as known
           (order_id, state, version, units_dispatched, data, personal_key, personal_data, created_at, updated_at)
         select decided.*, $8, $8
         from unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[], $5::jsonb[], $6::text[], $7::bytea[]) as decided
         on conflict (order_id) do update
           set state = excluded.state, version = excluded.version, units_dispatched = excluded.units_dispatched,
               data = excluded.data, updated_at = excluded.updated_at
           where known.version = excluded.version - 1",
    )
    .bind(ids)
    .bind(states)
    .bind(versions)
    .bind(units)
    .bind(data)
    .bind(keys)
    .bind(sealed)
    .bind(At(now))
    .execute(db)
    .await?;
    if done.rows_affected() != decided {
        return Err(Failure::LostRace { table: "fulfillment.consignment", saved: done.rows_affected(), decided });
    }
    Ok(())
}

/// What the batch changes in the work lists.
#[derive(Default)]
struct Tasks {
    done: Vec<Uuid>,
    shipments: Vec<Uuid>,
    orders: Vec<Uuid>,
    warehouses: Vec<String>,
    steps: Vec<&'static str>,
    due: Vec<At>,
}

impl Tasks {
    fn of(rows: &[(OrderId, i64, Consignment)], now: Timestamp) -> Self {
        let mut tasks = Self::default();
        let parcels =
            rows.iter().flat_map(|(order_id, _, row)| row.parcels.iter().map(move |parcel| (order_id, row, parcel)));
        for (order_id, row, parcel) in parcels {
            let (step, due) = match row.next_step(parcel) {
                Step::Wait | Step::Nothing => {
                    tasks.done.push(parcel.shipment_id.0);
                    continue;
                }
                step @ Step::Pick => (step, parcel.pick_by),
                step @ (Step::HandOver | Step::Recall) => (step, row.hand_over_by.unwrap_or(now)),
                step @ Step::PutBack => (step, now),
            };
            tasks.shipments.push(parcel.shipment_id.0);
            tasks.orders.push(order_id.0);
            tasks.warehouses.push(parcel.warehouse.to_string());
            tasks.steps.push(step.as_str());
            tasks.due.push(At(due));
        }
        tasks
    }
}

async fn forget_tasks(db: &mut PgConnection, done: &[Uuid]) -> Result<(), Failure> {
    if !done.is_empty() {
        sqlx::query("delete from fulfillment.task where shipment_id = any($1)").bind(done).execute(db).await?;
    }
    Ok(())
}

async fn save_tasks(db: &mut PgConnection, tasks: &Tasks) -> Result<(), Failure> {
    if tasks.shipments.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into fulfillment.task as known (shipment_id, order_id, warehouse, step, due_at)
         select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::timestamptz[]) order by 1
         on conflict (shipment_id) do update set step = excluded.step, due_at = excluded.due_at
           where known.step <> excluded.step",
    )
    .bind(&tasks.shipments)
    .bind(&tasks.orders)
    .bind(&tasks.warehouses)
    .bind(&tasks.steps)
    .bind(&tasks.due)
    .execute(db)
    .await?;
    Ok(())
}

/// An order as it stands, without its personal data; none if it is not known.
///
/// # Errors
/// What the database says.
pub async fn read(pool: &PgPool, order_id: OrderId) -> Result<Option<Consignment>, sqlx::Error> {
    let row: Option<(String, Json<Consignment>)> =
        sqlx::query_as("select state, data from fulfillment.consignment where order_id = $1")
            .bind(order_id.0)
            .fetch_optional(pool)
            .await?;
    row.map(|(state, Json(row))| Ok(Consignment { state: state_of(order_id.0, &state)?, ..row })).transpose()
}

/// One entry of a warehouse's work list, with its order.
#[derive(Clone, Debug)]
pub struct Task {
    /// Whose order.
    pub order_id: OrderId,
    /// Which shipment.
    pub shipment_id: ShipmentId,
    /// Until when.
    pub due_at: Timestamp,
    /// The order, with its personal data.
    pub order: Consignment,
}

/// Which part of a warehouse's work is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// Shipments to pick.
    Picking,
    /// Packed or given-up shipments to hand over, hold back or put back.
    Parcels,
}

type TaskRow = (Uuid, Uuid, At, String, Json<Consignment>, Option<String>, Option<Vec<u8>>);

/// A page of a warehouse's work, what is due first; `after` is the due time and shipment of the last entry of the page before.
///
/// # Errors
/// What the database says.
pub async fn tasks(
    pool: &PgPool,
    warehouse: &str,
    list: List,
    after: (Timestamp, Uuid),
    limit: i64,
) -> Result<Vec<Task>, sqlx::Error> {
    let steps: &[&str] = match list {
        List::Picking => &["pick"],
        List::Parcels => &["hand_over", "recall", "put_back"],
    };
    let rows: Vec<TaskRow> = sqlx::query_as(
        "select task.order_id, task.shipment_id, task.due_at, known.state, known.data, known.personal_key, known.personal_data
         from fulfillment.task join fulfillment.consignment as known using (order_id)
         where task.warehouse = $1 and task.step = any($2) and (task.due_at, task.shipment_id) > ($3, $4)
         order by task.due_at, task.shipment_id limit $5",
    )
    .bind(warehouse)
    .bind(steps)
    .bind(At(after.0))
    .bind(after.1)
    .bind(limit)
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(task).collect()
}

fn task((order_id, shipment_id, due_at, state, Json(row), key_id, data): TaskRow) -> Result<Task, sqlx::Error> {
    let personal = key_id.zip(data).map(|(key_id, data)| Personal { key_id, data });
    let order = Consignment { state: state_of(order_id, &state)?, personal, ..row };
    Ok(Task { order_id: OrderId(order_id), shipment_id: ShipmentId(shipment_id), due_at: due_at.0, order })
}
