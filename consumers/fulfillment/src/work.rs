//! The work lists of real warehouses: written with the orders that they are about, read by the warehouses' routes.

use events::{OrderId, Personal, ShipmentId, Timestamp};
use runtime::rows::{StoredRow, TableRow as _};
use runtime::sql::Timestamptz;
use runtime::{Failure, WriteSet};
use sqlx::PgPool;
use uuid::Uuid;

use crate::row::{Consignment, NextStep};

/// Writes what the warehouses of changed orders should do now.
pub(crate) fn save<'r>(
    rows: impl Iterator<Item = (&'r OrderId, &'r Consignment)>,
    now: Timestamp,
    writes: &mut WriteSet,
) {
    let (mut done, mut open) = (Vec::new(), Vec::new());
    for (order_id, row, parcel) in rows.flat_map(|(id, row)| row.parcels.iter().map(move |it| (id, row, it))) {
        match row.next_step(parcel) {
            NextStep::Wait | NextStep::Nothing => done.push(parcel.shipment_id.0),
            step @ NextStep::Pick => open.push((order_id, parcel, step, parcel.pick_by)),
            step @ (NextStep::HandOver | NextStep::Hold | NextStep::Recall) => {
                open.push((order_id, parcel, step, row.hand_over_by.unwrap_or(now)));
            }
            step @ NextStep::PutBack => open.push((order_id, parcel, step, now)),
        }
    }
    if !done.is_empty() {
        let statement = "delete from fulfillment.task where shipment_id = any($1)";
        writes.add("fulfillment.task", None, statement).bind(done);
    }
    if !open.is_empty() {
        let statement = "insert into fulfillment.task as known (shipment_id, order_id, warehouse, step, due_at)
         select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::timestamptz[]) order by 1
         on conflict (shipment_id) do update set step = excluded.step, due_at = excluded.due_at
           where known.step <> excluded.step";
        let part = writes.add("fulfillment.task", None, statement);
        runtime::bind_columns!(part; for (order_id, parcel, step, due) in open =>
            parcel.shipment_id.0, order_id.0, parcel.warehouse.to_string(), step.as_str(), Timestamptz(*due));
    }
}

#[derive(Clone, Debug)]
pub struct Task {
    pub order_id: OrderId,
    pub shipment_id: ShipmentId,
    pub due_at: Timestamp,
    pub order: Consignment,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    Picking,
    /// Packed or given-up shipments to hand over, hold back or put back.
    Parcels,
}

/// A page of a warehouse's work, what is due first; `after` is the due time and shipment of the last entry of the page before.
pub async fn tasks(
    pool: &PgPool,
    warehouse: &str,
    list: List,
    after: (Timestamp, Uuid),
    limit: i64,
) -> Result<Vec<Task>, Failure> {
    let steps: &[&str] = match list {
        List::Picking => &["pick"],
        List::Parcels => &["hand_over", "hold", "recall", "put_back"],
    };
    let rows = sqlx::query(
        "select task.order_id, task.shipment_id, task.due_at, known.state, known.data, known.personal_key, known.personal_data
         from fulfillment.task join fulfillment.consignment as known using (order_id)
         where task.warehouse = $1 and task.step = any($2) and (task.due_at, task.shipment_id) > ($3, $4)
         order by task.due_at, task.shipment_id limit $5",
    )
    .bind(warehouse)
    .bind(steps)
    .bind(Timestamptz(after.0))
    .bind(after.1)
    .bind(limit)
    .fetch_all(pool)
    .await?;
    let task = |row| {
        let stored = StoredRow::of::<Consignment>(row);
        let (order_id, order) = Consignment::read(&stored)?;
        let key_id: Option<String> = stored.get("personal_key")?;
        let personal = key_id.zip(stored.get("personal_data")?).map(|(key_id, data)| Personal { key_id, data });
        let (shipment_id, Timestamptz(due_at)) = (ShipmentId(stored.get("shipment_id")?), stored.get("due_at")?);
        Ok(Task { order_id, shipment_id, due_at, order: Consignment { personal, ..order } })
    };
    rows.iter().map(task).collect()
}
