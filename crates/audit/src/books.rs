//! The questions to the tables, and how they are asked: all of one database under one snapshot, read only, each with a limit.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use sqlx::{Acquire as _, AssertSqlSafe, PgConnection, PgPool, Postgres, Row as _, Transaction};
use uuid::Uuid;

use crate::AuditError;

/// One question. Its answer is: how many breaches, the figures that were compared, and the first 200 breaches as `{subject, detail}`.
#[derive(Clone, Copy, Debug)]
pub struct Invariant {
    /// Its name, short and stable: what a breach is known by.
    pub name: &'static str,
    pub publishes: &'static str,
    /// The schemas that it reads; they must be in one database.
    pub schemas: &'static [&'static str],
    /// Whether it is asked of orders of a range of ids ($1 to $2, and $3); else of all there is.
    pub by_order: bool,
    /// Whether it may be asked only when no event is on its way.
    pub quiet: bool,
    pub(crate) sql: &'static str,
}

macro_rules! check {
    ($name:literal, $publishes:literal, $schemas:expr, by_order: $by_order:literal, quiet: $quiet:literal) => {
        Invariant {
            name: $name,
            publishes: $publishes,
            schemas: &$schemas,
            by_order: $by_order,
            quiet: $quiet,
            sql: include_str!(concat!("../checks/", $name, ".sql")),
        }
    };
}

pub(crate) const CHECKS: [Invariant; 15] = [
    check!("lost", "no order is lost: each has ended, or is open for a reason", ["orders", "inventory", "payments", "fraud", "fulfillment"], by_order: true, quiet: true),
    check!("tracker", "the tracker tells of the same ends", ["orders", "saga_tracker"], by_order: true, quiet: false),
    check!("ledger", "stock: on hand = received ± counted − shipped; the ledger explains every level", ["inventory"], by_order: false, quiet: false),
    check!("reserved", "stock: reserved units are those of open orders", ["inventory"], by_order: false, quiet: false),
    check!("levels", "stock: available = on hand − reserved, and the tracker knows the levels as they are", ["inventory", "saga_tracker"], by_order: false, quiet: false),
    check!("conserved", "stock: in the house = brought in − shipped", ["inventory"], by_order: false, quiet: false),
    check!("shipped", "what was handed over was committed, and told; nothing of what ended otherwise", ["orders", "inventory", "fulfillment"], by_order: true, quiet: false),
    check!("both", "no order is both given up and shipped", ["orders", "fulfillment"], by_order: true, quiet: false),
    check!("authorized", "money: authorized = captured + voided + released remainder + open", ["payments", "orders"], by_order: true, quiet: false),
    check!("charged", "money: captured − refunded = charged = value of what shipped", ["orders", "payments"], by_order: true, quiet: false),
    check!("book", "money: the gateway's own book says the same", ["sandbox", "payments"], by_order: true, quiet: false),
    check!("refunds", "money: refunds to customers are part of what was captured, each counted once", ["payments"], by_order: true, quiet: false),
    check!("returns", "returns: only what shipped comes back, is in stock again, and was decided by payments", ["fulfillment", "inventory", "payments"], by_order: true, quiet: false),
    check!("once", "money: no order is charged twice", ["sandbox"], by_order: true, quiet: false),
    check!("provider", "money: a provider's own books said the same when they were compared", ["payments"], by_order: false, quiet: false),
];

impl Invariant {
    pub(crate) fn is_within(&self, schemas: &[&str]) -> bool {
        self.schemas.iter().all(|schema| schemas.contains(schema))
    }

    pub(crate) fn parameters(&self) -> usize {
        match (self.by_order, self.sql.contains("$4")) {
            (true, true) => 4,
            (true, false) => 3,
            (false, _) => 0,
        }
    }
}

pub fn checks() -> &'static [Invariant] {
    &CHECKS
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditScope {
    pub first: Uuid,
    pub last: Uuid,
    /// These orders too, wherever they are.
    pub again: Vec<Uuid>,
    /// Whether no event is on its way: then more can be asked.
    pub quiet: bool,
    /// Whether what is not asked order by order is asked too.
    pub whole: bool,
    pub within: Duration,
}

impl AuditScope {
    pub(crate) fn asks(&self, check: &Invariant) -> bool {
        (self.quiet || !check.quiet) && (self.whole || check.by_order)
    }

