//! `quadrille audit`: whether the books hold, asked now.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use audit::{Asked, Finding, Scope, Window};
use clap::Args;
use comfy_table::{Table, presets};
use events::{OrderId, Timestamp};
use runtime::settings::{ConsumerSettings, Secret};
use runtime::{Clock, Settings, sql};
use serde_json::json;

/// Ask whether every invariant holds: stock, money, orders, the tracker's read models, the outbox against the topics.
///
/// Only reads, under one snapshot of each database; what is on its way is no breach. Exits with 1 if something does not hold, or could not be asked.
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
    /// For programs.
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let settings = crate::config::settings()?;
    // Behind the horizon one consumer may have forgotten an order before another does.
    let horizon = settings.keep("orders", &ConsumerSettings::default())?;
    let first = OrderId::least_at(arguments.since.unwrap_or(Clock::default().now().minus(horizon))).as_uuid();
    let scope = Scope { first, ..Scope::everything(arguments.quiet) };
    let mut findings = Vec::new();
    for url in databases(&settings)? {
        let pool = sql::pool(url.expose(), "quadrille audit", 1).context("DATABASE_URL")?;
        findings.extend(audit::ask(&pool, &scope).await?);
        if arguments.outbox_rows > 0 {
            let window = Window { since: Duration::from_secs(60), rows: arguments.outbox_rows };
            findings.push(audit::outbox(&settings, &pool, window).await?);
        }
    }
    let unasked = unasked(&findings, arguments.quiet);
    let breaches: i64 = findings.iter().map(Finding::breaches).sum();
    let open = findings.iter().any(|finding| matches!(finding.asked, Asked::Unanswered { .. })) || !unasked.is_empty();
    if arguments.json {
        println!("{:#}", json!({"breaches": breaches, "findings": findings, "unasked": unasked}));
    } else {
        print!("{}", shown(&findings, &unasked));
    }
    Ok(if breaches == 0 && !open { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The databases that consumers are set to use.
fn databases(settings: &Settings) -> anyhow::Result<BTreeSet<Secret>> {
    let of = |(consumer, _): (&'static str, Vec<&'static str>)| Ok(settings.database_url(consumer)?);
    crate::run::hears().into_iter().map(of).collect()
}

/// Questions whose schemas are in different databases: no snapshot has them all.
fn unasked(findings: &[Finding], quiet: bool) -> Vec<&'static str> {
    let asked = |name: &str| findings.iter().any(|finding| finding.name == name);
    audit::checks()
        .iter()
        .filter(|check| (quiet || !check.quiet) && !asked(check.name))
        .map(|check| check.name)
        .collect()
}

fn shown(findings: &[Finding], unasked: &[&str]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header(["check", "must hold", "breaches", "compared"]);
    let mut lines = String::new();
    for finding in findings {
        let (breaches, compared) = match &finding.asked {
            Asked::Answered { breaches, figures, .. } => (breaches.to_string(), figures.as_str()),
            Asked::Unanswered { why } => ("?".to_owned(), why.as_str()),
        };
        table.add_row([finding.name, finding.says, &breaches, compared]);
        for line in finding.lines() {
            lines.push_str(&format!("BROKEN  {}  {}: {}\n", finding.name, line.subject, line.detail));
        }
    }
    let unasked: String =
        unasked.iter().map(|name| format!("not asked: {name}, as its schemas are in different databases\n")).collect();
    format!("{table}\n{lines}{unasked}")
}
