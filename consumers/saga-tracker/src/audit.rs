//! The audit: now and then the tracker asks the books whether the invariants hold. Each breach is a line in a table, an error in the log, a figure.
//!
//! A run costs what its settings say, however much there is: it looks at the newest orders, at a page of older ones (so that in time it has walked
//! over all of them, and begins anew), at the orders of open breaches, and at the stock as a whole; each question has a limit of time. It reads
//! under one snapshot, read only: a replica will do.

use std::collections::BTreeMap;
use std::time::Duration;

use audit::{AuditScope, CheckOutcome, Databases, Finding, Window};
use events::{OrderId, Timestamp};
use runtime::settings::{ConsumerSettings, Secret};
use runtime::{Clock, Host, Settings, Span};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::alerts;
use crate::store::{self, CheckFindings};
use crate::tracker::{NAME, SagaTracker};

/// Breaches that one answer names, at most: of more it is not known which are healed.
const NAMED: i64 = 200;

/// What can be set of the audit.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub(crate) struct AuditSettings {
    /// How often the books are looked at; 0s: never.
    audit_every: Span,
    /// How many of the newest orders, and of older ones, a run looks at.
    audit_orders: i64,
    /// How long one question may take.
    audit_timeout: Span,
    /// Outbox rows that a run looks for in the topics: the newest ones, at most; 0: none.
    audit_outbox_rows: i64,
    /// A replica of the common database to read from.
    #[serde(serialize_with = "runtime::settings::hidden")]
    #[schema(inline, default)]
    audit_database_url: Option<Secret>,
}

impl Default for AuditSettings {
    fn default() -> Self {
        Self {
            audit_every: Span::secs(300),
            audit_orders: 100_000,
            audit_timeout: Span::secs(60),
            audit_outbox_rows: 20_000,
            audit_database_url: None,
        }
    }
}

/// Rows of the outbox are looked for when they are as old as this, or a little older.
const OUTBOX_WINDOW: Duration = Duration::from_secs(60);

pub(crate) fn start(host: &Host) -> anyhow::Result<()> {
    let settings: AuditSettings = host.settings().section(NAME)?;
    if settings.audit_every.0.is_zero() {
        return Ok(());
    }
    let auditor = Auditor {
        databases: Databases::open(host.settings(), settings.audit_database_url.as_ref())?,
        pool: host.pool::<SagaTracker>()?,
        clock: host.clock().clone(),
        all: host.settings().clone(),
        settings,
    };
    let shutdown = host.shutdown().clone();
    host.spawn("audit", async move {
        let every = auditor.settings.audit_every.0;
        let mut next = auditor.clock.now().plus(every);
        while shutdown.run_until_cancelled(auditor.clock.sleep_until(next)).await.is_some() {
            // From the beginning of this run, which takes its time.
            next = auditor.clock.now().plus(every);
            if let Some(Err(error)) = shutdown.run_until_cancelled(auditor.run()).await {
                metrics::counter!("quadrille_audit_failures_total").increment(1);
                tracing::warn!(%error, "the books could not be looked at: they will be the next time");
            }
        }
        Ok(())
    });
    Ok(())
}

struct Auditor {
    databases: Databases,
    pool: PgPool,
    clock: Clock,
    all: Settings,
    settings: AuditSettings,
}

impl Auditor {
    /// The least id of the orders that every consumer still knows: behind the horizon one may have forgotten an order before another does.
    fn oldest(&self, now: Timestamp) -> anyhow::Result<Uuid> {
        let horizon = self.all.keep("orders", &ConsumerSettings::default())?;
        Ok(OrderId::least_at(now.minus(horizon)).as_uuid())
    }

    /// One run, if no other instance has just made it.
    async fn run(&self) -> anyhow::Result<()> {
        let now = self.clock.now();
        // A little less than the interval: clocks of instances and timers are not that exact.
        let every = self.settings.audit_every.0 * 9 / 10;
        let Some(walked) = store::claim_audit(&self.pool, now, every).await? else { return Ok(()) };
        let orders = self.settings.audit_orders;
        let oldest = self.oldest(now)?;
        let walked = walked.max(oldest);
        let (newest, page) = store::pages(&self.pool, walked, orders).await?;
        let scope = |first: Option<Uuid>, last: Option<Uuid>, again: Vec<Uuid>, whole| AuditScope {
            first: first.unwrap_or(Uuid::nil()).max(oldest),
            last: last.unwrap_or(Uuid::max()),
            again,
            quiet: false,
            whole,
            within: self.settings.audit_timeout.0,
        };
        let mut scopes = vec![scope(newest, None, store::open_orders(&self.pool).await?, true)];
        if newest.is_some() {
            scopes.push(scope(Some(walked), page, Vec::new(), false));
        }
        let mut findings = Vec::new();
        for scope in &scopes {
            findings.extend(audit::ask_all(&self.databases, scope).await?);
        }
        if self.settings.audit_outbox_rows > 0 {
            if let Some(pool) = self.databases.orders() {
                findings.push(audit::known(&self.all, pool, &scope(None, None, Vec::new(), false)).await?);
            }
            for database in self.databases.pools().await? {
                let window = Window { since: OUTBOX_WINDOW, rows: self.settings.audit_outbox_rows };
                findings.push(audit::outbox(&self.all, &database, window).await?);
            }
        }
        self.record(&findings, now).await?;
        Ok(store::walked(&self.pool, page.unwrap_or(Uuid::nil())).await?)
    }

    async fn record(&self, findings: &[Finding], now: Timestamp) -> anyhow::Result<()> {
        let mut tx = self.pool.begin().await?;
        for (check, found) in together(findings) {
            metrics::gauge!("quadrille_audit_breaches", "check" => check).set(found.breaches as f64);
            for subject in store::record(&mut tx, check, &found, now).await? {
                let detail = found.lines.get(&subject).map_or("", String::as_str);
                tracing::error!(check, subject, "an invariant is broken: {detail}");
            }
        }
        let open = store::open_breaches(&mut tx, NAMED).await?;
        alerts::keep(&mut tx, alerts::AlertKind::InvariantBreach, &open, now).await?;
        tx.commit().await?;
        metrics::counter!("quadrille_audits_total").increment(1);
        Ok(())
    }
}

/// What was found, by check, over all databases and ranges. A check that was not answered somewhere says nothing of what is healed.
fn together(findings: &[Finding]) -> BTreeMap<&'static str, CheckFindings> {
    let mut all: BTreeMap<&'static str, CheckFindings> = BTreeMap::new();
    for finding in findings {
        let found = all.entry(finding.name).or_insert_with(|| CheckFindings { all: true, ..CheckFindings::default() });
        match &finding.asked {
            CheckOutcome::Answered { breaches, lines, .. } => {
                found.breaches += breaches;
                found.all &= *breaches <= NAMED;
                found.lines.extend(lines.iter().map(|line| (line.subject.clone(), line.detail.clone())));
            }
            CheckOutcome::Unanswered { why } => {
                found.all = false;
                tracing::warn!(check = finding.name, "not audited: {why}");
            }
        }
    }
    all
}
