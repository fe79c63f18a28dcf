//! The binary of the consumer `fraud`.

use std::process::ExitCode;

fn main() -> ExitCode {
    runtime::main("fraud", |host| async move { quadrille_fraud::start(&host).await })
}
