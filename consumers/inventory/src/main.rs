//! `quadrille-inventory`: the inventory consumer as a process of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    runtime::main("inventory", |host| async move { quadrille_inventory::start(&host).await })
}
