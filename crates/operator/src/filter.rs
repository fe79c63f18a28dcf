//! Which dead letters: what lists, groups and what is done with many of them go by.

use events::{OrderId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::kind::{LetterKind, LetterStatus};
use crate::plan::{Act, Note};

/// Which dead letters; what is not set says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Filter {
    pub kind: Option<LetterKind>,
    /// Who could not decide it; of an order, who should have answered.
    pub consumer: Option<String>,
    pub class: Option<String>,
    pub fingerprint: Option<String>,
    pub order_id: Option<OrderId>,
    /// Type of the event that died, or was not answered: its full name or its last part.
    pub event_type: Option<String>,
    pub from: Option<Timestamp>,
    pub until: Option<Timestamp>,
    pub status: Option<LetterStatus>,
}

impl Filter {
    /// Those with which this can be done: they are open, and events unless their orders are to be compensated; unless it was asked for others.
    #[must_use]
    pub fn fit_for(self, act: &Act) -> Self {
        let kind = match act {
            Act::Retry | Act::Edit(_) | Act::Skip => self.kind.or(Some(LetterKind::Event)),
            Act::Compensate => self.kind,
        };
        Self { kind, ..self }.or_open()
    }

    /// Those that a person can still do something about, unless another status was asked for.
    #[must_use]
    pub fn or_open(self) -> Self {
        Self { status: self.status.or(Some(LetterStatus::Open)), ..self }
    }
}

#[derive(Clone, Debug)]
pub struct Bulk {
    pub act: Act,
    pub filter: Filter,
    pub note: Note,
    /// Dead letters a second at most; none: as fast as it goes.
    pub rate: Option<f64>,
    /// How often a record may have gone round to be given back once more.
    pub max_loops: i32,
    pub dry_run: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stuck_orders_are_neither_retried_nor_skipped_with_all_of_a_filter_unless_they_are_asked_for() {
        for act in [Act::Retry, Act::Skip] {
            let fit = Filter::default().fit_for(&act);
            assert_eq!((fit.kind, fit.status), (Some(LetterKind::Event), Some(LetterStatus::Open)));
        }
        assert_eq!(Filter::default().fit_for(&Act::Compensate).kind, None);
        let asked =
            Filter { kind: Some(LetterKind::Order), status: Some(LetterStatus::DiedAgain), ..Filter::default() };
        assert_eq!(asked.clone().fit_for(&Act::Retry), asked);
    }
}
