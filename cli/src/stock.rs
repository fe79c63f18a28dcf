//! `quadrille stock load FILE.csv`: levels from a file, through inventory's own door.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Subcommand;
use runtime::Settings;
use serde::{Deserialize, Serialize};

use crate::{consumer, output};

/// Rows that are sent at once: each part is taken whole, or not at all.
const PART: usize = 5_000;

#[derive(Subcommand)]
pub enum Command {
    /// Set the levels in a CSV file: columns sku, warehouse, on_hand, and optionally aisle, bin and priority (of the warehouse).
    ///
    /// The levels are those of a count: all units in the building. A file that was loaded before changes nothing, since units may have left: it
    /// says so. Count anew, or say --again, which brings units back that were sold since.
    Load {
        /// The file; its first line names the columns.
        file: PathBuf,
        /// Set the levels although the same file was loaded before.
        #[arg(long)]
        again: bool,
        /// Inventory's address, such as http://127.0.0.1:8081; default: from the settings.
        #[arg(long)]
        inventory: Option<String>,
    },
}

#[derive(Debug, Deserialize, Serialize)]
struct StockRow {
    sku: String,
    warehouse: String,
    on_hand: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    aisle: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bin: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    priority: Option<i64>,
}

#[derive(Debug, Deserialize)]
struct LoadedStock {
    changed: usize,
    loaded_before: Option<String>,
}

pub async fn run(command: Command, json: bool) -> anyhow::Result<ExitCode> {
    let Command::Load { file, inventory, again } = command;
    let rows = read(&file)?;
    let settings = Settings::from_env()?;
    let url = consumer::url(&settings, "inventory", inventory.as_deref())?;
    let http = runtime::http::client(settings.common())?.build()?;
    let load = again.then(|| runtime::Clock::default().mint());
    let (mut changed, mut before) = (0, None);
    for (part, rows) in rows.chunks(PART).enumerate() {
        let mut request = http.post(format!("{url}/stock/load")).json(rows);
        if let Some(load) = load {
            request = request.header("Idempotency-Key", format!("{load}/{part}"));
        }
        let response = request.send().await;
        let response =
            response.with_context(|| format!("inventory does not answer at {url}: start it, or say --inventory"))?;
        let status = response.status();
        if !status.is_success() {
            let body = response.text().await.unwrap_or_default();
            bail!("rows from line {} on are refused, those before are loaded: {status}: {body}", part * PART + 2);
        }
        let loaded: LoadedStock = response.json().await.context("inventory's answer can't be read")?;
        changed += loaded.changed;
        before = loaded.loaded_before.or(before);
    }
    let object = serde_json::json!({
        "levels": rows.len(), "changed": changed, "file": file.display().to_string(), "loaded_before": before
    });
    output::said(json, &object, || {
        let done = format!("{changed} of {} levels changed by {}", rows.len(), file.display());
        match &before {
            None => done,
            Some(before) => format!(
                "{done}\nit was loaded before, at {before}, so what was loaded then stays as it is: units may have been sold since. \
                 Count anew, or load it with --again, which sets the levels to what the file says"
            ),
        }
    });
    Ok(ExitCode::SUCCESS)
}

fn read(file: &Path) -> anyhow::Result<Vec<StockRow>> {
    let shown = file.display();
    let mut reader =
        csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(file).with_context(|| shown.to_string())?;
    let rows: Result<Vec<StockRow>, csv::Error> = reader.deserialize().collect();
    rows.with_context(|| {
        format!("{shown}: expected the columns sku, warehouse, on_hand and optionally aisle, bin, priority")
    })
}
