//! The binary of the consumer `payments`.

fn main() -> std::process::ExitCode {
    runtime::main("payments", |host| async move { quadrille_payments::start(&host).await })
}
