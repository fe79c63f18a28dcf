//! Why a payment is undone, and what is given back.

use events::{Reason, ReasonCode, Timestamp, value};
use runtime::Conflict;

use crate::payment::{Payment, Undoing};

pub(super) fn expiry(expired_at: Timestamp) -> Undoing {
    let detail = format!("the customer had not confirmed the payment when the reservation expired at {expired_at}");
    Undoing { given_up: Vec::new(), reason: Reason { code: ReasonCode::ReservationExpired, detail } }
}

/// What is to be given back for units that will not ship: value(captured) − value(kept), so that no rounding leaks.
pub(super) fn refund_amount(payment: &Payment, undoing: &Undoing) -> Result<i64, Conflict> {
    let Payment { order_id, case, .. } = payment;
    let contradicts = |what: &dyn std::fmt::Display| {
        Conflict(format!("FulfillmentCancelled of order {order_id} contradicts what was confirmed: {what}"))
    };
    let mut kept: Vec<_> =
        case.confirmed.iter().map(|item| (item.allocation_id, &item.line_id, item.quantity)).collect();
    for gone in &undoing.given_up {
        let confirmed = kept.iter_mut().find(|(allocation, line, left)| {
            *allocation == gone.allocation_id && **line == gone.line_id && *left >= gone.quantity
        });
        let Some((_, _, left)) = confirmed.filter(|_| gone.quantity >= 0) else {
            let expected = format!(
                "expected at most the confirmed units of allocation {}, got {}",
                gone.allocation_id, gone.quantity
            );
            return Err(contradicts(&expected));
        };
        *left -= gone.quantity;
    }
    let all = value(&case.lines, case.confirmed.iter().map(|item| (&item.line_id, item.quantity)));
    let rest = value(&case.lines, kept.iter().map(|(_, line, left)| (*line, *left)));
    Ok(all.map_err(|error| contradicts(&error))? - rest.map_err(|error| contradicts(&error))?)
}
