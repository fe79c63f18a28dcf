//! The statements of a table, made from its columns.

use std::fmt::Write as _;

use sqlx::TypeInfo as _;
use sqlx::postgres::PgTypeInfo;

/// One column, as a [`TableRow`](crate::rows::TableRow) states it.
#[derive(Debug)]
pub(super) struct Column {
    pub name: &'static str,
    pub kind: ColumnKind,
    /// The type of the array that brings its values; none for a time that the kit sets.
    pub array: Option<PgTypeInfo>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ColumnKind {
    Key,
    Version,
    /// Written with the first version, and never again.
    Fixed,
    /// Written with every version.
    Changing,
    /// As the two before, but not read.
    FixedUnread,
    ChangingUnread,
    /// Times of the first and of the last version.
    CreatedAt,
    ChangedAt,
}

impl ColumnKind {
    pub fn is_read(self) -> bool {
        matches!(self, Self::Key | Self::Version | Self::Fixed | Self::Changing)
    }

    /// Whether an update brings it.
    pub fn is_updated(self) -> bool {
        match self {
            Self::Key | Self::Version | Self::Changing | Self::ChangingUnread | Self::ChangedAt => true,
            Self::Fixed | Self::FixedUnread | Self::CreatedAt => false,
        }
    }
}

fn list<'c>(columns: impl Iterator<Item = &'c Column>) -> String {
    columns.map(|column| column.name).collect::<Vec<_>>().join(", ")
}

/// `select … from table as kept where `.
pub(super) fn select(table: &str, columns: &[Column]) -> String {
    let read = list(columns.iter().filter(|column| column.kind.is_read()));
    format!("select {read} from {table} as kept where ")
}

/// `order by` the key: the order in which rows are locked.
pub(super) fn order(columns: &[Column]) -> String {
    format!(" order by {}", list(columns.iter().filter(|column| column.kind == ColumnKind::Key)))
}

/// `unnest($1::type[], …)` of the columns that bring values.
fn unnest<'c>(columns: impl Iterator<Item = &'c Column>) -> (String, usize) {
    let mut text = String::from("unnest(");
    let mut count = 0;
    for array in columns.filter_map(|column| column.array.as_ref()) {
        count += 1;
        let _ = write!(text, "{}${count}::{}", if count == 1 { "" } else { ", " }, array.name());
    }
    text.push(')');
    (text, count)
}

/// Inserts rows that are new.
pub(super) fn insert(table: &str, columns: &[Column]) -> String {
    let (rows, count) = unnest(columns.iter());
    let is_time = |column: &&Column| column.array.is_none();
    let names: Vec<&str> = columns.iter().filter(|column| !is_time(column)).map(|column| column.name).collect();
    let times: Vec<&str> = columns.iter().filter(is_time).map(|column| column.name).collect();
    let nows = format!(", ${}::timestamptz", count + 1).repeat(times.len());
    let names = [names, times].concat().join(", ");
    format!("insert into {table} ({names}) select new.*{nows} from {rows} as new")
}

/// Updates rows, each at the version before the new one.
pub(super) fn update(table: &str, columns: &[Column]) -> String {
    let brought = || columns.iter().filter(|column| column.kind.is_updated());
    let (rows, count) = unnest(brought());
    let set = brought().filter(|column| column.kind != ColumnKind::Key).map(|Column { name, array, .. }| match array {
        Some(_) => format!("{name} = new.{name}"),
        None => format!("{name} = ${}", count + 1),
    });
    let set = set.collect::<Vec<_>>().join(", ");
    let names = list(brought().filter(|column| column.array.is_some()));
    let keys = brought().filter(|column| column.kind == ColumnKind::Key);
    let keys = keys.fold(String::new(), |all, Column { name, .. }| format!("{all}kept.{name} = new.{name} and "));
    format!("update {table} as kept set {set} from {rows} as new ({names}) where {keys}kept.version = new.version - 1")
}
