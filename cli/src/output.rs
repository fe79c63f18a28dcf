//! How every command prints: tables that fit the terminal, plain lines for pipes, JSON for programs; and how it asks before it does much at once.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::process::ExitCode;

use anyhow::bail;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;

/// Columns of a terminal that does not say how many it has.
const WIDTH: u16 = 100;

/// A table with these columns; those that hold numbers are aligned to the right. On a terminal it has frames and is as wide as that; in a pipe each row
/// is one line, whole, without frames.
pub fn table(header: &[&str], numbers: &[usize]) -> Table {
    let terminal = console::Term::stdout();
    let width =
        terminal.features().is_attended().then(|| terminal.size_checked().map_or(WIDTH, |(_, columns)| columns));
    framed(header, numbers, width)
}

fn framed(header: &[&str], numbers: &[usize], width: Option<u16>) -> Table {
    let mut table = Table::new();
    match width {
        Some(width) => table
            .load_style(presets::UTF8_FULL_CONDENSED)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(width),
        None => table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled),
    };
    table.set_header(header);
    for column in numbers {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// Prints rows: as a table, or as JSON, one object a line.
///
/// # Errors
/// When a row can't be JSON.
pub fn rows<T: Serialize>(rows: &[T], json: bool, table: impl Fn(&[T]) -> Table) -> anyhow::Result<ExitCode> {
    if json {
        for row in rows {
            println!("{}", serde_json::to_string(row)?);
        }
    } else if rows.is_empty() {
        println!("none");
    } else {
        println!("{}", table(rows));
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints one thing: as text, or as a JSON object.
pub fn said(json: bool, object: &serde_json::Value, text: impl FnOnce() -> String) {
    if json {
        println!("{object}");
    } else {
        println!("{}", text());
    }
}

/// Asks on a terminal whether to go on; elsewhere it wants to be told by `--yes`.
///
/// # Errors
/// When the answer is not yes, or there is nobody to ask.
pub fn confirm(what: &str, yes: bool) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        bail!(
            "expected --yes to {what}, as there is no terminal to ask at; --dry-run, where there is one, says what would be done"
        );
    }
    eprint!("About to {what}. Go on? [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    if !["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) {
        bail!("nothing was done");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(width: Option<u16>) -> Vec<String> {
        let mut table = framed(&["id", "what is wrong"], &[], width);
        table.add_row(["3f2a9c1b", &"expected a whole number, got text; ".repeat(6)]);
        table.to_string().lines().map(ToOwned::to_owned).collect()
    }

    #[test]
    fn a_table_is_no_wider_than_the_terminal_and_a_row_is_one_line_in_a_pipe() {
        for width in [40, 80, 200] {
            let lines = shown(Some(width));
            assert!(lines.iter().all(|line| line.chars().count() <= usize::from(width)), "{width}: {lines:#?}");
        }
        let piped = shown(None);
        assert_eq!(piped.len(), 2, "the header and one row: {piped:#?}");
        assert!(!piped.join("").contains(['│', '─', '┌']), "{piped:#?}");
    }

    #[test]
    fn what_does_much_at_once_wants_a_yes() {
        assert!(confirm("retry all", true).is_ok());
        // Tests have no terminal to ask at, or one that nobody answers at: then there is nothing to be seen here.
        if !std::io::stdin().is_terminal() {
            assert!(confirm("retry all", false).unwrap_err().to_string().contains("--yes"));
        }
    }
}
