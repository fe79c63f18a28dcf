//! `quadrille migrate`: the only one that runs migrations.

use std::process::ExitCode;

use runtime::settings::Secret;
use runtime::{Settings, databases, migrations};
use sqlx::migrate::Migrator;

use crate::output;

/// Every consumer's schema, beside the runtime's own in each database.
fn schemas() -> Vec<(&'static str, &'static str, Migrator)> {
    vec![
        ("orders", "orders", orders::migrations()),
        ("inventory", "inventory", inventory::migrations()),
        ("payments", "payments", payments::migrations()),
        ("payments", "sandbox", sandbox_gateway::migrations()),
        ("fraud", "fraud", fraud::migrations()),
        ("fulfillment", "fulfillment", fulfillment::migrations()),
        ("notifications", "notifications", notifications::migrations()),
        ("saga-tracker", "saga_tracker", saga_tracker::migrations()),
    ]
}

/// Brings each schema to this version, in the database of its consumer.
pub async fn migrate(json: bool) -> anyhow::Result<ExitCode> {
    let settings = Settings::from_env()?;
    let mut furnished = Vec::new();
    for (consumer, schema, migrator) in schemas() {
        let url = settings.database_url(consumer)?;
        if !furnished.contains(&url) {
            for (schema, migrator) in migrations::house() {
                report(json, schema, migrations::run(url.expose(), schema, migrator).await?);
            }
            furnished.push(url.clone());
        }
        report(json, schema, migrations::run(url.expose(), schema, migrator).await?);
    }
    databases::check_names(furnished.iter().map(Secret::expose)).await?;
    Ok(ExitCode::SUCCESS)
}

fn report(json: bool, schema: &str, run: usize) {
    output::said(json, &serde_json::json!({"schema": schema, "migrations_run": run}), || match run {
        0 => format!("{schema}: up to date"),
        1 => format!("{schema}: 1 migration run"),
        more => format!("{schema}: {more} migrations run"),
    });
}
