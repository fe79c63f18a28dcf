//! The books: what must hold over the tables of all consumers whenever the pipeline is quiet.
//!
//! Each is one query across schemas, as an auditor would ask it: consumers never do.

use std::time::{Duration, Instant};

use anyhow::Context;
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
const CHECKS: [(&str, &str); 10] = [
    ("no order is lost: each has ended, or is open for a reason", include_str!("invariants/lost.sql")),
    ("the tracker tells of the same ends", include_str!("invariants/tracker.sql")),
    ("stock: the ledger explains every level", include_str!("invariants/ledger.sql")),
    ("stock: reserved units are those of open orders", include_str!("invariants/reserved.sql")),
    ("stock: in the house = brought in − shipped", include_str!("invariants/conserved.sql")),
    (
        "what was handed over was committed, and told; nothing of what ended otherwise",
        include_str!("invariants/shipped.sql"),
    ),
    ("money: authorized = captured + voided + released remainder + open", include_str!("invariants/authorized.sql")),
    ("money: captured − refunded = charged = value of what shipped", include_str!("invariants/charged.sql")),
    ("money: the gateway's own book says the same", include_str!("invariants/book.sql")),
    ("money: no order is charged twice", include_str!("invariants/once.sql")),
];

/// Asks for all of them, of one moment.
///
/// # Errors
/// When the database does not answer, or a schema is missing.
pub async fn check(pool: &PgPool) -> anyhow::Result<Vec<Invariant>> {
    let mut db = pool.begin_with("begin isolation level repeatable read read only").await.context("the database")?;
    // An audit of millions of orders takes its time.
    sqlx::query("set local statement_timeout = '5min'").execute(&mut *db).await?;
    let mut invariants = Vec::with_capacity(CHECKS.len());
    for (name, query) in CHECKS {
        let row = sqlx::query(query).fetch_one(&mut *db).await.with_context(|| name)?;
        let (breaches, figures): (i64, String) = (row.try_get(0)?, row.try_get(1)?);
        invariants.push(Invariant { name, holds: breaches == 0, figures });
    }
    db.rollback().await?;
    Ok(invariants)
}

/// Asks again and again until all hold, for at most so long: what the last events bring about may still be on its way.
///
/// # Errors
/// As [`check`].
pub async fn settled(pool: &PgPool, patience: Duration) -> anyhow::Result<Vec<Invariant>> {
    let began = Instant::now();
    loop {
        let invariants = check(pool).await?;
        if invariants.iter().all(|invariant| invariant.holds) || began.elapsed() > patience {
            return Ok(invariants);
        }
        tokio::time::sleep(Duration::from_millis(100)).await; // between two looks
    }
}

/// Dead letters of all consumers, the oldest first, each with who could not go on and why.
///
/// # Errors
/// When the database does not answer, or a schema is missing.
pub async fn dead_letters(pool: &PgPool) -> anyhow::Result<Vec<String>> {
    Ok(sqlx::query_scalar(include_str!("invariants/dead_letters.sql")).fetch_all(pool).await?)
}
