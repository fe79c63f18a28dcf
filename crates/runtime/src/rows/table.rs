//! A consumer's statement of one table, and how its rows are read.

use std::any::TypeId;
use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::marker::PhantomData;
use std::sync::{LazyLock, Mutex, PoisonError};

use events::Timestamp;
use serde::de::DeserializeOwned;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{Arguments as _, AssertSqlSafe, Decode, Encode, PgExecutor, Postgres, Row as _, Type};
use uuid::Uuid;

use crate::engine::write_set::{Statement, WriteSet};
use crate::failure::Failure;
use crate::postgres::sql::Timestamptz;
use crate::rows::statements::{Column, ColumnKind, TableStatements};

/// A row of one table, stated once: its columns, and how it is read. The table has a column `version bigint`.
pub trait TableRow: Sized + Send + Sync + 'static {
    /// What a row is known by: [`OrderId`](events::OrderId), or what orders share it by.
    type Key: Clone + Debug + Ord + Hash + Send + Sync + 'static;
    /// The table, with its schema.
    const TABLE: &'static str;

    /// Names its columns, the key's first, each with the value that is written.
    fn columns<'c>(columns: Columns<'c, Self>) -> Columns<'c, Self>;

    /// Reads a row.
    fn read(row: &StoredRow<'_>) -> Result<(Self::Key, Self), Failure>;

    /// The order in which new rows are inserted, before that of their keys: by another unique key that two instances may insert at the same time.
    fn insert_order(&self) -> Option<Uuid> {
        None
    }

    /// The statements with which its rows are read, locked, inserted and updated: for a test that prepares each against the migrated schema.
    fn statements() -> Vec<String> {
        let TableStatements { select, order, insert, update } = statements_of::<Self>();
        let read = format!("{select}true{order}");
        let locked = format!("{read} for no key update");
        vec![read, locked, insert.0.clone(), update.0.clone()]
    }
}

pub(super) struct RowToWrite<'c, R: TableRow> {
    pub key: &'c R::Key,
    pub version: i64,
    pub row: &'c R,
}

/// Takes the columns of a table, one call for each, in any order.
pub struct Columns<'c, R: TableRow> {
    columns: Vec<Column>,
    binding: Option<Binding<'c, R>>,
}

struct Binding<'c, R: TableRow> {
    rows: &'c [RowToWrite<'c, R>],
    is_update: bool,
    part: Statement<'c>,
}

impl<'c, R: TableRow> Columns<'c, R> {
    /// A column of the key.
    #[must_use]
    pub fn key<T>(self, name: &'static str, value: impl Fn(&'c R::Key) -> T) -> Self
    where
        Vec<T>: Encode<'c, Postgres> + Type<Postgres>,
    {
        self.add(name, ColumnKind::Key, |entry| value(entry.key))
    }

    /// A column that is written with a row's first version, and never again.
    #[must_use]
    pub fn fixed<T>(self, name: &'static str, value: impl Fn(&'c R) -> T) -> Self
    where
        Vec<T>: Encode<'c, Postgres> + Type<Postgres>,
    {
        self.add(name, ColumnKind::Fixed, |entry| value(entry.row))
    }

    /// A column that is written with each version.
    #[must_use]
    pub fn changing<T>(self, name: &'static str, value: impl Fn(&'c R) -> T) -> Self
    where
        Vec<T>: Encode<'c, Postgres> + Type<Postgres>,
    {
        self.add(name, ColumnKind::Changing, |entry| value(entry.row))
    }

    /// As [`fixed`](Self::fixed), and no batch reads it.
    #[must_use]
    pub fn fixed_unread<T>(self, name: &'static str, value: impl Fn(&'c R) -> T) -> Self
    where
        Vec<T>: Encode<'c, Postgres> + Type<Postgres>,
    {
        self.add(name, ColumnKind::FixedUnread, |entry| value(entry.row))
    }

    /// As [`changing`](Self::changing), and no batch reads it: it follows from the others, for who asks in SQL.
    #[must_use]
    pub fn changing_unread<T>(self, name: &'static str, value: impl Fn(&'c R) -> T) -> Self
    where
        Vec<T>: Encode<'c, Postgres> + Type<Postgres>,
    {
        self.add(name, ColumnKind::ChangingUnread, |entry| value(entry.row))
    }

    /// A `timestamptz` that says when the first version was written; not read.
    #[must_use]
    pub fn created_at(mut self, name: &'static str) -> Self {
        self.columns.push(Column { name, kind: ColumnKind::CreatedAt, array: None });
        self
    }

    /// A `timestamptz` that says when the last version was written; not read.
    #[must_use]
    pub fn changed_at(mut self, name: &'static str) -> Self {
        self.columns.push(Column { name, kind: ColumnKind::ChangedAt, array: None });
        self
    }

    fn add<T>(mut self, name: &'static str, kind: ColumnKind, value: impl Fn(&'c RowToWrite<'c, R>) -> T) -> Self
    where
        Vec<T>: Encode<'c, Postgres> + Type<Postgres>,
    {
        match self.binding {
            None => {
                let array = Some(<Vec<T> as Type<Postgres>>::type_info());
                self.columns.push(Column { name, kind, array });
                self
            }
            Some(binding) if binding.is_update && !kind.is_updated() => Self { binding: Some(binding), ..self },
            Some(Binding { rows, is_update, part }) => {
                let part = part.bind(Vec::from_iter(rows.iter().map(value)));
                Self { binding: Some(Binding { rows, is_update, part }), ..self }
            }
        }
    }

    fn version(self) -> Self {
        self.add("version", ColumnKind::Version, |entry| entry.version)
    }
}

