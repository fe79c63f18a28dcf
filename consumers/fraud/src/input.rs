//! What fraud decides about, and what the caller of a route gets.

use events::{OpenError, OrderId, PaymentAuthorized, Person, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::row::State;
use crate::settings::Fraud;
use crate::velocity::{Subject, SubjectKind, subjects};

#[derive(Clone, Debug)]
pub enum Input {
    Authorized(Box<Authorized>),
    Voided(OrderId),
    Ruled {
        order_id: OrderId,
        ruling: Ruling,
        by: String,
        /// What they say to it; stays in fraud's own table.
        note: Option<String>,
    },
    Deadline(OrderId),
}

/// `PaymentAuthorized`, opened and with what is counted: done where the event is read, once, so that rules find it ready.
#[derive(Clone, Debug)]
pub struct Authorized {
    pub(crate) event: PaymentAuthorized,
    pub(crate) person: Person,
    pub(crate) subjects: Vec<(SubjectKind, Subject)>,
}

impl Authorized {
    /// When the order was placed: what velocity rules go by, so that a backlog that is worked off is no burst. Now, where its id does not say it.
    pub(crate) fn placed_at(&self, now: Timestamp) -> Timestamp {
        self.event.order_id.minted_at().map_or(now, |at| at.min(now))
    }
}

/// A person's decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Ruling {
    /// The order may go on.
    Clear,
    /// It may not.
    Reject,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reply {
    #[default]
    Nobody,
    Unknown,
    Done(State),
    /// Nothing to decide any more: the order already stands there, by whom.
    Already(State, Option<String>),
}

impl Input {
    pub fn order_id(&self) -> OrderId {
        match self {
            Self::Authorized(authorized) => authorized.event.order_id,
            Self::Voided(order_id) | Self::Deadline(order_id) | Self::Ruled { order_id, .. } => *order_id,
        }
    }
}

impl Fraud {
    /// Opens an event's personal data and hashes what is counted. Fails when the personal data can't be opened.
    pub fn authorized(&self, event: PaymentAuthorized) -> Result<Input, OpenError> {
        let person = event.personal.open()?;
        let subjects = subjects(self.settings.velocity.key.expose(), &event, &person);
        Ok(Input::Authorized(Box::new(Authorized { event, person, subjects })))
    }
}
