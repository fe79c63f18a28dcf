//! `quadrille-inventory`: the inventory consumer as a process of its own.

fn main() -> std::process::ExitCode {
    runtime::main("inventory", |host| async move { quadrille_inventory::start(&host).await })
}
