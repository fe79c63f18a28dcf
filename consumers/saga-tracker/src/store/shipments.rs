//! The shipments' read model.

use std::collections::BTreeMap;

use events::{OrderId, ShipmentId};
use runtime::sql::clean_option;
use runtime::{Failure, bind_columns};
use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

use super::columns::{Tables, run};
use crate::facts::{Facts, Moment, ShipmentFacts};

/// Merges what a batch tells into the shipments' rows, as [`Facts::merge`] does.
pub(super) async fn save(
    db: &mut PgConnection,
    tables: Tables,
    orders: &BTreeMap<OrderId, Facts>,
) -> Result<(), Failure> {
    let told: Vec<(OrderId, ShipmentId, &ShipmentFacts)> = orders
        .iter()
        .flat_map(|(order_id, facts)| facts.shipments.iter().map(|(id, shipment)| (*order_id, *id, shipment)))
        .collect();
    if told.is_empty() {
        return Ok(());
    }
    let query = sqlx::query(tables.of(
        "insert into saga_tracker.shipment as kept
           (order_id, shipment_id, warehouse, items, short, short_at, confirmed_at, dispatched_at, delivered_at, carrier, tracking)
         select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::timestamptz[],
           $8::timestamptz[], $9::timestamptz[], $10::text[], $11::text[])
         on conflict (order_id, shipment_id) do update set
           warehouse = greatest(kept.warehouse, excluded.warehouse), items = greatest(kept.items, excluded.items),
           short = greatest(kept.short, excluded.short), short_at = least(kept.short_at, excluded.short_at),
           confirmed_at = least(kept.confirmed_at, excluded.confirmed_at),
           dispatched_at = least(kept.dispatched_at, excluded.dispatched_at),
           delivered_at = least(kept.delivered_at, excluded.delivered_at),
           carrier = greatest(kept.carrier, excluded.carrier), tracking = greatest(kept.tracking, excluded.tracking)",
    ));
    let query = bind_columns!(query; for (order_id, shipment_id, of) in told =>
        order_id.as_uuid(), shipment_id.as_uuid(), clean_option(&of.warehouse), clean_option(&of.items), clean_option(&of.short),
        of.short_at, of.confirmed_at, of.dispatched_at, of.delivered_at,
        clean_option(&of.carrier), clean_option(&of.tracking),
    );
    run(query, db).await.map(drop)
}

#[derive(FromRow)]
pub(crate) struct ShipmentRow {
    pub order_id: Uuid,
    pub shipment_id: Uuid,
    pub status: String,
    #[sqlx(flatten)]
    pub facts: ShipmentFacts,
}

impl ShipmentRow {
    /// The row that the view `fulfillment` would show of a shipment of an order of which these facts are known.
    pub fn of(order_id: OrderId, shipment_id: ShipmentId, of: &ShipmentFacts, order: &Facts) -> Self {
        let status = match of {
            ShipmentFacts { delivered_at: Some(_), .. } => "DELIVERED",
            ShipmentFacts { dispatched_at: Some(_), .. } => "DISPATCHED",
            ShipmentFacts { confirmed_at: None, .. } => "SHORT",
            ShipmentFacts { .. } if order.moments.at(Moment::LetGo).is_some() => "CANCELLED",
            ShipmentFacts { .. } => "PACKED",
        };
        let (order_id, shipment_id) = (order_id.as_uuid(), shipment_id.as_uuid());
        Self { order_id, shipment_id, status: status.to_owned(), facts: of.clone() }
    }
}

macro_rules! select_shipments {
    ($rest:literal) => {
        concat!(
            "select order_id, shipment_id, warehouse, status, items, short, short_at, confirmed_at, dispatched_at, delivered_at, carrier, tracking
             from saga_tracker.fulfillment ",
            $rest
        )
    };
}

/// Shipments, those of the newest orders first, behind one of them. A status comes with the phase that it is one of: what the index knows.
pub(crate) async fn shipments(
    pool: &PgPool,
    status: Option<(&str, &str)>,
    warehouse: Option<String>,
    behind: Option<(Uuid, Uuid)>,
    limit: i64,
) -> Result<Vec<ShipmentRow>, Failure> {
    let ((status, phase), (order_id, shipment_id)) = (status.unzip(), behind.unzip());
    let rows = sqlx::query_as(select_shipments!(
        "where ($1::text is null or phase = $1) and ($2::text is null or status = $2) and ($3::text is null or warehouse = $3)
           and ($4::uuid is null or (order_id, shipment_id) < ($4, $5::uuid))
         order by order_id desc, shipment_id desc limit $6"
    ))
    .bind(phase)
    .bind(status)
    .bind(warehouse)
    .bind(order_id)
    .bind(shipment_id)
    .bind(limit);
    Ok(rows.fetch_all(pool).await?)
}

pub(crate) async fn shipments_of(pool: &PgPool, order_id: OrderId) -> Result<Vec<ShipmentRow>, Failure> {
    let rows = sqlx::query_as(select_shipments!("where order_id = $1 order by shipment_id"));
    Ok(rows.bind(order_id.as_uuid()).fetch_all(pool).await?)
}
