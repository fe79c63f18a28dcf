//! The binary of the outbox relay.

use std::process::ExitCode;

fn main() -> ExitCode {
    runtime::main(quadrille_outbox_relay::NAME, |host| async move { quadrille_outbox_relay::start(&host).await })
}
