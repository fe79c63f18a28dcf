//! The binary of the consumer `fraud`.

fn main() -> std::process::ExitCode {
    runtime::main("fraud", |host| async move { quadrille_fraud::start(&host).await })
}
