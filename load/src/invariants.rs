//! The books: what must hold over the tables of all consumers whenever the pipeline is quiet.
//!
//! Each is one query across schemas, as an auditor would ask it: consumers never do.

use sqlx::{PgPool, Row};

/// One invariant, and whether it holds.
#[derive(Clone, Debug)]
pub struct Invariant {
    /// What must hold.
    pub name: &'static str,
    /// Whether it does.
    pub holds: bool,
    /// The sums that were compared.
    pub figures: String,
}

/// Queries that answer (breaches, figures); no breach: it holds.
const CHECKS: [(&str, &str); 8] = [
    (
        "no order is lost: every order has ended",
        r#"select count(*) filter (where ended_at is null), format('%s orders, %s ended', count(*), count(ended_at)) from orders."order""#,
    ),
    (
        "stock: every level is the sum of its ledger",
        "select count(*), format('%s levels unexplained', count(*)) from inventory.unexplained",
    ),
    (
        "stock: reserved units are those of open reservations",
        "select abs(levels.reserved - held.reserved)::bigint, format('%s in levels, %s in reservations', levels.reserved, held.reserved)
         from (select coalesce(sum(reserved), 0) as reserved from inventory.stock_level) levels,
              (select coalesce(sum(reserved), 0) as reserved from inventory.reservation) held",
    ),
    (
        "stock: on hand = received and counted − shipped − missing",
        "select abs(level.on_hand - ledger.brought + ledger.gone)::bigint,
                format('%s on hand = %s brought − %s shipped or missing', level.on_hand, ledger.brought, ledger.gone)
         from (select coalesce(sum(on_hand), 0) as on_hand from inventory.stock_level) level,
              (select coalesce(sum(on_hand) filter (where kind in ('received', 'counted', 'found')), 0) as brought,
                      coalesce(-sum(on_hand) filter (where kind in ('committed', 'missing')), 0) as gone from inventory.movement) ledger",
    ),
    (
        "stock: what inventory committed is what fulfillment handed over",
        "select count(*), format('%s orders differ', count(*))
         from inventory.reservation r full join fulfillment.consignment c using (order_id)
         where coalesce(r.committed, 0) <> coalesce(c.units_dispatched, 0)",
    ),
    (
        "money: authorized = captured + voided + released remainder + open",
        r#"select count(*) filter (where p.authorized <> p.captured + p.voided + p.released_remainder
                                      and (o.ended_at is not null or p.authorized < p.captured + p.voided + p.released_remainder)),
                  format('%s authorized = %s captured + %s voided + %s released + %s open', coalesce(sum(p.authorized), 0), coalesce(sum(p.captured), 0),
                         coalesce(sum(p.voided), 0), coalesce(sum(p.released_remainder), 0),
                         coalesce(sum(p.authorized - p.captured - p.voided - p.released_remainder), 0))
           from payments.payment p left join orders."order" o using (order_id)"#,
    ),
    (
        "money: captured − refunded = value of what shipped, for every ended order",
        r#"select count(*) filter (where o.charged is distinct from coalesce(p.captured - p.refunded, 0)),
                  format('%s captured − %s refunded, %s charged', coalesce(sum(p.captured), 0), coalesce(sum(p.refunded), 0), coalesce(sum(o.charged), 0))
           from orders."order" o left join payments.payment p using (order_id) where o.ended_at is not null and o.state <> 'REJECTED'"#,
    ),
    (
        "money: the gateway's own book says the same, and no card was charged twice",
        "select count(*) filter (where book.charges > 1 or book.captured is distinct from p.captured or book.refunded is distinct from p.refunded),
                format('%s orders charged', count(*) filter (where book.captured > 0))
         from (select order_id, count(*) filter (where captured > 0) as charges, sum(captured)::bigint as captured, sum(refunded)::bigint as refunded
               from sandbox.payment group by order_id) book
         join payments.payment p using (order_id) where p.state not in ('CAPTURING', 'REFUNDING')",
    ),
];

/// Asks for all of them.
///
/// # Errors
/// When the database does not answer, or a schema is missing.
pub async fn check(pool: &PgPool) -> anyhow::Result<Vec<Invariant>> {
    let mut invariants = Vec::with_capacity(CHECKS.len());
    for (name, query) in CHECKS {
        let row = sqlx::query(query).fetch_one(pool).await.map_err(|error| anyhow::anyhow!("{name}: {error}"))?;
        let (breaches, figures): (i64, String) = (row.try_get(0)?, row.try_get(1)?);
        invariants.push(Invariant { name, holds: breaches == 0, figures });
    }
    Ok(invariants)
}
