//! What the tracker forgets: whole orders, with their history, a long time after they have ended.

use runtime::{Expiring, Retention};

/// Orders that have ended, with all that is known of them. Then dead letters that do not say of which order they are, alerts that are over, and
/// breaches that were healed. What people did stays on record for ever.
pub(crate) fn retention() -> Retention {
    let others = [FORGET_LETTERS, FORGET_ALERTS, FORGET_BREACHES];
    Retention {
        rows: "saga_tracker.\"order\"",
        ended: "outcome is not null",
        changed_at: "changed_at",
        with: vec![
            "delete from saga_tracker.resolution where letter_id in (select letter_id from saga_tracker.letter where order_id = any($1))",
            "delete from saga_tracker.letter where order_id = any($1)",
            "delete from saga_tracker.delayed where order_id = any($1)",
            "delete from saga_tracker.stuck where order_id = any($1)",
            "delete from saga_tracker.deadline_move where order_id = any($1)",
            "delete from saga_tracker.shipment where order_id = any($1)",
            "delete from saga_tracker.refund where order_id = any($1)",
            "delete from saga_tracker.customer_return where order_id = any($1)",
            "delete from saga_tracker.dispute where order_id = any($1)",
            "delete from saga_tracker.event where order_id = any($1)",
        ],
        others: others.map(|statement| Expiring { statement, age: None }).to_vec(),
        ..Retention::default()
    }
}

const FORGET_LETTERS: &str = "with old as (select letter_id from saga_tracker.letter where order_id is null and died_at < $1 order by died_at limit $2
                         for update skip locked),
              told as (delete from saga_tracker.resolution as gone using old where gone.letter_id = old.letter_id)
         delete from saga_tracker.letter as gone using old where gone.letter_id = old.letter_id";

const FORGET_ALERTS: &str = "delete from saga_tracker.alert as gone
          using (select alert_id from saga_tracker.alert where raised_at < $1 and resolved_at < $1 order by raised_at limit $2
                    for update skip locked) as old
          where gone.alert_id = old.alert_id";

const FORGET_BREACHES: &str = "delete from saga_tracker.breach as gone
          using (select \"check\", subject from saga_tracker.breach where healed_at < $1 order by \"check\", subject limit $2
                    for update skip locked) as old
          where gone.\"check\" = old.\"check\" and gone.subject = old.subject";
