//! `quadrille keys new`: a key for somebody who calls the routes of programs.

use std::process::ExitCode;

use clap::Subcommand;
use runtime::http::{Key, Role};
use serde_json::json;

#[derive(Subcommand)]
pub enum Command {
    /// Make a key: the key itself, for whoever will show it, and its line, for the setting `keys` of every program.
    ///
    /// The line holds the key's digest, never the key. Lines go into QUADRILLE_KEYS, with `;` between them, or into the file that
    /// QUADRILLE_KEYS_FILE names.
    New {
        /// Whose it is: the name that what is done with it is put on record under.
        name: String,
        /// viewer, shop, warehouse, operator or admin; docs/security.md says what each may do.
        #[arg(long)]
        role: Role,
        /// Of a shop: the source of its orders, if that is not the key's name.
        #[arg(long, conflicts_with = "warehouse")]
        source: Option<String>,
        /// Of a warehouse: which one.
        #[arg(long)]
        warehouse: Option<String>,
    },
}

pub fn run(command: Command, json: bool) -> anyhow::Result<ExitCode> {
    let Command::New { name, role, source, warehouse } = command;
    let (secret, line) = Key::mint(&name, role, source.or(warehouse).as_deref())?;
    if json {
        println!("{}", json!({"name": name, "key": secret, "line": line}));
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("The key, which is shown only now. It goes to {name}, to be shown in X-Api-Key:");
    eprintln!("{secret}");
    eprintln!("Its line, for QUADRILLE_KEYS or the file that QUADRILLE_KEYS_FILE names:");
    println!("{line}");
    Ok(ExitCode::SUCCESS)
}
