//! All SQL of orders. Rows that exist are locked by order_id, then new rows are inserted by placement, so that no two
//! transactions wait for each other in a circle.

use std::sync::Arc;

use events::{OrderId, Timestamp};
use runtime::sql::{JsonText, Timestamptz};
use runtime::{Failure, Reading, Recall, Recent, Retention, WriteSet};
use serde::Serialize;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgPool, Row};
use uuid::Uuid;

use crate::Input;
use crate::handlers::wanted;
use crate::order::{BatchState, Body, Order, Slot, State};

const TABLE: &str = "orders.order";

/// Orders that have ended. Their idempotency keys go with them.
pub(crate) fn retention() -> Retention {
    Retention {
        rows: "orders.\"order\"",
        guards: "true",
        ended: "ended_at is not null",
        changed_at: "ended_at",
        with: Vec::new(),
    }
}

/// Reads what a batch needs: orders by their ids, or by the keys that they were placed under, locked or not.
pub(crate) async fn load(
    db: &mut PgConnection,
    inputs: &[&Input],
    recent: &Recent<Order>,
    now: Timestamp,
    reading: Reading,
) -> Result<BatchState, Failure> {
    let Recall { rows, recalled, others } =
        recent.recall(inputs.iter().filter_map(|input| wanted(input, now)), now, reading);
    let mut world = BatchState::recalled(rows, recalled);
    if others.is_empty() {
        return Ok(world);
    }
    let is_read = |order_id: OrderId| others.binary_search(&order_id.as_uuid()).is_ok();
    let placements: Vec<Uuid> = inputs
        .iter()
        .filter_map(|input| if let Input::Placed(placed) = input { Some(placed) } else { None })
        .filter(|placed| is_read(placed.candidate()))
        .flat_map(|placed| placed.keys())
        .collect();
    let rows = sqlx::query(reading.of(
        "select order_id, placement, source, reference, state, version, placed_at, ended_at, details, asked, ending, body_digest,
                case when placement = any($2) then body::text end as body
           from orders.\"order\"
          where order_id = any($1) or placement = any($2)
          order by order_id",
    ))
    .bind(&others)
    .bind(&placements)
    .fetch_all(db)
    .await?;
    for row in &rows {
        world.loaded(order(row)?, row.try_get("version")?);
    }
    Ok(world)
}

/// Reads one order for who asks at the door; without its body, which nobody gets to see.
pub(crate) async fn find(pool: &PgPool, order_id: Uuid) -> Result<Option<Order>, Failure> {
    let row = sqlx::query(
        "select order_id, placement, source, reference, state, placed_at, ended_at, details, asked, ending, body_digest,
                null::text as body
           from orders.\"order\"
          where order_id = $1",
    )
    .bind(order_id)
    .fetch_optional(pool)
    .await?;
    row.as_ref().map(order).transpose()
}

fn order(row: &PgRow) -> Result<Order, Failure> {
    let order_id = OrderId(row.try_get("order_id")?);
    Ok(Order {
        order_id,
        placement: row.try_get("placement")?,
        source: row.try_get("source")?,
        reference: row.try_get("reference")?,
        state: state(order_id, row.try_get("state")?)?,
        details: row.try_get::<JsonText<_>, _>("details")?.0,
        asked: row.try_get::<Option<JsonText<_>>, _>("asked")?.map(|JsonText(asked)| asked),
        ending: row.try_get::<Option<JsonText<_>>, _>("ending")?.map(|JsonText(ending)| ending),
        body: Body {
            digest: row.try_get("body_digest")?,
            text: row.try_get::<Option<String>, _>("body")?.map(Arc::from),
        },
        placed_at: row.try_get::<Timestamptz, _>("placed_at")?.0,
        ended_at: row.try_get::<Option<Timestamptz>, _>("ended_at")?.map(|Timestamptz(time)| time),
    })
}

fn state(order_id: OrderId, text: String) -> Result<State, Failure> {
    serde_json::from_value(text.into())
        .map_err(|source| Failure::Stored { what: format!("{TABLE}, order {order_id}, column state"), source })
}

