//! The rows of payments: how they are read and written, and what is forgotten of them.
//!
//! A provider's notice of a refund, and our own call's answer that says whose refund it is, meet in one row of `payments.refund`, so that neither can
//! miss the other. Orders' rows come before those of refunds, in a batch with locks too.

use std::collections::BTreeSet;

use events::{Currency, OrderId, Personal, RefundId, Timestamp};
use runtime::rows::{Columns, Rows, Select, StoredRow, TableRow};
use runtime::sql::{JsonText, Timestamptz};
use runtime::{Expiring, Failure, Loader, Retention, Saver};
use sqlx::PgPool;
use uuid::Uuid;

use crate::batch::{BatchState, Reference};
use crate::input::Input;
use crate::payment::Payment;
use crate::refunds::{CustomerRefund, RefundInput, Room, Shipped};

impl TableRow for Payment {
    type Key = OrderId;
    const TABLE: &'static str = "payments.payment";

    fn columns<'c>(columns: Columns<'c, Self>) -> Columns<'c, Self> {
        columns
            .key("order_id", |order_id| order_id.as_uuid())
            .changing("state", |row| row.state.as_str())
            .changing("gateway", |row| row.gateway.as_deref())
            .changing("payment_id", |row| row.payment_id.as_deref())
            .changing("currency", |row| row.currency.as_ref().map(Currency::as_str))
            .changing("amount", |row| row.amount)
            .changing("authorized", |row| row.authorized)
            .changing("captured", |row| row.captured)
            .changing("released_remainder", |row| row.released_remainder)
            .changing("voided", |row| row.voided)
            .changing("refunded", |row| row.refunded)
            .changing("refunds_open", |row| row.refunds_open)
            .changing("refunds_done", |row| row.refunds_done)
            .changing("disputed", |row| row.disputed)
            .changing("refund_shortfall", |row| row.refund_shortfall)
            .changing("announced", |row| row.announced)
            .changing("capture_before", |row| row.capture_before.map(Timestamptz))
            .changing_unread("stuck", Self::is_stuck)
            .changing("personal_key", |row| row.personal.as_ref().map(|personal| personal.key_id.as_str()))
            .changing("personal_data", |row| row.personal.as_ref().map(|personal| personal.data.as_slice()))
            .changing("data", |row| JsonText(&row.case))
            .created_at("created_at")
            .changed_at("updated_at")
    }

    fn read(row: &StoredRow<'_>) -> Result<(OrderId, Self), Failure> {
        let order_id = OrderId(row.get("order_id")?);
        let personal = row.get::<Option<String>>("personal_key")?.zip(row.get("personal_data")?);
        let payment = Self {
            order_id,
            state: row.named("state")?,
            gateway: row.get("gateway")?,
            payment_id: row.get("payment_id")?,
            currency: row.named("currency")?,
            amount: row.get("amount")?,
            authorized: row.get("authorized")?,
            captured: row.get("captured")?,
            released_remainder: row.get("released_remainder")?,
            voided: row.get("voided")?,
            refunded: row.get("refunded")?,
            refunds_open: row.get("refunds_open")?,
            refunds_done: row.get("refunds_done")?,
            disputed: row.get("disputed")?,
            refund_shortfall: row.get("refund_shortfall")?,
            announced: row.get("announced")?,
            capture_before: row.get::<Option<Timestamptz>>("capture_before")?.map(|at| at.0),
            personal: personal.map(|(key_id, data)| Personal { key_id, data }),
            case: row.json("data")?,
        };
        Ok((order_id, payment))
    }
}

impl TableRow for Reference {
    type Key = String;
    const TABLE: &'static str = "payments.refund";

    fn columns<'c>(columns: Columns<'c, Self>) -> Columns<'c, Self> {
        columns
            .key("refund_id", |refund_id| refund_id.as_str())
            .changing("order_id", |row| row.order_id.map(OrderId::as_uuid))
            .changing("customer_refund", |row| row.customer_refund.map(RefundId::as_uuid))
            .changing("told", |row| JsonText(&row.notices))
            .changed_at("updated_at")
    }

    fn read(row: &StoredRow<'_>) -> Result<(String, Self), Failure> {
        let order_id = row.get::<Option<Uuid>>("order_id")?.map(OrderId);
        let customer_refund = row.get::<Option<Uuid>>("customer_refund")?.map(RefundId);
        Ok((row.get("refund_id")?, Self { order_id, customer_refund, notices: row.json("told")? }))
    }
}

