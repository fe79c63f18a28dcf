//! Our side of the books: what each order's row says of its payment.

use std::collections::BTreeSet;

use events::{Currency, OrderId, Timestamp};
use runtime::Failure;
use runtime::sql::Timestamptz;
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Row as _};
use uuid::Uuid;

use crate::payment::State;

/// An order's payment by our rows. Amounts are in minor units of the currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RecordedPayment {
    pub order_id: OrderId,
    pub gateway: Option<String>,
    pub payment_id: Option<String>,
    pub state: State,
    pub currency: Option<Currency>,
    pub held: i64,
    pub captured: i64,
    /// Of all refunds that ended well: the saga's, and those to customers.
    pub refunded: i64,
    /// The gateway's ids of its refunds, however they ended.
    pub refund_ids: Vec<String>,
    /// A call is under way, or something changed lately.
    pub is_moving: bool,
    /// The payment was made before its order: perhaps long before.
    pub is_taken_over: bool,
}

/// The payments of a gateway from this order on, and those of these orders.
pub(super) async fn read(
    pool: &PgPool,
    gateway: &str,
    first: OrderId,
    orders: &BTreeSet<OrderId>,
    quiet_since: Timestamp,
) -> Result<Vec<RecordedPayment>, Failure> {
    let statement = "
        with payment as (
            select order_id, gateway, payment_id, state, currency,
                   case when is_captured then 0 else authorized - captured - released_remainder - voided end as held,
                   case when is_captured then authorized else captured end as captured,
                   refunded + refunds_done + case when is_captured then released_remainder else 0 end as refunded,
                   state in ('AUTHORIZING', 'ACTION_REQUIRED', 'CAPTURING', 'VOIDING', 'REFUNDING') and not stuck or updated_at > $4
                   or exists (select from payments.customer_refund r
                               where r.order_id = p.order_id and r.state in ('REQUESTED', 'REFUNDING', 'PENDING') and not r.stuck)
                   or coalesce(data::jsonb #>> '{remainder,status}' = 'pending', false) as is_moving,
                   coalesce(data::jsonb ->> 'settlement' in ('adopted', 'captured'), false) as is_taken_over
              from payments.payment p, coalesce(data::jsonb ->> 'settlement' = 'captured', false) as is_captured
             where (order_id >= $1 and gateway = $2 or order_id = any($3))
               and coalesce(data::jsonb ->> 'settlement', '') not in ('captured_elsewhere', 'external')
        ), named as (
            select order_id, array_agg(refund_id) as refund_ids from payments.refund where order_id in (select order_id from payment) group by order_id
        )
        select payment.*, coalesce(refund_ids, '{}') as refund_ids from payment left join named using (order_id)";
    let orders: Vec<Uuid> = orders.iter().map(|order_id| order_id.as_uuid()).collect();
    let query = sqlx::query(statement).bind(first.as_uuid()).bind(gateway).bind(orders).bind(Timestamptz(quiet_since));
    let rows = query.fetch_all(pool).await?;
    rows.iter().map(|row| payment(row).map_err(Failure::from)).collect()
}

fn payment(row: &PgRow) -> Result<RecordedPayment, sqlx::Error> {
    let unreadable = |index: &str, text: String| sqlx::Error::ColumnDecode {
        index: index.to_owned(),
        source: format!("{text:?} can't be read: was it written by a newer version?").into(),
    };
    let state: String = row.try_get("state")?;
    let known = State::ALL.into_iter().find(|known| known.as_str() == state);
    let currency = match row.try_get::<Option<String>, _>("currency")? {
        Some(code) => Some(code.parse().map_err(|_| unreadable("currency", code))?),
        None => None,
    };
    Ok(RecordedPayment {
        order_id: OrderId(row.try_get("order_id")?),
        gateway: row.try_get("gateway")?,
        payment_id: row.try_get("payment_id")?,
        state: known.ok_or_else(|| unreadable("state", state))?,
        currency,
        held: row.try_get("held")?,
        captured: row.try_get("captured")?,
        refunded: row.try_get("refunded")?,
        refund_ids: row.try_get("refund_ids")?,
        is_moving: row.try_get("is_moving")?,
        is_taken_over: row.try_get("is_taken_over")?,
    })
}
