//! Attempts: each a call to the gateway that is written down before it is made.

use std::collections::BTreeMap;

use events::{OrderId, Timestamp};
use gateway::Operation;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// By the call itself: under the same key it is done once.
    Make,
    /// By a look-up, which does nothing.
    LookUp,
}

/// How an attempt stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The gateway was asked; its answer is not recorded yet.
    Open,
    /// It failed; the next attempt is made when its timer fires.
    Waiting,
    /// A bank, or the customer, must go on: it is looked up now and then.
    Pending,
    /// Its answer is recorded.
    Done,
    /// Nobody knows its outcome after the last try: a person must look. A late answer still counts.
    Unanswered,
    /// The provider's amount or currency is not the order's: a person must look.
    Disputed,
    /// It failed and no further attempt is made by itself: a person must look.
    Failed,
}

impl Phase {
    pub fn is_stuck(self) -> bool {
        matches!(self, Self::Unanswered | Self::Disputed | Self::Failed)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallAttempt {
    pub operation: Operation,
    /// Which attempt at it, from 1; it grows only after a definite failure.
    pub number: u32,
    pub amount: i64,
    pub since: Timestamp,
    pub tries: u32,
    /// When it is looked at again, while it is open, waiting or pending. A timer that fires for an earlier time was armed anew since.
    pub due: Timestamp,
    pub phase: Phase,
    /// Whether the provider failed on its own side under this key, and will repeat that.
    #[serde(default)]
    pub errored: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retried_by: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub parked: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub letter_id: Option<Uuid>,
}

/// The idempotency key of an attempt: the same for each of its tries.
pub fn key(order_id: OrderId, operation: Operation, number: u32) -> String {
    format!("order:{order_id}:{operation}:{number}")
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made(BTreeMap<Operation, u32>);

impl Made {
    pub fn of(&self, operation: Operation) -> u32 {
        self.0.get(&operation).copied().unwrap_or_default()
    }

    pub(crate) fn at(&mut self, operation: Operation) -> &mut u32 {
        self.0.entry(operation).or_default()
    }
}