pub(crate) async fn load<'i>(
    loader: &mut Loader<'_>,
    inputs: impl Iterator<Item = &'i Input> + Clone,
) -> Result<BatchState, Failure> {
    // A shipment that left is written down; its payment and refunds are not looked at.
    let left = |input: &&Input| matches!(input, Input::Refund(RefundInput::Dispatched(_)));
    let dispatched = inputs.clone().filter(left).filter_map(Input::order_id);
    // Most orders that are out of stock never had a payment.
    let is_unpaid = |input: &&Input| matches!(input, Input::StockRejected(event) if event.payment.is_none());
    let inputs = inputs.clone().filter(|input| !left(input) && !is_unpaid(input));
    let mut orders: BTreeSet<OrderId> = inputs.clone().filter_map(Input::order_id).collect();
    let of_refunds = |input: &&Input| {
        matches!(input, Input::Refund(_) | Input::Retry { .. } | Input::UnknownTimer { .. })
            || matches!(input, Input::Notice(_) if input.refund_id().is_some())
    };
    let mut refunded: BTreeSet<OrderId> = inputs.clone().filter(of_refunds).filter_map(Input::order_id).collect();
    let notified = inputs.clone().filter(|input| input.order_id().is_none()).filter_map(Input::refund_id);
    let notified: Vec<&str> = notified.collect();
    if !notified.is_empty() {
        let statement = "select order_id from payments.refund where refund_id = any($1) and order_id is not null";
        let known: Vec<Uuid> = sqlx::query_scalar(statement).bind(notified).fetch_all(&mut *loader.db).await?;
        orders.extend(known.iter().copied().map(OrderId));
        refunded.extend(known.into_iter().map(OrderId));
    }
    let payments = Rows::of_orders(loader, orders.iter().copied()).await?;
    let (mut refunds, mut shipments) = (Rows::default(), Rows::default());
    if !refunded.is_empty() {
        let ids: Vec<Uuid> = refunded.iter().map(|order_id| order_id.as_uuid()).collect();
        refunds = Rows::load(loader, Select::filter("order_id = any($1)").bind(ids)).await?;
    }
    let shipped: BTreeSet<Uuid> = dispatched.chain(refunded).map(OrderId::as_uuid).collect();
    if !shipped.is_empty() {
        shipments = Rows::load(loader, Select::filter("order_id = any($1)").bind(Vec::from_iter(shipped))).await?;
    }
    let named: BTreeSet<&str> = inputs.filter_map(Input::refund_id).collect();
    let mut references = Rows::<Reference>::default();
    if !named.is_empty() {
        let named = Select::filter("refund_id = any($1)").bind(Vec::from_iter(named));
        references = Rows::load(loader, named).await?;
        let is_unread = |order_id| !orders.contains(&order_id);
        // Whose refund it is was recorded between the two statements: that order's row is not locked, and can't be now.
        if references.iter().filter_map(|(_, reference)| reference.order_id).any(is_unread) {
            return Err(Failure::LostRace { table: Reference::TABLE, saved: 0, decided: 1 });
        }
    }
    Ok(BatchState { payments, references, refunds, shipments, ..BatchState::default() })
}

pub(crate) fn save(BatchState { payments, references, refunds, shipments, .. }: BatchState, saver: &mut Saver<'_>) {
    payments.save(saver);
    refunds.save(saver);
    shipments.save(saver);
    references.save(saver);
}

pub(crate) async fn payment(pool: &PgPool, order_id: OrderId) -> Result<Option<Payment>, Failure> {
    Select::filter("order_id = $1").bind(order_id.as_uuid()).one(pool).await
}

