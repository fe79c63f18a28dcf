//! What the runtime and its consumers speak of: causes, timers, work, and what comes of it. Types that do nothing.

use std::sync::Arc;

use events::{OrderId, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::failure::Failure;

/// The thread by which everything that happens to one order is found again; a consumer keeps it with its row, for what no event causes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceContext {
    /// The correlation id: one for an order's whole life.
    pub correlation_id: Arc<str>,
    /// The W3C trace context of the event that began it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<Arc<str>>,
    /// The event by which the order last went on here: the causation of what a timer, an answer or a request brings, none of which is in a topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Uuid>,
}

/// Why something is decided: the event, timer, answer or request that comes in.
#[derive(Clone, Debug)]
pub struct Cause {
    /// Its id; ids of what is said because of it are derived from it, so that the same reaction run twice says the same under the same id.
    pub id: Uuid,
    /// The thread it belongs to, where it says so (an event does; a timer or a request does not).
    pub thread: Option<TraceContext>,
    /// Where it came from.
    pub origin: Origin,
}

/// Where a cause came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A record of a topic.
    Topic,
    /// A timer that is due.
    Timer(Timer),
    /// The answer to a call of ours, or a request through a door.
    Request,
}

/// A timer: at `due`, look at this order again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Timer {
    /// Whose order.
    pub order_id: OrderId,
    /// What for, as the consumer names it.
    pub kind: String,
    /// Which of several; else empty.
    pub discriminator: String,
    /// When.
    pub due: Timestamp,
}

impl Timer {
    pub(crate) fn key(&self) -> (OrderId, String, String) {
        (self.order_id, self.kind.clone(), self.discriminator.clone())
    }
}

/// One thing to decide, with why.
#[derive(Clone, Debug)]
pub struct Work<I> {
    /// Why.
    pub cause: Cause,
    /// What.
    pub input: I,
}

/// A contradiction: what came in can't be true by the protocol. It becomes a dead letter, or, through a door, the caller's error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("conflict: {0}")]
pub struct Conflict(pub String);

impl Cause {
    /// The cause of a request through a door of `consumer`; `key` is what makes it the same request when it comes again.
    pub fn request(consumer: &str, key: &str) -> Self {
        Self { id: events::derive_id("door", "cause", consumer, key), thread: None, origin: Origin::Request }
    }

    /// The cause of the answer to a call of ours, by the attempt's key.
    pub fn answer(attempt_key: &str) -> Self {
        Self { id: events::derive_id("answer", "cause", attempt_key, ""), thread: None, origin: Origin::Request }
    }

    /// The cause of a due timer: order, name and due time.
    pub fn timer(timer: &Timer) -> Self {
        let name = format!("{}/{}", timer.kind, timer.discriminator);
        let id = events::derive_id(timer.order_id, "cause", &name, &timer.due.as_millis().to_string());
        Self { id, thread: None, origin: Origin::Timer(timer.clone()) }
    }

    /// The cause that a record is, by its CloudEvents id.
    pub fn topic(id: Uuid, thread: TraceContext) -> Self {
        Self { id, thread: Some(thread), origin: Origin::Topic }
    }
}

/// What a route's caller gets once its request is committed.
#[derive(Clone, Debug)]
pub struct Committed<R> {
    /// The decision's answer.
    pub reply: R,
    /// The last position that the decision said something at; a read model that has seen it has seen this write. None when it said nothing.
    pub position: Option<i64>,
}

/// Why a batch was given up.
#[derive(Debug, thiserror::Error)]
pub enum Abandoned {
    /// The process is stopping; nothing of the batch was written and it will be read again.
    #[error("stopping")]
    Stopping,
    /// No repetition helps.
    #[error("{consumer} can't go on: {failure}")]
    Stop {
        /// Whose batch.
        consumer: &'static str,
        /// What failed.
        failure: Failure,
    },
}

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// It contradicts the order's state.
    #[error("{0}")]
    Conflict(String),
    /// It can't be decided: a rule fails on it, or the database refuses what was decided. Nothing was written.
    #[error("{0}")]
    Broken(String),
    /// The consumer is stopping, or can't reach its database; nothing was written, or the answer was lost: ask again under the same key.
    #[error("{0}")]
    Unavailable(String),
}

/// Why something died.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorInfo {
    /// At which stage: `decode`, `decide`, `save` or `call`.
    pub stage: &'static str,
    /// The kind of error, short and stable.
    pub class: String,
    /// What was expected, what came.
    pub message: String,
    /// Whose order, where it is known and no record says so.
    pub order_id: Option<OrderId>,
    /// The letter, where a decision laid the case before a person; else it is reckoned from what died where.
    pub escalation: Option<Escalation>,
}

/// A case that a decision laid before a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Escalation {
    /// The letter's id.
    pub letter_id: Uuid,
    /// How often it was tried.
    pub attempts: i32,
    /// Since when.
    pub since: Timestamp,
}
