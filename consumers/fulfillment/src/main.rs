//! Runs fulfillment until it is told to stop.

fn main() -> std::process::ExitCode {
    runtime::main(quadrille_fulfillment::NAME, |host| async move { quadrille_fulfillment::start(&host).await })
}
