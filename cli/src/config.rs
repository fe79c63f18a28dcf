//! `quadrille config …`: what is set, whether it fits, and what can be set.

use std::process::ExitCode;

use clap::Subcommand;
use pipeline::sections;
use runtime::Settings;
use runtime::settings::{Section, SettingRow, SettingsError, reference};

use crate::output::{self, TableColumn};

#[derive(Subcommand)]
pub enum Command {
    /// Show every setting with its value and where it is from: default, file, or variable. Secrets are masked.
    Show {
        /// Only those that are set.
        #[arg(long)]
        set: bool,
    },
    /// Check the settings of all parts as their start would, and start nothing. Exits with 1 if something is wrong.
    Check,
    /// Print the page that lists all settings, docs/configuration.md.
    Reference,
}

/// The parts whose settings docs/configuration.md lists: optional consumers have their own documents.
fn documented() -> Vec<Section> {
    let optional = pipeline::consumers().into_iter().filter(|consumer| consumer.is_optional);
    let optional: Vec<String> = optional.map(|consumer| (consumer.section)().name).collect();
    sections().into_iter().filter(|section| !optional.contains(&section.name)).collect()
}

/// A command works on all parts: what is unknown in any of them is refused before it begins. Where settings can't be read at all, the command says so if
/// it needs them.
pub fn refuse_unknown() -> Result<(), SettingsError> {
    Settings::from_env().map_or(Ok(()), |settings| settings.refuse_unknown_in(&sections()))
}

pub async fn run(command: Command, json: bool) -> anyhow::Result<ExitCode> {
    match command {
        Command::Show { set } => show(set, json),
        Command::Check => check(json),
        Command::Reference => {
            print!("{}", reference(&documented()));
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn show(set: bool, json: bool) -> anyhow::Result<ExitCode> {
    let settings = Settings::from_env()?;
    settings.refuse_unknown_in(&sections())?;
    let mut rows: Vec<SettingRow> = sections().iter().flat_map(|section| settings.rows(section)).collect();
    rows.retain(|row| !set || row.from != "default");
    if json {
        println!("{:#}", serde_json::json!({ "settings": rows }));
        return Ok(ExitCode::SUCCESS);
    }
    let columns: [TableColumn<SettingRow>; 3] = [
        ("setting", |row| row.setting.clone()),
        ("value", |row| row.value.clone().unwrap_or_else(|| "-".to_owned())),
        ("from", |row| row.from.clone()),
    ];
    println!("{}", output::table(&rows, &columns));
    Ok(ExitCode::SUCCESS)
}

fn check(json: bool) -> anyhow::Result<ExitCode> {
    let problems = Settings::problems(&sections());
    if json {
        println!("{:#}", serde_json::json!({ "problems": problems }));
    } else if problems.is_empty() {
        println!("the settings fit");
    } else {
        for problem in &problems {
            eprintln!("{problem}");
        }
    }
    Ok(output::code(problems.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_is_what_the_settings_say() {
        let written =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md")).unwrap();
        assert!(
            written == reference(&documented()),
            "docs/configuration.md differs from the settings: write it with `quadrille config reference > docs/configuration.md`"
        );
    }

    #[test]
    fn every_setting_says_what_it_is_for() {
        for section in sections() {
            for (path, field) in section.leaves() {
                assert!(field.meaning.len() > 10, "{}: {:?}", path.join("."), field.meaning);
            }
        }
    }
}
