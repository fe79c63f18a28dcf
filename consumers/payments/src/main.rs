//! The binary of the consumer `payments`.

use std::process::ExitCode;

fn main() -> ExitCode {
    runtime::main("payments", |host| async move { quadrille_payments::start(&host).await })
}
