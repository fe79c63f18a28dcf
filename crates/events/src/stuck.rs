//! What the tracker says of an order that needs a person: the whole case in one event.
#![allow(missing_docs, reason = "its schema describes every field")]

use serde::{Deserialize, Serialize};

use crate::ids::{EventId, OrderId};
use crate::time::Timestamp;

/// An order needs a person: nobody answered in time although everyone could have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderStuck {
    pub order_id: OrderId,
    /// How far the order got, in the tracker's words.
    pub status: String,
    pub event_id: EventId,
    pub event_type: String,
    pub waiting_for: Vec<String>,
    pub consumers: Vec<String>,
    pub since: Timestamp,
    pub due: Timestamp,
    pub detail: String,
    pub history: Vec<CaseEntry>,
    /// How often its deadline had been moved before: with the order and the event it names the situation, which is told once.
    #[serde(default)]
    pub round: i64,
    /// Whether it is stuck only because it has been open for longer than any order may be.
    #[serde(default)]
    pub hard_limit: bool,
    /// Type of the latest event of its way that the tracker knows.
    #[serde(default)]
    pub last_heard: String,
    #[serde(default)]
    pub last_heard_from: String,
    pub last_heard_at: Option<Timestamp>,
    /// All answers that are owed, the one that is due first at the head.
    #[serde(default)]
    pub expected: Vec<ExpectedAnswer>,
    pub money: Option<MoneyAtStake>,
    /// Units that are reserved and neither left the house nor were given back.
    #[serde(default)]
    pub stock: Vec<StockAtStake>,
    /// When the reservation's clock fires, or, once money is held for it, when that hold lapses; absent if no stock is held.
    pub stock_held_until: Option<Timestamp>,
    #[serde(default)]
    pub compensations: Vec<OpenCompensation>,
    #[serde(default)]
    pub parked: Vec<ParkedEvent>,
    #[serde(default)]
    pub dead_letters: Vec<OpenDeadLetter>,
    #[serde(default)]
    pub actions: Vec<AllowedAction>,
}

/// One event in the history of a stuck order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseEntry {
    pub event_id: EventId,
    pub event_type: String,
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub time: Timestamp,
    /// The event as JSON, without personal data; cut where it is very long.
    pub data: String,
    /// Milliseconds since the event before it; 0 for the first.
    #[serde(default)]
    pub since_previous_ms: i64,
}

/// An answer that is owed to an order, and by whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpectedAnswer {
    pub event_id: EventId,
    pub event_type: String,
    pub consumer: String,
    pub waiting_for: Vec<String>,
    pub since: Timestamp,
    /// When the answer is due, all that excuses a delay counted in.
    pub due: Timestamp,
    /// Whether nothing excuses that it is not there.
    pub overdue: bool,
}

/// The money of a stuck order, in minor units of its currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoneyAtStake {
    /// ISO 4217 code; empty if it is not known.
    pub currency: String,
    pub total: i64,
    pub authorized: i64,
    pub captured: i64,
    pub refunded: i64,
    pub voided: i64,
    /// What is still held and not taken.
    pub held: i64,
    pub held_until: Option<Timestamp>,
}

/// Units that are held for a stuck order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockAtStake {
    pub sku: String,
    pub warehouse: String,
    pub quantity: i64,
}

/// Something that must be taken back if the order does not go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenCompensation {
    pub event_id: EventId,
    pub event_type: String,
    /// `stock`, `money` or `goods`.
    pub holds: String,
    pub taken_back_by: Vec<String>,
    pub consumer: String,
    /// Whether the order is being undone already.
    pub begun: bool,
}

/// An event of a stuck order that waits for a retry in a consumer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParkedEvent {
    pub consumer: String,
    pub event_type: String,
    pub attempts: i64,
    pub next_at: Timestamp,
    pub error: String,
}

/// An event of a stuck order that a consumer could not decide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenDeadLetter {
    pub letter_id: EventId,
    pub consumer: String,
    /// Type of the event; empty if it is not known.
    pub event_type: String,
    pub error_class: String,
    pub error_message: String,
    pub died_at: Timestamp,
}

/// Something that a person may do for a stuck order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllowedAction {
    /// `wait`, `cancel`, `retry_dead_letter`, `skip_dead_letter`, `retry_payment`, `decide_review`; later versions may add some.
    pub action: String,
    /// What to type, or which route to call.
    pub how: String,
}
