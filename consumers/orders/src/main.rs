//! The consumer `orders` as a process of its own.

fn main() -> std::process::ExitCode {
    runtime::main(quadrille_orders::NAME, |host| async move { quadrille_orders::start(&host).await })
}
