//! The binary of the consumer `loyalty`.

use std::process::ExitCode;

fn main() -> ExitCode {
    runtime::main("loyalty", |host| async move { quadrille_loyalty::start(&host).await })
}
