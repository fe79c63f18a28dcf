//! `quadrille migrate`: the only one that runs migrations.

use std::process::ExitCode;

use anyhow::ensure;
use runtime::settings::Secret;
use runtime::{Settings, databases, migrations};

use crate::output;

/// Brings each schema to this version, in the database of its consumer: of all consumers but optional ones, and of those that are named.
pub async fn migrate(with: &[String], json: bool) -> anyhow::Result<ExitCode> {
    let settings = Settings::from_env()?;
    for name in with {
        ensure!(
            pipeline::consumer(name)?.is_optional,
            "expected --with an optional consumer: `{name}` is always migrated"
        );
    }
    let mut furnished = Vec::new();
    for consumer in
        pipeline::consumers().into_iter().filter(|one| !one.is_optional || with.iter().any(|name| name == one.name))
    {
        let url = settings.database_url(consumer.name)?;
        if !furnished.contains(&url) {
            for (schema, migrator) in migrations::house() {
                report(json, schema, migrations::run(url.expose(), schema, migrator).await?);
            }
            furnished.push(url.clone());
        }
        for (schema, migrator) in consumer.schemas {
            report(json, &schema, migrations::run(url.expose(), &schema, migrator).await?);
        }
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
