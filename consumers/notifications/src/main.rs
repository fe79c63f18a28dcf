//! The binary of the consumer `notifications`.

fn main() -> std::process::ExitCode {
    runtime::main("notifications", |host| async move { quadrille_notifications::start(&host).await })
}
