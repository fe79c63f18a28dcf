//! The daily comparison with a provider: its result is a row, of which the tracker's audit makes an invariant (`provider`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use events::Timestamp;
use gateway::Gateway;
use runtime::sql::{JsonText, Timestamptz};
use runtime::{Clock, Consumer as _, Failure, Span};
use serde_json::json;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::compare::{LedgerDifference, Reconciliation};
use super::reconcile;
use crate::settings::{Payments, PaymentsSettings};

/// How often in its interval a comparison is tried that could not be made, or whose turn has come.
const LOOKS: u32 = 24;
/// Orders that a result names at most, as many as an audit does.
const NAMED: usize = 200;

/// Compares once in each interval, by whichever instance comes first, until told to stop.
pub(crate) async fn compare_daily(
    pool: PgPool,
    gateway: Arc<dyn Gateway>,
    settings: PaymentsSettings,
    clock: Clock,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let PaymentsSettings { reconcile_every: Span(every), reconcile_window: Span(window), .. } = settings;
    let name = gateway.name();
    while !every.is_zero() {
        let next = clock.now().plus(every / LOOKS);
        if shutdown.run_until_cancelled(clock.sleep_until(next)).await.is_none() {
            break;
        }
        let run = run(&pool, &*gateway, (every, window), &clock);
        if let Some(Err(why)) = shutdown.run_until_cancelled(run).await {
            metrics::counter!("quadrille_reconciliation_failures_total", "gateway" => name).increment(1);
            tracing::warn!(
                consumer = Payments::NAME,
                gateway = name,
                why,
                "our payments were not compared with the provider's books: tried again later"
            );
        }
    }
    Ok(())
}

async fn run(
    pool: &PgPool,
    gateway: &dyn Gateway,
    (every, window): (Duration, Duration),
    clock: &Clock,
) -> Result<(), String> {
    let (name, now) = (gateway.name(), clock.now());
    if !claim(pool, name, every, now).await.map_err(|failure| failure.to_string())? {
        return Ok(());
    }
    let done = reconcile(pool, gateway, now.minus(window), clock).await.map_err(|error| error.to_string())?;
    let Reconciliation { equal, moving, foreign, ref differences, .. } = done;
    metrics::gauge!("quadrille_reconciliation_differences", "gateway" => name).set(differences.len() as f64);
    tracing::info!(
        consumer = Payments::NAME,
        gateway = name,
        equal,
        moving,
        foreign,
        differences = differences.len(),
        "our payments were compared with the provider's books"
    );
    let figures = format!("orders: {equal} equal, {moving} moving; foreign payments: {foreign}");
    record(pool, name, &by_order(differences), &figures).await.map_err(|failure| failure.to_string())
}

/// What differs of each order, in one line.
fn by_order(differences: &[LedgerDifference]) -> BTreeMap<String, String> {
    let mut lines: BTreeMap<String, String> = BTreeMap::new();
    for LedgerDifference { kind, order_id, payment_id, here, there } in differences {
        let line = lines.entry(order_id.to_string()).or_default();
        let separator = if line.is_empty() { "" } else { "; " };
        line.push_str(&format!("{separator}{} {payment_id}: here {here}, there {there}", kind.as_str()));
    }
    lines
}

/// Whether it is our turn: nobody began in this interval. While none succeeds, it is tried more often. Until it has succeeded it counts as unanswered.
async fn claim(pool: &PgPool, gateway: &str, every: Duration, now: Timestamp) -> Result<bool, Failure> {
    let statement = "insert into payments.reconciliation (gateway, asked_at, unanswered_since) values ($1, $2, $2)
        on conflict (gateway) do update set asked_at = $2, unanswered_since = coalesce(reconciliation.unanswered_since, $2)
         where reconciliation.asked_at <= $3 or reconciliation.unanswered_since is not null and reconciliation.asked_at <= $4";
    let query = sqlx::query(statement).bind(gateway).bind(Timestamptz(now));
    let query = query.bind(Timestamptz(now.minus(every))).bind(Timestamptz(now.minus(every / LOOKS)));
    Ok(query.execute(pool).await?.rows_affected() == 1)
}

async fn record(pool: &PgPool, gateway: &str, lines: &BTreeMap<String, String>, figures: &str) -> Result<(), Failure> {
    let named: Vec<_> =
        lines.iter().take(NAMED).map(|(order, detail)| json!({"subject": order, "detail": detail})).collect();
    let statement = "update payments.reconciliation set unanswered_since = null, differing = $2, figures = $3, lines = $4 where gateway = $1";
    let query = sqlx::query(statement).bind(gateway).bind(lines.len() as i64).bind(figures).bind(JsonText(&named));
    query.execute(pool).await?;
    Ok(())
}
