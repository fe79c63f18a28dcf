//! The binary of the consumer `notifications`.

use std::process::ExitCode;

fn main() -> ExitCode {
    runtime::main("notifications", |host| async move { quadrille_notifications::start(&host).await })
}
