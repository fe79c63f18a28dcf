//! What payments forgets behind the horizon.

use runtime::{Expiring, Retention};

/// Payments that have ended, or that were taken: payments does not hear when their orders end, so it keeps them far longer than the horizon. With them
/// goes what the gateway keeps of them in this database, by its own statements. And what a gateway told of refunds that nobody here asked for.
pub(crate) fn retention(gateway: &[&'static str]) -> Retention {
    let mut with = vec!["delete from payments.refund where order_id = any($1)"];
    with.extend(gateway);
    Retention {
        rows: "payments.payment",
        guards: "state <> 'NEW'",
        ended: "state in ('NEW', 'CAPTURED', 'DECLINED', 'VOIDED', 'REFUNDED') and not stuck",
        changed_at: "updated_at",
        with,
        others: vec![Expiring {
            statement: "delete from payments.refund as gone
          using (select refund_id from payments.refund where order_id is null and updated_at < $1 limit $2 for update skip locked) as old
          where gone.refund_id = old.refund_id",
            age: None,
        }],
    }
}
