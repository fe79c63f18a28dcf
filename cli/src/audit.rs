//! `quadrille audit`: whether the books hold, asked now.

use std::process::ExitCode;
use std::time::Duration;

use audit::{AuditScope, CheckOutcome, Databases, Finding, Window};
use clap::Args;
use events::{OrderId, Timestamp};
use runtime::settings::ConsumerSettings;
use runtime::{Clock, Settings};
use serde_json::json;

use crate::output;

/// Ask whether every invariant holds: stock, money, orders, the tracker's read models, the outbox against the topics.
///
/// Only reads, under one snapshot of each database; what is on its way is no breach, and of consumers with databases of their own a breach must still
/// be there when it is looked at again. Exits with 1 if something does not hold, or could not be asked.
#[derive(Args)]
pub struct Arguments {
    /// Only orders that were placed at this moment or later, in RFC 3339; all within the horizon unless given.
    #[arg(long)]
    since: Option<Timestamp>,
    /// Nothing is on its way: every open order must wait for somebody, and the tracker have heard all. Breaches may be mere delays if that is not so.
    #[arg(long)]
    quiet: bool,
    /// Outbox rows to look for in the topics, the newest ones; 0: none.
    #[arg(long, default_value_t = 20_000)]
    outbox_rows: i64,
}

pub async fn run(arguments: Arguments, json: bool) -> anyhow::Result<ExitCode> {
    let settings = Settings::from_env()?;
    // Behind the horizon one consumer may have forgotten an order before another does.
    let horizon = settings.keep("orders", &ConsumerSettings::default())?;
    let first = OrderId::least_at(arguments.since.unwrap_or(Clock::default().now().minus(horizon))).as_uuid();
    let scope = AuditScope { first, ..AuditScope::everything(arguments.quiet) };
    let databases = Databases::open(&settings, None)?;
    let mut findings = audit::ask_all(&databases, &scope).await?;
    if arguments.outbox_rows > 0 {
        if let Some(pool) = databases.orders() {
            findings.push(audit::known(&settings, pool, &scope).await?);
        }
        for pool in databases.pools().await? {
            let window = Window { since: Duration::from_secs(60), rows: arguments.outbox_rows };
            findings.push(audit::outbox(&settings, &pool, window).await?);
        }
    }
    let breaches: i64 = findings.iter().map(Finding::breaches).sum();
    let open = findings.iter().any(|finding| matches!(finding.asked, CheckOutcome::Unanswered { .. }));
    if json {
        println!("{:#}", json!({"breaches": breaches, "findings": findings}));
    } else {
        print!("{}", shown(&findings));
    }
    Ok(output::code(breaches == 0 && !open))
}

fn shown(findings: &[Finding]) -> String {
    let table = output::table(
        findings,
        &[
            ("check", |finding| finding.name.to_owned()),
            ("must hold", |finding| finding.publishes.to_owned()),
            ("breaches#", |finding| match &finding.asked {
                CheckOutcome::Answered { breaches, .. } => breaches.to_string(),
                CheckOutcome::Unanswered { .. } => "?".to_owned(),
            }),
            ("compared", |finding| match &finding.asked {
                CheckOutcome::Answered { figures: text, .. } | CheckOutcome::Unanswered { why: text } => text.clone(),
            }),
        ],
    );
    let mut text = format!("{table}\n");
    for finding in findings {
        for line in finding.lines() {
            text.push_str(&format!("BROKEN  {}  {}: {}\n", finding.name, line.subject, line.detail));
        }
    }
    text
}
