//! What inventory forgets behind the horizon. The ledger is summed up and not lost: it explains every level for ever.

use runtime::{Expiring, Retention};

/// Orders that have ended. The units that left with them, and came back, are counted on. Then old movements, deliveries and loads.
pub(crate) fn retention() -> Retention {
    let others = [FOLD_MOVEMENTS, FORGET_RECEIPTS, FORGET_LOADS];
    Retention {
        rows: "inventory.reservation",
        ended: "state in ('closed', 'rejected')",
        changed_at: "changed_at",
        with: vec![
            "update inventory.forgotten set orders = forgotten.orders + gone.orders, committed = forgotten.committed + gone.committed,
                    returned = forgotten.returned + gone.returned
               from (select count(*) as orders, sum(committed)::bigint as committed, sum(returned)::bigint as returned from inventory.reservation where order_id = any($1)) gone
              where gone.orders > 0",
        ],
        others: others.map(|statement| Expiring { statement, age: None }).to_vec(),
        ..Retention::default()
    }
}

/// Sums the oldest movements up into the opening rows of their levels. They were appended in the order of their ids, which is nearly that of their
/// times: a young one among them stays for a later round.
const FOLD_MOVEMENTS: &str = "with old as materialized (select movement_id, moved_at from inventory.movement order by movement_id limit $2),
              gone as (delete from inventory.movement as moved using old where moved.movement_id = old.movement_id and old.moved_at < $1
                       returning moved.sku, moved.warehouse, moved.kind, moved.on_hand, moved.reserved, moved.missing, moved.moved_at),
              summed as (insert into inventory.opening as kept (sku, warehouse, kind, on_hand, reserved, missing, movements, moved_at)
                         select sku, warehouse, kind, sum(on_hand), sum(reserved), sum(missing), count(*), max(moved_at) from gone
                          group by sku, warehouse, kind order by sku, warehouse, kind
                         on conflict (sku, warehouse, kind) do update
                            set on_hand = kept.on_hand + excluded.on_hand, reserved = kept.reserved + excluded.reserved,
                                missing = kept.missing + excluded.missing, movements = kept.movements + excluded.movements,
                                moved_at = greatest(kept.moved_at, excluded.moved_at))
         select from gone";

/// A delivery that is this old can be booked again under its reference.
const FORGET_RECEIPTS: &str = "delete from inventory.receipt as gone
          using (select reference, sku, warehouse from inventory.receipt where received_at < $1 order by received_at limit $2
                    for update skip locked) as old
          where gone.reference = old.reference and gone.sku = old.sku and gone.warehouse = old.warehouse";

/// A load that is this old can be taken again under its key.
const FORGET_LOADS: &str = "delete from inventory.load as gone
          using (select load_key from inventory.load where loaded_at < $1 order by loaded_at limit $2 for update skip locked) as old
          where gone.load_key = old.load_key";
