//! The statements of a table, made from its columns.

use sqlx::TypeInfo as _;
use sqlx::postgres::PgTypeInfo;

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

/// `unnest($1::type[], …)` of the columns that bring values, and how many these are.
fn unnest<'c>(columns: impl Iterator<Item = &'c Column>) -> (String, usize) {
    let arrays = columns.filter_map(|column| column.array.as_ref()).zip(1..);
    let arrays: Vec<String> = arrays.map(|(array, number)| format!("${number}::{}", array.name())).collect();
    (format!("unnest({})", arrays.join(", ")), arrays.len())
}

pub(super) fn insert(table: &str, columns: &[Column]) -> String {
    let (rows, count) = unnest(columns.iter());
    let (times, values): (Vec<&Column>, Vec<&Column>) = columns.iter().partition(|column| column.array.is_none());
    let nows = format!(", ${}::timestamptz", count + 1).repeat(times.len());
    format!("insert into {table} ({}) select new.*{nows} from {rows} as new", list(values.into_iter().chain(times)))
}

/// Updates rows, each at the version before the new one.
fn update(table: &str, columns: &[Column]) -> String {
    let (keys, others): (Vec<&Column>, Vec<&Column>) =
        columns.iter().filter(|column| column.kind.is_updated()).partition(|column| column.kind == ColumnKind::Key);
    let brought = || columns.iter().filter(|column| column.kind.is_updated() && column.array.is_some());
    let (rows, count) = unnest(brought());
    let set = others.into_iter().map(|Column { name, array, .. }| match array {
        Some(_) => format!("{name} = new.{name}"),
        None => format!("{name} = ${}", count + 1),
    });
    let (set, names) = (set.collect::<Vec<_>>().join(", "), list(brought()));
    let keys: String = keys.iter().map(|Column { name, .. }| format!("kept.{name} = new.{name} and ")).collect();
    format!("update {table} as kept set {set} from {rows} as new ({names}) where {keys}kept.version = new.version - 1")
}

/// The statements of a table, made once.
#[derive(Debug)]
pub(super) struct TableStatements {
    /// `select … from table as kept where `.
    pub select: String,
    /// `order by` the key: the order in which rows are locked.
    pub order: String,
    /// Each with whether its last parameter is the time.
    pub insert: (String, bool),
    pub update: (String, bool),
}

impl TableStatements {
    pub fn new(table: &str, columns: &[Column]) -> Self {
        let read = list(columns.iter().filter(|column| column.kind.is_read()));
        let key = list(columns.iter().filter(|column| column.kind == ColumnKind::Key));
        let mut times = columns.iter().filter(|column| column.array.is_none()).map(|column| column.kind);
        Self {
            select: format!("select {read} from {table} as kept where "),
            order: format!(" order by {key}"),
            insert: (insert(table, columns), times.clone().next().is_some()),
            update: (update(table, columns), times.any(ColumnKind::is_updated)),
        }
    }
}
