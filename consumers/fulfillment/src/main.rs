//! Runs fulfillment until it is told to stop.

use std::process::ExitCode;

fn main() -> ExitCode {
    runtime::main(quadrille_fulfillment::NAME, |host| async move { quadrille_fulfillment::start(&host).await })
}
