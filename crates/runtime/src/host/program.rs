//! The whole of a program: from its settings to its exit code.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use super::Host;
use crate::clock::Clock;
use crate::failure::told;
use crate::settings::Settings;
use crate::telemetry;

/// The whole of a binary's `main`: settings from file and environment, logs, metrics and traces, then `start` and run until told to stop.
pub fn main<F: Future<Output = anyhow::Result<()>>>(
    name: &'static str,
    start: impl FnOnce(Arc<Host>) -> F,
) -> ExitCode {
    telemetry::log();
    match run(name, start) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let error = told(&error);
            tracing::error!(consumer = name, "{error}");
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run<F: Future<Output = anyhow::Result<()>>>(
    name: &'static str,
    start: impl FnOnce(Arc<Host>) -> F,
) -> anyhow::Result<()> {
    let settings = Settings::from_env()?;
    if let Some(endpoint) = &settings.common().otlp_endpoint {
        // What the exporter says would repeat the address, which may hold a password.
        telemetry::export(endpoint, &format!("quadrille-{name}")).map_err(|_| {
            anyhow::anyhow!("OTEL_EXPORTER_OTLP_ENDPOINT: expected an address such as http://127.0.0.1:4318, got one that can't be read")
        })?;
    }
    let workers = settings.common().worker_threads.max(1);
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()?;
    let result = tokio.block_on(async {
        let host = Arc::new(Host::new(settings, Clock::default()));
        match start(Arc::clone(&host)).await {
            Ok(()) => host.run().await,
            Err(error) => {
                let _ = host.stop().await; // the first error is the one that counts
                Err(error)
            }
        }
    });
    tokio.shutdown_timeout(Duration::from_secs(1));
    result
}
