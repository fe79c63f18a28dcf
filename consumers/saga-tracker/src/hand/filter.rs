//! Which dead letters: what lists, groups and what is done with many of them go by.

use events::{OrderId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::hand::Act;
use crate::letter::{Kind, LetterStatus};

/// Which dead letters; what is not set says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Filter {
    /// An event that a consumer could not decide, or an order that is stuck.
    pub kind: Option<Kind>,
    /// Who could not decide it; of an order, who should have answered.
    pub consumer: Option<String>,
    /// The kind of error.
    pub class: Option<String>,
    /// Those of equal cause.
    pub fingerprint: Option<String>,
    /// Those of this order.
    pub order_id: Option<OrderId>,
    /// Type of the event that died, or was not answered: its full name or its last part.
    pub event_type: Option<String>,
    /// Died at this time or later.
    pub from: Option<Timestamp>,
    /// Died before this time.
    pub until: Option<Timestamp>,
    /// Where they stand.
    pub status: Option<LetterStatus>,
}

impl Filter {
    /// Those that a person can still do something about, unless another status was asked for.
    #[must_use]
    pub fn or_open(self) -> Self {
        Self { status: self.status.or(Some(LetterStatus::Open)), ..self }
    }

    /// Those with which this can be done, unless another kind was asked for: an order that is stuck has no record that could be decided again.
    #[must_use]
    pub fn for_act(self, act: &Act) -> Self {
        let kind = match act {
            Act::Retry | Act::Edit(_) | Act::Skip => Some(Kind::Event),
            Act::Compensate => None,
        };
        Self { kind: self.kind.or(kind), ..self.or_open() }
    }
}
