//! The sandbox's book by pages: payments, then refunds; it takes no fees.

use events::{OrderId, Timestamp};
use gateway::{LedgerPage, Money, ProviderEntry, ProviderPayment, ProviderRefund};
use runtime::sql::Timestamptz;
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Row as _};

use crate::entry::EntryState;
use crate::store::{named, refund_status};

const PAGE: i64 = 1_000;
const PAYMENTS: &str = "payments";
const REFUNDS: &str = "refunds";

/// A page is named by its list, and by the last id before it.
pub(crate) async fn page(book: &PgPool, since: Timestamp, page: Option<&str>) -> Result<LedgerPage, sqlx::Error> {
    let (list, after) = page.and_then(|page| page.split_once('/')).unwrap_or((PAYMENTS, ""));
    let payments =
        "select payment_id as id, order_id, currency, state, authorized - captured - released as held, captured
                      from sandbox.payment where created_at >= $1 and payment_id > $2 order by payment_id limit $3";
    let refunds = "select refund_id as id, refund.payment_id, order_id, currency, refund.amount, refund.state
                     from sandbox.refund join sandbox.payment using (payment_id)
                    where refund.created_at >= $1 and refund_id > $2 order by refund_id limit $3";
    let statement = if list == PAYMENTS { payments } else { refunds };
    let rows = sqlx::query(statement).bind(Timestamptz(since)).bind(after).bind(PAGE).fetch_all(book).await?;
    let read = if list == PAYMENTS { payment } else { refund };
    let entries = rows.iter().map(read).collect::<Result<_, _>>()?;
    let next = match rows.last().filter(|_| rows.len() as i64 == PAGE) {
        Some(last) => Some(format!("{list}/{}", last.try_get::<&str, _>("id")?)),
        None => (list == PAYMENTS).then(|| format!("{REFUNDS}/")),
    };
    Ok(LedgerPage { entries, next })
}

fn payment(row: &PgRow) -> Result<ProviderEntry, sqlx::Error> {
    Ok(ProviderEntry::Payment(ProviderPayment {
        payment_id: row.try_get("id")?,
        order_id: OrderId(row.try_get("order_id")?),
        currency: named(row, "currency")?,
        held: row.try_get("held")?,
        captured: row.try_get("captured")?,
        is_open: named::<EntryState>(row, "state")? == EntryState::RequiresAction,
    }))
}

fn refund(row: &PgRow) -> Result<ProviderEntry, sqlx::Error> {
    Ok(ProviderEntry::Refund(ProviderRefund {
        refund_id: row.try_get("id")?,
        payment_id: row.try_get("payment_id")?,
        order_id: OrderId(row.try_get("order_id")?),
        money: Money { amount: row.try_get("amount")?, currency: named(row, "currency")? },
        status: refund_status(row.try_get("state")?)?,
    }))
}
