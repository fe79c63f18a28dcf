//! `quadrille openapi`: the one document of all routes. `docs/openapi.json` is its output, and every program serves that.

use std::process::ExitCode;

use serde_json::Value;

/// Prints the document.
pub fn run() -> anyhow::Result<ExitCode> {
    print!("{}", text()?);
    Ok(ExitCode::SUCCESS)
}

/// The document, as it is kept in `docs/`.
fn text() -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(&document())? + "\n")
}

/// All programs' documents as one.
fn document() -> Value {
    let programs = [
        ("orders", orders::document()),
        ("inventory", inventory::document()),
        ("payments", payments::document()),
        ("fraud", fraud::document()),
        ("fulfillment", fulfillment::document()),
        ("saga-tracker", saga_tracker::document()),
    ];
    let addressed = programs
        .into_iter()
        .filter_map(|(name, document)| Some((name, format!("http://{}", runtime::default_address(name)?), document)));
    runtime::http::merge(addressed.collect())
}
