//! How every command prints: tables that fit the terminal, plain lines for pipes, JSON for programs; and how it asks before it does much at once.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::process::ExitCode;

use anyhow::bail;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

/// Columns of a terminal that does not say how many it has.
const WIDTH: u16 = 100;

/// A column of a table: its header, and what it shows of a row. Numbers are aligned to the right: their header ends with `#`, which is not shown.
pub type TableColumn<T> = (&'static str, fn(&T) -> String);

/// A table of these rows. On a terminal it has frames and is as wide as that; in a pipe each row is one line, whole, without frames.
pub fn table<T>(rows: &[T], columns: &[TableColumn<T>]) -> Table {
    let terminal = console::Term::stdout();
    let width =
        terminal.features().is_attended().then(|| terminal.size_checked().map_or(WIDTH, |(_, columns)| columns));
    framed(rows, columns, width)
}

fn framed<T>(rows: &[T], columns: &[TableColumn<T>], width: Option<u16>) -> Table {
    let mut table = Table::new();
    match width {
        Some(width) => table
            .load_style(presets::UTF8_FULL_CONDENSED)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(width),
        None => table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled),
    };
    table.set_header(columns.iter().map(|(name, _)| name.trim_end_matches('#')));
    for (column, _) in table.column_iter_mut().zip(columns).filter(|(_, (name, _))| name.ends_with('#')) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.add_rows(rows.iter().map(|row| columns.iter().map(|(_, shown)| shown(row)).collect::<Vec<_>>()));
    table
}

/// Prints rows: as a table, or as JSON, one object a line.
pub fn rows<T: Serialize>(rows: &[T], json: bool, columns: &[TableColumn<T>]) -> anyhow::Result<ExitCode> {
    if json {
        for row in rows {
            println!("{}", serde_json::to_string(row)?);
        }
    } else if rows.is_empty() {
        println!("none");
    } else {
        println!("{}", table(rows, columns));
    }
    Ok(ExitCode::SUCCESS)
}

pub fn said(json: bool, object: &serde_json::Value, text: impl FnOnce() -> String) {
    if json {
        println!("{object}");
    } else {
        println!("{}", text());
    }
}

pub fn bar(total: u64, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template);
    ProgressBar::new(total).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Success if all that was asked for was done and holds.
pub fn code(right: bool) -> ExitCode {
    if right { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Asks on a terminal whether to go on; elsewhere it wants to be told by `--yes`.
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
        let wrong = "expected a whole number, got text; ".repeat(6);
        let table = framed(
            &[("3f2a9c1b", wrong)],
            &[("id", |row| row.0.into()), ("what is wrong", |row| row.1.clone())],
            width,
        );
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
