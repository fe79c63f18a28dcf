//! The shipments' read model.

use std::collections::BTreeMap;

use events::{OrderId, ShipmentId};
use runtime::sql::{Timestamptz, clean_option};
use runtime::{Failure, bind_columns};
use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

use super::tables::Tables;
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
        of.short_at.map(Timestamptz), of.confirmed_at.map(Timestamptz), of.dispatched_at.map(Timestamptz), of.delivered_at.map(Timestamptz),
        clean_option(&of.carrier), clean_option(&of.tracking),
    );
    query.execute(db).await?;
    Ok(())
}

/// A row of the view `fulfillment`.
#[derive(FromRow)]
pub(crate) struct ShipmentRow {
    pub order_id: Uuid,
    pub shipment_id: Uuid,
    pub warehouse: Option<String>,
    pub status: String,
    pub items: Option<String>,
    pub short: Option<String>,
    pub short_at: Option<Timestamptz>,
    pub confirmed_at: Option<Timestamptz>,
    pub dispatched_at: Option<Timestamptz>,
    pub delivered_at: Option<Timestamptz>,
    pub carrier: Option<String>,
    pub tracking: Option<String>,
}

impl ShipmentRow {
    /// The row that the view would show of a shipment of an order of which these facts are known.
    pub fn of(order_id: OrderId, shipment_id: ShipmentId, of: &ShipmentFacts, order: &Facts) -> Self {
        let status = match of {
            ShipmentFacts { delivered_at: Some(_), .. } => "DELIVERED",
            ShipmentFacts { dispatched_at: Some(_), .. } => "DISPATCHED",
            ShipmentFacts { confirmed_at: None, .. } => "SHORT",
            ShipmentFacts { .. } if order.moments.at(Moment::LetGo).is_some() => "CANCELLED",
            ShipmentFacts { .. } => "PACKED",
        };
        Self {
            order_id: order_id.as_uuid(),
            shipment_id: shipment_id.as_uuid(),
            warehouse: of.warehouse.clone(),
            status: status.to_owned(),
            items: of.items.clone(),
            short: of.short.clone(),
            short_at: of.short_at.map(Timestamptz),
            confirmed_at: of.confirmed_at.map(Timestamptz),
            dispatched_at: of.dispatched_at.map(Timestamptz),
            delivered_at: of.delivered_at.map(Timestamptz),
            carrier: of.carrier.clone(),
            tracking: of.tracking.clone(),
        }
    }
}

/// Which shipments are asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct ShipmentFilter {
    pub status: Option<&'static str>,
    /// The phase that this status is one of: what the index knows.
    pub phase: Option<&'static str>,
    pub warehouse: Option<String>,
    /// Only those behind this one.
    pub behind: Option<(Uuid, Uuid)>,
    pub limit: i64,
}

/// Shipments, those of the newest orders first.
pub(crate) async fn shipments(pool: &PgPool, filter: &ShipmentFilter) -> Result<Vec<ShipmentRow>, Failure> {
    let (order_id, shipment_id) = filter.behind.unzip();
    let rows = sqlx::query_as(
        "select order_id, shipment_id, warehouse, status, items, short, short_at, confirmed_at, dispatched_at, delivered_at, carrier, tracking
         from saga_tracker.fulfillment
         where ($1::text is null or phase = $1) and ($2::text is null or status = $2) and ($3::text is null or warehouse = $3)
           and ($4::uuid is null or (order_id, shipment_id) < ($4, $5::uuid))
         order by order_id desc, shipment_id desc limit $6",
    )
    .bind(filter.phase)
    .bind(filter.status)
    .bind(&filter.warehouse)
    .bind(order_id)
    .bind(shipment_id)
    .bind(filter.limit)
    .fetch_all(pool)
    .await?;
    Ok(rows)
}

/// The shipments of one order.
pub(crate) async fn shipments_of(pool: &PgPool, order_id: OrderId) -> Result<Vec<ShipmentRow>, Failure> {
    let rows = sqlx::query_as(
        "select order_id, shipment_id, warehouse, status, items, short, short_at, confirmed_at, dispatched_at, delivered_at, carrier, tracking
         from saga_tracker.fulfillment where order_id = $1 order by shipment_id",
    );
    Ok(rows.bind(order_id.as_uuid()).fetch_all(pool).await?)
}
