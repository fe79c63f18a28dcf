//! The rules: one point for each whole unit of the currency that was captured and not refunded, once the order is completed. Pure.
//!
//! Events of one order come from two topics, in any order, and any of them may come again. Each writes what it knows into the order's row; then the account
//! gets the difference to what it has of this order. So a repeated event changes nothing, and a late one is made up for.

use std::convert::Infallible;
use std::time::Duration;

use events::{Currency, OrderId, Timestamp};
use runtime::Effects;

use crate::row::BatchState;

#[cfg(test)]
mod tests;

/// What loyalty decides about.
#[derive(Clone, Debug)]
pub enum Input {
    /// So much was taken, or given back: each at most once an order.
    Captured(OrderId, i64),
    Refunded(OrderId, i64),
    Completed(OrderId, String, Currency),
    /// The timer: the points can be spent.
    Matured(OrderId),
}

impl Input {
    pub(crate) fn order_id(&self) -> OrderId {
        let (Self::Captured(id, _) | Self::Refunded(id, _) | Self::Completed(id, ..) | Self::Matured(id)) = self;
        *id
    }
}

/// Decides one input.
pub(crate) fn decide(
    world: &mut BatchState,
    input: &Input,
    wait: Duration,
    now: Timestamp,
    effects: &mut Effects<'_, Infallible>,
) {
    let order_id = input.order_id();
    let known = world.orders.get(&order_id).cloned().unwrap_or_default();
    let mut order = known.clone();
    match input {
        Input::Captured(_, amount) => order.captured = *amount,
        Input::Refunded(_, amount) => order.refunded = *amount,
        Input::Completed(_, customer_id, currency) if order.customer.is_none() => {
            order.customer = Some((customer_id.clone(), *currency));
            effects.schedule("matured", order_id, "", now.plus(wait));
        }
        Input::Completed(..) => {}
        Input::Matured(_) => order.is_spendable = order.customer.is_some(),
    }
    if known == order {
        return;
    }
    if let Some((customer_id, currency)) = &order.customer {
        let account = world.accounts.get_or_insert_with(customer_id.clone(), Default::default);
        *(if known.is_spendable { &mut account.spendable } else { &mut account.pending }) -= known.granted;
        order.granted = (order.captured - order.refunded) / 10_i64.pow(currency.exponent());
        *(if order.is_spendable { &mut account.spendable } else { &mut account.pending }) += order.granted;
    }
    world.orders.insert(order_id, order);
}