/// Writes new orders, sorted by placement. One that another instance wrote first, under its id or its key, is a lost race.
pub(crate) fn insert(writes: &mut WriteSet, new: &[&Slot]) {
    if new.is_empty() {
        return;
    }
    writes.add(TABLE, Some(new.len()),
        "insert into orders.\"order\" (order_id, placement, source, reference, state, version, currency, total, charged,
                                       placed_at, ended_at, details, asked, ending, body_digest, body)
         select order_id, placement, source, reference, state, 1, currency, total, charged,
                placed_at, ended_at, details, asked, ending, body_digest, body::json
           from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[],
                       $9::timestamptz[], $10::timestamptz[], $11::text[], $12::text[], $13::text[], $14::uuid[], $15::text[])
                as new (order_id, placement, source, reference, state, currency, total, charged,
                        placed_at, ended_at, details, asked, ending, body_digest, body)
          order by placement",
    )
    .bind(each(new, |slot| slot.order.order_id.as_uuid()))
    .bind(each(new, |slot| slot.order.placement))
    .bind(each(new, |slot| slot.order.source.as_str()))
    .bind(each(new, |slot| slot.order.reference.as_str()))
    .bind(each(new, |slot| slot.order.state.as_str()))
    .bind(each(new, |slot| slot.order.details.terms.as_ref().map(|terms| terms.currency.to_string())))
    .bind(each(new, |slot| slot.order.details.terms.as_ref().map(|terms| terms.total)))
    .bind(each(new, |slot| slot.order.ending.as_ref().map(|ending| ending.charged)))
    .bind(each(new, |slot| Timestamptz(slot.order.placed_at)))
    .bind(each(new, |slot| slot.order.ended_at.map(Timestamptz)))
    .bind(json(new, |slot| Some(&slot.order.details)))
    .bind(json(new, |slot| slot.order.asked.as_ref()))
    .bind(json(new, |slot| slot.order.ending.as_ref()))
    .bind(each(new, |slot| slot.order.body.digest))
    .bind(each(new, |slot| slot.order.body.text.as_deref()));
}

/// Writes what changed of orders that exist, sorted by id. What they were placed with never changes and is not written again.
pub(crate) fn update(writes: &mut WriteSet, changed: &[&Slot]) {
    if changed.is_empty() {
        return;
    }
    writes
        .add(
            TABLE,
            Some(changed.len()),
            "update orders.\"order\" as stored
            set state = new.state, version = stored.version + 1, charged = new.charged, ended_at = new.ended_at,
                asked = new.asked, ending = new.ending
           from unnest($1::uuid[], $2::bigint[], $3::text[], $4::bigint[], $5::timestamptz[], $6::text[], $7::text[])
                as new (order_id, version, state, charged, ended_at, asked, ending)
          where stored.order_id = new.order_id and stored.version = new.version",
        )
        .bind(each(changed, |slot| slot.order.order_id.as_uuid()))
        .bind(each(changed, |slot| slot.stored.unwrap_or_default()))
        .bind(each(changed, |slot| slot.order.state.as_str()))
        .bind(each(changed, |slot| slot.order.ending.as_ref().map(|ending| ending.charged)))
        .bind(each(changed, |slot| slot.order.ended_at.map(Timestamptz)))
        .bind(json(changed, |slot| slot.order.asked.as_ref()))
        .bind(json(changed, |slot| slot.order.ending.as_ref()));
}

fn each<'s, T>(slots: &[&'s Slot], column: impl Fn(&'s Slot) -> T) -> Vec<T> {
    slots.iter().copied().map(column).collect()
}

/// A column of JSON texts.
fn json<'s, T: Serialize>(
    slots: &[&'s Slot],
    column: impl Fn(&'s Slot) -> Option<&'s T>,
) -> Vec<Option<JsonText<&'s T>>> {
    slots.iter().map(|slot| column(slot).map(JsonText)).collect()
}
