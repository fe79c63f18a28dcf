//! Rows that are only added.

use sqlx::{Encode, Postgres, Type};

use crate::engine::write_set::{Statement, WriteSet};
use crate::rows::statements::{Column, ColumnKind, insert};

type Values<'c> = Box<dyn for<'w> FnOnce(Statement<'w>) -> Statement<'w> + 'c>;

/// Rows that are only added, each under a key of its own: one that is there already is a lost race.
#[must_use]
pub struct Append<'c, M> {
    table: &'static str,
    rows: &'c [M],
    columns: Vec<Column>,
    values: Vec<Values<'c>>,
}

impl<'c, M> Append<'c, M> {
    /// Adds these rows to a table (with its schema).
    pub fn to(table: &'static str, rows: &'c [M]) -> Self {
        Self { table, rows, columns: Vec::new(), values: Vec::new() }
    }

    /// Names a column, with the value that is written.
    pub fn column<T: 'c>(mut self, name: &'static str, value: impl Fn(&'c M) -> T) -> Self
    where
        Vec<T>: Encode<'c, Postgres> + Type<Postgres>,
    {
        let values = Vec::from_iter(self.rows.iter().map(value));
        let array = Some(<Vec<T> as Type<Postgres>>::type_info());
        self.columns.push(Column { name, kind: ColumnKind::Fixed, array });
        self.values.push(Box::new(move |part| part.bind(values)));
        self
    }

    /// Adds the insert to a batch's writes, unless there are no rows.
    pub fn write(self, writes: &mut WriteSet) {
        if !self.rows.is_empty() {
            let part = writes.add(self.table, Some(self.rows.len()), &insert(self.table, &self.columns));
            self.values.into_iter().fold(part, |part, values| values(part));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_added_by_one_insert_and_none_by_none() {
        let mut writes = WriteSet::default();
        let append = |rows| Append::to("test.log", rows).column("id", |row: &i64| *row).column("text", |_| "x");
        append(&[]).write(&mut writes);
        assert_eq!(writes.text(), "");
        append(&[1, 2]).write(&mut writes);
        assert_eq!(
            writes.text(),
            "with w0 as (insert into test.log (id, text) select new.* from unnest($1::INT8[], $2::TEXT[]) as new returning 1)"
        );
    }
}
