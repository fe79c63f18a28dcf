//! What the tracker says of an order that needs a person: the whole case in one event.

use serde::{Deserialize, Serialize};

use crate::ids::{EventId, OrderId};
use crate::time::Timestamp;

/// An order needs a person: nobody answered in time although everyone could have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderStuck {
    /// The order; the key of the record.
    pub order_id: OrderId,
    /// How far the order got, in the tracker's words.
    pub status: String,
    /// The event that was not answered.
    pub event_id: EventId,
    /// Type of that event.
    pub event_type: String,
    /// Types of the events any of which would have been an answer.
    pub waiting_for: Vec<String>,
    /// The consumers that should have answered.
    pub consumers: Vec<String>,
    /// When the unanswered event happened.
    pub since: Timestamp,
    /// When the answer was due.
    pub due: Timestamp,
    /// What was expected, what came, and what to do.
    pub detail: String,
    /// All that is known of the order, in order of time.
    pub history: Vec<CaseEntry>,
    /// How often its deadline had been moved before: with the order and the event it names the situation, which is told once.
    #[serde(default)]
    pub round: i64,
    /// Whether it is stuck only because it has been open for longer than any order may be.
    #[serde(default)]
    pub hard_limit: bool,
    /// Type of the latest event of its way that was heard.
    #[serde(default)]
    pub last_heard: String,
    /// The consumer that said it.
    #[serde(default)]
    pub last_heard_from: String,
    /// When it happened.
    #[serde(default)]
    pub last_heard_at: Option<Timestamp>,
    /// All answers that are owed, the one that is due first at the head.
    #[serde(default)]
    pub expected: Vec<ExpectedAnswer>,
    /// Its money; absent if its total is not known.
    #[serde(default)]
    pub money: Option<MoneyAtStake>,
    /// Units that are reserved and neither left the house nor were given back.
    #[serde(default)]
    pub stock: Vec<StockAtStake>,
    /// When the reservation's clock fires, or, once money is held for it, when that hold lapses; absent if no stock is held.
    #[serde(default)]
    pub stock_held_until: Option<Timestamp>,
    /// What is not taken back yet.
    #[serde(default)]
    pub compensations: Vec<OpenCompensation>,
    /// Its events that wait for a retry.
    #[serde(default)]
    pub parked: Vec<ParkedEvent>,
    /// Its dead letters.
    #[serde(default)]
    pub dead_letters: Vec<OpenDeadLetter>,
    /// What a person may do now.
    #[serde(default)]
    pub actions: Vec<AllowedAction>,
}

/// One event in the history of a stuck order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseEntry {
    /// The event's `ce_id`.
    pub event_id: EventId,
    /// The event's `ce_type`.
    pub event_type: String,
    /// Topic it was read from.
    pub topic: String,
    /// Partition it was read from.
    pub partition: i32,
    /// Offset it was read from.
    pub offset: i64,
    /// The event's `ce_time`.
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
    /// The event that is not answered.
    pub event_id: EventId,
    /// Type of that event.
    pub event_type: String,
    /// Who must answer.
    pub consumer: String,
    /// Types of the events any of which is an answer.
    pub waiting_for: Vec<String>,
    /// When the unanswered event happened.
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
    /// What the order would cost in full.
    pub total: i64,
    /// What was held.
    pub authorized: i64,
    /// What was taken.
    pub captured: i64,
    /// What was given back.
    pub refunded: i64,
    /// What was held and let go.
    pub voided: i64,
    /// What is still held and not taken.
    pub held: i64,
    /// When the hold lapses; absent if nothing is held.
    #[serde(default)]
    pub held_until: Option<Timestamp>,
}

/// Units that are held for a stuck order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockAtStake {
    /// What is held.
    pub sku: String,
    /// Where.
    pub warehouse: String,
    /// How many units.
    pub quantity: i64,
}

/// Something that must be taken back if the order does not go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenCompensation {
    /// The event that holds it.
    pub event_id: EventId,
    /// Type of that event.
    pub event_type: String,
    /// `stock`, `money` or `goods`.
    pub holds: String,
    /// Types of the events that take it back.
    pub taken_back_by: Vec<String>,
    /// The consumer that says them.
    pub consumer: String,
    /// Whether the order is being undone already.
    pub begun: bool,
}

/// An event of a stuck order that waits for a retry in a consumer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParkedEvent {
    /// The consumer that parked it.
    pub consumer: String,
    /// Type of that event.
    pub event_type: String,
    /// How often it was tried.
    pub attempts: i64,
    /// When it is tried again.
    pub next_at: Timestamp,
    /// What went wrong.
    pub error: String,
}

/// An event of a stuck order that a consumer could not decide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenDeadLetter {
    /// The dead letter.
    pub letter_id: EventId,
    /// Who could not decide it.
    pub consumer: String,
    /// Type of the event; empty if it is not known.
    pub event_type: String,
    /// The kind of error.
    pub error_class: String,
    /// What was expected, what came, what to do.
    pub error_message: String,
    /// When it died.
    pub died_at: Timestamp,
}

/// Something that a person may do for a stuck order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllowedAction {
    /// `wait`, `cancel`, `retry_dead_letter`, `skip_dead_letter`, `retry_payment`, `decide_review`; later versions may add some.
    pub action: String,
    /// What to type, or which door to knock at.
    pub how: String,
}
