//! The books after a run: all that `audit` can ask when the pipeline is quiet.

use std::time::{Duration, Instant};

use anyhow::bail;
use audit::{AuditScope, CheckOutcome};
use sqlx::PgPool;

#[derive(Clone, Debug)]
pub struct InvariantResult {
    pub name: &'static str,
    pub holds: bool,
    /// The sums that were compared, and the first breaches.
    pub figures: String,
}

pub async fn check(pool: &PgPool) -> anyhow::Result<Vec<InvariantResult>> {
    judged(audit::ask(pool, &AuditScope::everything(true)).await?)
}

/// The same of consumers that have databases of their own.
pub async fn check_all(databases: &audit::Databases) -> anyhow::Result<Vec<InvariantResult>> {
    judged(audit::ask_all(databases, &AuditScope::everything(true)).await?)
}

fn judged(findings: Vec<audit::Finding>) -> anyhow::Result<Vec<InvariantResult>> {
    if findings.len() != audit::checks().len() {
        bail!("a question was not asked: expected the schemas of all consumers, run `quadrille migrate` first");
    }
    let invariant = |finding: audit::Finding| {
        let (holds, figures) = match finding.asked {
            CheckOutcome::Answered { breaches, figures, lines } => {
                let some = lines.iter().take(5).map(|line| format!("; {}: {}", line.subject, line.detail));
                (breaches == 0, figures + &some.collect::<String>())
            }
            CheckOutcome::Unanswered { why } => (false, why),
        };
        InvariantResult { name: finding.publishes, holds, figures }
    };
    Ok(findings.into_iter().map(invariant).collect())
}

/// Asks again and again until all hold, for at most so long: what the last events bring about may still be on its way.
pub async fn settled(pool: &PgPool, patience: Duration) -> anyhow::Result<Vec<InvariantResult>> {
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
pub async fn dead_letters(pool: &PgPool) -> anyhow::Result<Vec<String>> {
    Ok(sqlx::query_scalar(include_str!("dead_letters.sql")).fetch_all(pool).await?)
}
