//! The deadlines of open orders, for people: listed, and moved with who and why. The routes and `quadrille deadlines` share it.

use events::{OrderId, Timestamp};
use runtime::Failure;
use serde::{Serialize, Serializer};
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::store::deadlines as store;
use deadlines::{RULES, owed_by_events};

/// Characters at most of an account and of a reason.
pub const LONGEST_TEXT: usize = 500;

/// An answer that is owed.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = OwedView)]
pub struct Owed {
    /// The event that is not answered.
    #[schema(value_type = String)]
    pub event_id: Uuid,
    /// Its type.
    pub event_type: &'static str,
    /// Who must answer.
    pub consumer: &'static str,
    /// The types that are an answer.
    pub waiting_for: Vec<&'static str>,
    /// When it happened, RFC 3339.
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String)]
    pub since: Timestamp,
    /// When the answer is due if nothing delays it, RFC 3339: it counts from when its consumer comes to the event, if that is later.
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String)]
    pub due: Timestamp,
}

/// An open order with what it is owed.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = DeadlineView)]
pub struct Deadline {
    /// The order.
    #[schema(value_type = String)]
    pub order_id: OrderId,
    /// When it is looked at next, unless an event of it comes before; RFC 3339.
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String)]
    pub look_at: Timestamp,
    /// Until when a person moved it; absent if nobody did.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "moment")]
    #[schema(value_type = Option<String>)]
    pub moved_until: Option<Timestamp>,
    /// How often people moved it.
    pub moves: i64,
    /// What it is owed, what is due first at the head.
    pub owed: Vec<Owed>,
}

fn rfc3339<S: Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(at)
}

fn moment<S: Serializer>(at: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
    at.map(|at| at.to_string()).serialize(to)
}

#[derive(Debug, thiserror::Error)]
pub enum NotMoved {
    #[error("{0}")]
    Invalid(String),
    #[error("expected an order that is open, and {0} is not: nothing was heard of it yet, or it has ended")]
    NotOpen(OrderId),
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// Open orders by when they are looked at next, at most `limit` behind `behind`.
pub async fn list(
    db: &mut PgConnection,
    behind: Option<(Timestamp, OrderId)>,
    limit: i64,
) -> Result<Vec<Deadline>, Failure> {
    let behind = behind.map(|(at, order_id)| (at, order_id.as_uuid()));
    let page = store::by_deadline(db, behind, limit).await?;
    let ids: Vec<Uuid> = page.iter().map(|(order_id, _)| order_id.as_uuid()).collect();
    let orders = store::open_orders(db, &ids).await?;
    let deadline = |(order_id, look_at): (OrderId, Timestamp)| {
        let order = orders.iter().find(|order| order.order_id == order_id)?;
        let owed = owed_by_events(&RULES, order).into_iter().map(|(rule, event, due)| Owed {
            event_id: event.event_id,
            event_type: rule.event_type,
            consumer: rule.consumer,
            waiting_for: rule.answers.clone(),
            since: event.at,
            due,
        });
        let (moved_until, moves) = (order.moved_until, order.rounds);
        Some(Deadline { order_id, look_at, moved_until, moves, owed: owed.collect() })
    };
    Ok(page.into_iter().filter_map(deadline).collect())
}

/// Moves the deadline of an open order: whatever it is owed is due then at the earliest. Who and why are kept. An order that was told to be stuck
/// is told again if it still is then.
///
/// # Errors
/// When the moment lies behind, who or why is missing, or the order is not open.
pub async fn move_deadline(
    db: &mut PgConnection,
    order_id: OrderId,
    until: Timestamp,
    (by, why): (&str, &str),
    now: Timestamp,
) -> Result<(), NotMoved> {
    if until <= now {
        return Err(NotMoved::Invalid(format!("`until`: expected a moment after now, {now}, got {until}")));
    }
    for (name, text) in [("by", by), ("why", why)] {
        let length = text.trim().chars().count();
        if length == 0 || length > LONGEST_TEXT {
            let expected = format!("`{name}`: expected 1 to {LONGEST_TEXT} characters, got {length}");
            return Err(NotMoved::Invalid(format!("{expected}: say who moves the deadline, and why")));
        }
    }
    if store::move_deadline(db, order_id, until, (by.trim(), why.trim()), now).await? {
        tracing::info!(consumer = "saga-tracker", %order_id, %until, by, "deadline moved by a person");
        return Ok(());
    }
    Err(NotMoved::NotOpen(order_id))
}
