//! Retention: what is forgotten of orders that ended before the horizon, and what else has had its time.

use std::time::Duration;

pub(crate) mod horizon;
pub(crate) mod pruner;

/// What a consumer forgets, as SQL over its own tables: by order, a row at a time of the table that `rows` names, here called `kept`.
#[derive(Clone, Debug)]
pub struct Retention {
    /// The table with one row for each order, with its schema; its key is `order_id`.
    pub rows: &'static str,
    /// A condition on a row: it is the order's guard. One that only remembers what came too early is none.
    pub guards: &'static str,
    /// A condition on a row: nothing more will happen to the order here.
    pub ended: &'static str,
    /// When the row changed last, as an expression.
    pub changed_at: &'static str,
    /// Statements that delete what goes with the orders `$1`, before their rows go.
    pub with: Vec<&'static str>,
    /// What belongs to no order.
    pub others: Vec<Expiring>,
}

impl Default for Retention {
    fn default() -> Self {
        Self { rows: "", guards: "true", ended: "false", changed_at: "now()", with: Vec::new(), others: Vec::new() }
    }
}

/// What belongs to no order, and has its time.
#[derive(Clone, Copy, Debug)]
pub struct Expiring {
    /// Deletes at most `$2` rows that are older than `$1`, and touches or returns as many; repeated while these are all of them.
    pub statement: &'static str,
    /// How old they get; none: as old as orders, by the horizon.
    pub age: Option<Duration>,
}