/// Keeps the digest of a customer's token, and forgets those that are over.
pub(crate) async fn keep_token(
    pool: &PgPool,
    order_id: OrderId,
    digest: [u8; 32],
    expires_at: Timestamp,
    now: Timestamp,
) -> Result<(), Failure> {
    let statement = "with over as (delete from payments.customer_token where expires_at < $4)
        insert into payments.customer_token (digest, order_id, expires_at) values ($1, $2, $3)";
    let query = sqlx::query(statement).bind(digest.as_slice()).bind(order_id.as_uuid());
    query.bind(Timestamptz(expires_at)).bind(Timestamptz(now)).execute(pool).await?;
    Ok(())
}

/// Uses a customer's token up: whether it was one of this order, and not over.
pub(crate) async fn use_token(
    pool: &PgPool,
    order_id: OrderId,
    digest: [u8; 32],
    now: Timestamp,
) -> Result<bool, Failure> {
    let statement = "delete from payments.customer_token where digest = $1 and order_id = $2 and expires_at > $3";
    let query = sqlx::query(statement).bind(digest.as_slice()).bind(order_id.as_uuid()).bind(Timestamptz(now));
    Ok(query.execute(pool).await?.rows_affected() == 1)
}

/// The payment of an order, and the id under which notices of this refund of it come: of a refund to the customer, or of the saga's own.
pub(crate) async fn refund_under_way(
    pool: &PgPool,
    order_id: OrderId,
    refund_id: RefundId,
) -> Result<Option<(Payment, String)>, Failure> {
    let statement = "select refund_id from payments.refund
         where order_id = $1 and (customer_refund = $2 or starts_with(refund_id, $2::text || ':')) order by updated_at desc limit 1";
    let query = sqlx::query_scalar(statement).bind(order_id.as_uuid()).bind(refund_id.as_uuid());
    let Some(provider_id): Option<String> = query.fetch_optional(pool).await? else { return Ok(None) };
    Ok(payment(pool, order_id).await?.map(|payment| (payment, provider_id)))
}

/// The payment of an order with its refunds, the oldest first, and what is left to refund.
pub(crate) async fn refunds(
    pool: &PgPool,
    order_id: OrderId,
) -> Result<Option<(Payment, Vec<(RefundId, CustomerRefund)>, Room)>, Failure> {
    let Some(payment) = payment(pool, order_id).await? else { return Ok(None) };
    let mut refunds = Select::<CustomerRefund>::filter("order_id = $1").bind(order_id.as_uuid()).all(pool).await?;
    refunds.sort_by_key(|(refund_id, refund)| (refund.data.requested_at, *refund_id));
    let shipped = Select::<Shipped>::filter("order_id = $1").bind(order_id.as_uuid()).all(pool).await?;
    let items = shipped.iter().flat_map(|(_, shipped)| &shipped.items);
    let room = Room::new(&payment, items, refunds.iter().map(|(_, refund)| refund));
    Ok(Some((payment, refunds, room)))
}

/// Payments that have ended, or that were taken: payments does not hear when their orders end, so it keeps them far longer than the horizon. With them
/// goes what the gateway keeps of them in this database, by its own statements. Then what a gateway told of refunds that nobody here asked for.
pub(crate) fn retention(gateway: Vec<&'static str>) -> Retention {
    let mut with = vec![
        "delete from payments.refund where order_id = any($1)",
        "delete from payments.customer_refund where order_id = any($1)",
        "delete from payments.shipped where order_id = any($1)",
    ];
    with.extend(gateway);
    let unasked = Expiring {
        statement: "delete from payments.refund as gone
          using (select refund_id from payments.refund where order_id is null and updated_at < $1 limit $2 for update skip locked) as old
          where gone.refund_id = old.refund_id",
        age: None,
    };
    Retention {
        rows: Payment::TABLE,
        guards: "state <> 'NEW'",
        ended: "state in ('NEW', 'CAPTURED', 'DECLINED', 'VOIDED', 'REFUNDED') and not stuck and refunds_open = 0",
        changed_at: "updated_at",
        with,
        others: vec![unasked],
    }
}
