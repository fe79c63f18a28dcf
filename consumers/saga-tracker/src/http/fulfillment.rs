//! Shipments: which are packed, which have left.

use axum::extract::State;
use events::{GivenUp, Item};
use runtime::Failure;
use runtime::http::{Json, Problem};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::page::{Asked, asked, behind, cursor, cut, limit, one_of, text};
use super::{RouteState, failed};
use crate::store::{self, ShipmentFilter, ShipmentRow, stored};

/// What a shipment can be, with the phase that it is one of.
const STATUSES: [(&str, (&str, &str)); 5] = [
    ("SHORT", ("SHORT", "IN_HOUSE")),
    ("PACKED", ("PACKED", "IN_HOUSE")),
    ("CANCELLED", ("CANCELLED", "IN_HOUSE")),
    ("DISPATCHED", ("DISPATCHED", "DISPATCHED")),
    ("DELIVERED", ("DELIVERED", "DELIVERED")),
];

/// Which shipments.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ShipmentsAsked {
    /// `SHORT`: its warehouse could give nothing; `PACKED`, `DISPATCHED`, `DELIVERED`; `CANCELLED`: it stayed in the house.
    status: Option<String>,
    /// The warehouse that it leaves from.
    warehouse: Option<String>,
    /// Shipments on the page, at most 500; 50 unless set.
    limit: Option<i64>,
    /// `next` of the page before; absent for the first.
    after: Option<String>,
}

/// A page of shipments.
#[derive(Serialize, ToSchema)]
pub(super) struct Shipments {
    /// Those of the newest orders first.
    shipments: Vec<ShipmentView>,
    /// What `after` must be for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// A shipment, as fulfillment told of it.
#[derive(Serialize, ToSchema)]
pub(super) struct ShipmentView {
    /// Its id.
    shipment_id: String,
    /// The order.
    order_id: String,
    /// Where it stands: `SHORT`, `PACKED`, `CANCELLED`, `DISPATCHED` or `DELIVERED`.
    status: String,
    /// Where it leaves from.
    warehouse: Option<String>,
    /// The units in it.
    items: Vec<Item>,
    /// The units that its warehouse could not give, with why.
    short: Vec<GivenUp>,
    /// When it was said to be short, RFC 3339.
    short_at: Option<String>,
    /// When it was packed.
    confirmed_at: Option<String>,
    /// When its warehouse handed it over.
    dispatched_at: Option<String>,
    /// When the carrier delivered it.
    delivered_at: Option<String>,
    /// Who carries it.
    carrier: Option<String>,
    /// The carrier's number of it.
    tracking: Option<String>,
}

impl ShipmentView {
    /// # Errors
    /// When the row holds what this version can't read.
    pub fn of(row: ShipmentRow) -> Result<Self, Failure> {
        let shown = |at: Option<runtime::sql::Timestamptz>| at.map(|at| at.0.to_string());
        Ok(Self {
            shipment_id: row.shipment_id.to_string(),
            order_id: row.order_id.to_string(),
            status: row.status,
            warehouse: row.warehouse,
            items: row.items.map_or(Ok(Vec::new()), |text| stored(&text, "shipment.items"))?,
            short: row.short.map_or(Ok(Vec::new()), |text| stored(&text, "shipment.short"))?,
            short_at: shown(row.short_at),
            confirmed_at: shown(row.confirmed_at),
            dispatched_at: shown(row.dispatched_at),
            delivered_at: shown(row.delivered_at),
            carrier: row.carrier,
            tracking: row.tracking,
        })
    }
}

/// Lists shipments, those of the newest orders first.
#[utoipa::path(get, path = "/fulfillment", tag = "fulfillment", params(ShipmentsAsked), responses(
    (status = 200, description = "A page of shipments.", body = Shipments),
    (status = 400, description = "A filter or the cursor can't be read.", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The database does not answer: ask again.", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list(
    State(doors): State<RouteState>,
    query: Asked<ShipmentsAsked>,
) -> Result<Json<Shipments>, Problem> {
    let asked = asked(query)?;
    let limit = limit(asked.limit)?;
    let (status, phase) = one_of("status", asked.status.as_deref(), STATUSES.into_iter())?.unzip();
    let filter = ShipmentFilter {
        status,
        phase,
        warehouse: text("warehouse", asked.warehouse)?,
        behind: behind(asked.after.as_deref(), |parts| match parts {
            [order_id, shipment_id] => Some((order_id.parse().ok()?, shipment_id.parse().ok()?)),
            _ => None,
        })?,
        limit: limit + 1,
    };
    let mut rows = store::shipments(&doors.pool, &filter).await.map_err(failed)?;
    let more = cut(&mut rows, limit);
    let next =
        rows.last().filter(|_| more).map(|last| cursor(&[&last.order_id.to_string(), &last.shipment_id.to_string()]));
    let shipments = rows.into_iter().map(ShipmentView::of).collect::<Result<_, _>>().map_err(failed)?;
    Ok(Json(Shipments { shipments, next }))
}