    pub fn everything(quiet: bool) -> Self {
        let within = Duration::from_secs(300); // an audit of millions of orders takes its time
        Self { first: Uuid::nil(), last: Uuid::max(), again: Vec::new(), quiet, whole: true, within }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreachLine {
    /// What is wrong: an order's id, `SKU/warehouse`, an event's id.
    pub subject: String,
    pub detail: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    pub name: &'static str,
    pub publishes: &'static str,
    pub asked: CheckOutcome,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "answer")]
pub enum CheckOutcome {
    Answered {
        breaches: i64,
        figures: String,
        /// The first 200 of them.
        lines: Vec<BreachLine>,
    },
    Unanswered {
        why: String,
    },
}

impl Finding {
    /// None: it takes too long.
    pub(crate) fn new(check: &Invariant, scope: &AuditScope, answer: Option<CheckRow>) -> Self {
        let asked = match answer {
            Some(CheckRow { breaches, figures, lines }) => CheckOutcome::Answered { breaches, figures, lines },
            None => CheckOutcome::Unanswered { why: format!("it takes longer than {:?}", scope.within) },
        };
        Self { name: check.name, publishes: check.publishes, asked }
    }

    /// How many breaches there are; none as well if it was not answered.
    pub fn breaches(&self) -> i64 {
        match &self.asked {
            CheckOutcome::Answered { breaches, .. } => *breaches,
            CheckOutcome::Unanswered { .. } => 0,
        }
    }

    pub fn lines(&self) -> &[BreachLine] {
        match &self.asked {
            CheckOutcome::Answered { lines, .. } => lines,
            CheckOutcome::Unanswered { .. } => &[],
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct CheckRow {
    pub breaches: i64,
    pub figures: String,
    pub lines: Vec<BreachLine>,
}

/// Asks a database all that can be asked there, of one snapshot. A question whose schemas are not all there is left out, one that takes too long
/// is not answered.
pub async fn ask(pool: &PgPool, scope: &AuditScope) -> Result<Vec<Finding>, AuditError> {
    let there: Vec<String> = sqlx::query_scalar("select nspname::text from pg_namespace").fetch_all(pool).await?;
    ask_those(pool, scope, &there.iter().map(String::as_str).collect::<Vec<_>>()).await
}

/// The same of those questions that read nothing but these schemas.
pub(crate) async fn ask_those(pool: &PgPool, scope: &AuditScope, schemas: &[&str]) -> Result<Vec<Finding>, AuditError> {
    let mut db = snapshot(pool, scope).await?;
    let mut findings = Vec::with_capacity(CHECKS.len());
    for check in CHECKS.iter().filter(|check| scope.asks(check) && check.is_within(schemas)) {
        let answer = answered(&mut db, check, check.sql, scope, &[]).await?;
        findings.push(Finding::new(check, scope, answer));
    }
    db.rollback().await?;
    Ok(findings)
}

/// A transaction that sees one moment, and in which no statement takes longer than one question may.
pub(crate) async fn snapshot(pool: &PgPool, scope: &AuditScope) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    let mut db = pool.begin_with("begin isolation level repeatable read read only").await?;
    let timeout = format!("set local statement_timeout = {}", scope.within.as_millis());
    sqlx::query(AssertSqlSafe(timeout)).execute(&mut *db).await?;
    Ok(db)
}

/// Asks one question, with these texts as further parameters; none: it takes too long. A savepoint: one that fails does not end the others.
pub(crate) async fn answered(
    db: &mut PgConnection,
    check: &Invariant,
    sql: &str,
    scope: &AuditScope,
    given: &[String],
) -> Result<Option<CheckRow>, AuditError> {
    let mut query = sqlx::query(AssertSqlSafe(sql.to_owned()));
    if check.by_order {
        query = query.bind(scope.first).bind(scope.last).bind(&scope.again);
        if check.parameters() > 3 {
            query = query.bind(scope.quiet);
        }
    }
    for text in given {
        query = query.bind(text);
    }
    let mut tried = db.begin().await?;
    let row = match query.fetch_one(&mut *tried).await {
        Ok(row) => Some(row),
        Err(error) if is_timeout(&error) => None,
        Err(error) => return Err(error.into()),
    };
    tried.rollback().await?;
    let Some(row) = row else { return Ok(None) };
    let lines: Option<Json<Vec<BreachLine>>> = row.try_get(2)?;
    let lines = lines.map_or_else(Vec::new, |lines| lines.0);
    Ok(Some(CheckRow { breaches: row.try_get(0)?, figures: row.try_get(1)?, lines }))
}

fn is_timeout(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "57014")
}
