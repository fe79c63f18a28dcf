//! Shipments: which are packed, which have left.

use axum::extract::State;
use runtime::http::query::{QueryResult, asked, behind, limit, one_of, page, text};
use runtime::http::{Json, Problem};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::state::{JsonResult, TrackerApi, failed, two};
use super::views::ShipmentView;
use crate::store;

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

/// Lists shipments, those of the newest orders first.
#[utoipa::path(get, path = "/fulfillment", tag = "fulfillment", params(ShipmentsAsked), responses(
    (status = 200, description = "A page of shipments.", body = Shipments),
    (status = 400, description = "A filter or the cursor can't be read.", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The database does not answer: ask again.", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list(State(api): State<TrackerApi>, query: QueryResult<ShipmentsAsked>) -> JsonResult<Shipments> {
    let asked = asked(query)?;
    let limit = limit(asked.limit)?;
    let status = one_of("status", asked.status.as_deref(), STATUSES.into_iter())?;
    let warehouse = text("warehouse", asked.warehouse)?;
    let behind = behind(asked.after.as_deref(), two)?;
    let rows = store::shipments(&api.pool, status, warehouse, behind, limit + 1).await.map_err(failed)?;
    let (rows, next) = page(rows, limit, |last| vec![last.order_id.to_string(), last.shipment_id.to_string()]);
    let shipments = rows.into_iter().map(ShipmentView::of).collect::<Result<_, _>>().map_err(failed)?;
    Ok(Json(Shipments { shipments, next }))
}
