//! What fraud knows: a row for each order, and counts of customers, cards and addresses.

use events::{Allocation, Currency, CustomerId, Line, OrderId, Personal, RuleHit, Timestamp};
use runtime::rows::{Columns, Rows, Select, StoredRow, TableRow};
use runtime::sql::{JsonText, Timestamptz};
use runtime::{Expiring, Failure, Retention, TraceContext};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use utoipa::ToSchema;

use crate::velocity::Tallies;

/// Where an order stands; no row: not heard of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// A person must look at it.
    Review,
    /// It may go on.
    Cleared,
    /// It may not.
    Rejected,
    /// The money went back before it was decided: a tombstone, or a review that is over.
    Closed,
}

runtime::names!(State { Review: "REVIEW", Cleared: "CLEARED", Rejected: "REJECTED", Closed: "CLOSED" });

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assessment {
    pub state: State,
    pub score: i64,
    pub rules: Vec<RuleHit>,
    /// What is authorized, in minor units; 0 for a tombstone.
    pub amount: i64,
    /// The currency of `amount`; none for a tombstone.
    pub currency: Option<Currency>,
    pub opened_at: Timestamp,
    /// Until when a person may decide; none if it was not reviewed.
    pub deadline: Option<Timestamp>,
    /// `rules`, `deadline`, or a person's account.
    pub decided_by: Option<String>,
    pub decided_at: Option<Timestamp>,
    pub note: Option<String>,
    pub thread: TraceContext,
    /// What `FraudCleared` must carry; kept during a review only, as it holds personal data.
    pub carried: Option<Carried>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    pub customer_id: CustomerId,
    pub currency: Currency,
    pub lines: Vec<Line>,
    pub plan: Vec<Allocation>,
    pub personal: Personal,
    pub capture_before: Timestamp,
}

/// What a batch was loaded into. Kept over batches it is a store in memory: an order that it does not have is one that was not heard of.
#[derive(Clone, Debug, Default)]
pub struct BatchState {
    pub(crate) orders: Rows<Assessment>,
    pub(crate) tallies: Tallies,
}

impl BatchState {
    pub fn order(&self, order_id: OrderId) -> Option<&Assessment> {
        self.orders.get(&order_id)
    }
}

impl Assessment {
    /// An order of which nothing is known but that it is over: a tombstone.
    pub(crate) fn closed(opened_at: Timestamp, thread: TraceContext) -> Self {
        Self {
            state: State::Closed,
            score: 0,
            rules: Vec::new(),
            amount: 0,
            currency: None,
            opened_at,
            deadline: None,
            decided_by: None,
            decided_at: None,
            note: None,
            thread,
            carried: None,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct AssessmentData {
    rules: Vec<RuleHit>,
    thread: TraceContext,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    carried: Option<Carried>,
}

impl TableRow for Assessment {
    type Key = OrderId;
    const TABLE: &'static str = "fraud.assessment";

    fn columns<'c>(columns: Columns<'c, Self>) -> Columns<'c, Self> {
        columns
            .key("order_id", |order_id| order_id.as_uuid())
            .changing("state", |row| row.state.as_str())
            .fixed("score", |row| row.score)
            .fixed("amount", |row| row.amount)
            .fixed("currency", |row| row.currency.as_ref().map(Currency::as_str))
            .fixed("opened_at", |row| Timestamptz(row.opened_at))
            .fixed("deadline", |row| row.deadline.map(Timestamptz))
            .changing("decided_by", |row| row.decided_by.as_deref())
            .changing("decided_at", |row| row.decided_at.map(Timestamptz))
            .changing("data", |Self { rules, thread, note, carried, .. }| {
                let (rules, thread) = (rules.clone(), thread.clone());
                JsonText(AssessmentData { rules, thread, note: note.clone(), carried: carried.clone() })
            })
    }

    fn read(row: &StoredRow<'_>) -> Result<(OrderId, Self), Failure> {
        let AssessmentData { rules, thread, note, carried } = row.json("data")?;
        let at = |column| Ok::<_, Failure>(row.get::<Option<Timestamptz>>(column)?.map(|Timestamptz(at)| at));
        let assessment = Self {
            state: row.named("state")?,
            score: row.get("score")?,
            rules,
            amount: row.get("amount")?,
            currency: row.named("currency")?,
            opened_at: row.get::<Timestamptz>("opened_at")?.0,
            deadline: at("deadline")?,
            decided_by: row.get("decided_by")?,
            decided_at: at("decided_at")?,
            note,
            thread,
            carried,
        };
        Ok((OrderId(row.get("order_id")?), assessment))
    }
}

/// Orders that were decided, or that were over before: all but open reviews; and counts.
pub(crate) fn retention(counts: Expiring) -> Retention {
    Retention {
        rows: Assessment::TABLE,
        ended: "state <> 'REVIEW'",
        changed_at: "coalesce(decided_at, opened_at)",
        others: vec![counts],
        ..Retention::default()
    }
}

pub(crate) async fn open_reviews(
    pool: &PgPool,
    (deadline, order_id): (Timestamp, OrderId),
    limit: i64,
) -> Result<Vec<(OrderId, Assessment)>, Failure> {
    let behind = "state = 'REVIEW' and (deadline, order_id) > ($1, $2) order by deadline, order_id limit $3";
    Select::filter(behind).bind(Timestamptz(deadline)).bind(order_id.as_uuid()).bind(limit).all(pool).await
}

pub(crate) async fn assessment(pool: &PgPool, order_id: OrderId) -> Result<Option<Assessment>, Failure> {
    Select::filter("order_id = $1").bind(order_id.as_uuid()).one(pool).await
}