/// The statements of a table, made from its columns when they are first asked for.
pub(super) fn statements_of<R: TableRow>() -> &'static TableStatements {
    static MADE: LazyLock<Mutex<HashMap<TypeId, &'static TableStatements>>> = LazyLock::new(Mutex::default);
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    made.entry(TypeId::of::<R>()).or_insert_with(|| {
        let Columns { columns, .. } = R::columns(Columns { columns: Vec::new(), binding: None }.version());
        Box::leak(Box::new(TableStatements::new(R::TABLE, &columns)))
    })
}

/// Adds an insert or an update of some rows to the writes of a batch, unless there are none.
pub(super) fn write<R: TableRow>(writes: &mut WriteSet, rows: &[RowToWrite<'_, R>], is_update: bool, now: Timestamp) {
    if rows.is_empty() {
        return;
    }
    let statements = statements_of::<R>();
    let (statement, has_time) = if is_update { &statements.update } else { &statements.insert };
    let part = writes.add(R::TABLE, Some(rows.len()), statement);
    let binding = Binding { rows, is_update, part };
    let bound = R::columns(Columns { columns: Vec::new(), binding: Some(binding) }.version());
    if let Some(Binding { part, .. }) = bound.binding.filter(|_| *has_time) {
        part.bind(Timestamptz(now));
    }
}

/// A row as the database has it.
pub struct StoredRow<'r> {
    row: &'r PgRow,
    table: &'static str,
}

impl<'r> StoredRow<'r> {
    /// A row of a statement of one's own, which has the columns of the table among others.
    pub fn of<R: TableRow>(row: &'r PgRow) -> Self {
        Self { row, table: R::TABLE }
    }

    /// A column's value.
    pub fn get<T: Decode<'r, Postgres> + Type<Postgres>>(&self, column: &str) -> Result<T, Failure> {
        Ok(self.row.try_get(column)?)
    }

    /// A text that names something: a state, a currency; or none.
    pub fn named<T: DeserializeOwned>(&self, column: &str) -> Result<T, Failure> {
        let text: Option<String> = self.get(column)?;
        serde_json::from_value(text.into()).map_err(|source| self.unreadable(column, source))
    }

    /// A text that is JSON; `null` if it is none.
    pub fn json<T: DeserializeOwned>(&self, column: &str) -> Result<T, Failure> {
        let text: Option<&str> = self.get(column)?;
        serde_json::from_str(text.unwrap_or("null")).map_err(|source| self.unreadable(column, source))
    }

    /// What is said of a column that this version can't read.
    pub fn unreadable(&self, column: &str, source: serde_json::Error) -> Failure {
        let id = self.row.try_get::<Uuid, _>("order_id").map(|id| id.to_string());
        let key = id.or_else(|_| self.row.try_get::<String, _>(1)).unwrap_or_default(); // behind the version
        Failure::Stored { what: format!("{} {key}, {column}", self.table), source }
    }
}

pub(super) type FoundRows<R> = Vec<(<R as TableRow>::Key, i64, R)>;

/// A `select` of a table's rows.
pub struct Select<R> {
    text: String,
    arguments: PgArguments,
    broken: Option<sqlx::Error>,
    row: PhantomData<R>,
}

impl<R: TableRow> Select<R> {
    /// The rows of which this holds: what follows `where`, with parameters from `$1` on.
    pub fn filter(condition: &str) -> Self {
        let text = format!("{}{condition}", statements_of::<R>().select);
        Self { text, arguments: PgArguments::default(), broken: None, row: PhantomData }
    }

    /// Binds the next parameter.
    #[must_use]
    pub fn bind<'t, T: Encode<'t, Postgres> + Type<Postgres>>(mut self, value: T) -> Self {
        if let Err(error) = self.arguments.add(value) {
            self.broken.get_or_insert(sqlx::Error::Encode(error));
        }
        self
    }

    /// The same rows, in the order of their keys, perhaps locked.
    pub(super) fn for_batch(mut self, with_locks: bool) -> Self {
        self.text += &statements_of::<R>().order;
        if with_locks {
            self.text += " for no key update";
        }
        self
    }

    #[cfg(test)]
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) async fn found<'e>(self, db: impl PgExecutor<'e>) -> Result<FoundRows<R>, Failure> {
        if let Some(error) = self.broken {
            return Err(error.into());
        }
        let rows = sqlx::query_with(AssertSqlSafe(self.text), self.arguments).fetch_all(db).await?;
        rows.iter()
            .map(|row| {
                let stored = StoredRow::of::<R>(row);
                let (key, read) = R::read(&stored)?;
                Ok((key, stored.get("version")?, read))
            })
            .collect()
    }

    /// Reads all of them, for who asks outside of a batch.
    pub async fn all<'e>(self, db: impl PgExecutor<'e>) -> Result<Vec<(R::Key, R)>, Failure> {
        Ok(self.found(db).await?.into_iter().map(|(key, _, row)| (key, row)).collect())
    }

    /// Reads the only one, where there is one.
    pub async fn one<'e>(self, db: impl PgExecutor<'e>) -> Result<Option<R>, Failure> {
        Ok(self.found(db).await?.pop().map(|(_, _, row)| row))
    }
}
