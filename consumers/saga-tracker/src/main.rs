//! The binary of the consumer `saga-tracker`.

use std::process::ExitCode;

fn main() -> ExitCode {
    runtime::main("saga-tracker", |host| async move { quadrille_saga_tracker::start(&host).await })
}
