//! Rows of one batch, with what was changed of them.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};

use events::OrderId;
use uuid::Uuid;

use crate::failure::Failure;
use crate::rows::loader::{Loader, Saver};
use crate::rows::table::{RowToWrite, Select, TableRow, write};

/// A row of a batch. Whoever takes it to change it marks it as changed.
#[derive(Clone, Debug)]
pub struct Row<R> {
    /// The version in the table; 0: it is not there.
    version: i64,
    is_changed: bool,
    value: R,
}

impl<R> Row<R> {
    /// The row, to be changed by who says so by [`mark_changed`](Self::mark_changed).
    pub fn untracked(&mut self) -> &mut R {
        &mut self.value
    }

    /// Has it written.
    pub fn mark_changed(&mut self) {
        self.is_changed = true;
    }
}

impl<R> Deref for Row<R> {
    type Target = R;

    fn deref(&self) -> &R {
        &self.value
    }
}

impl<R> DerefMut for Row<R> {
    fn deref_mut(&mut self) -> &mut R {
        self.is_changed = true;
        &mut self.value
    }
}

/// The rows of one table that a batch has to do with. The default has none; kept from batch to batch it is a table in memory.
#[derive(Clone, Debug)]
pub struct Rows<R: TableRow>(BTreeMap<R::Key, Row<R>>);

impl<R: TableRow> Default for Rows<R> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<R: TableRow<Key = OrderId>> Rows<R> {
    /// Reads the rows of these orders.
    pub async fn of_orders(
        loader: &mut Loader<'_>,
        orders: impl IntoIterator<Item = OrderId>,
    ) -> Result<Self, Failure> {
        let orders: Vec<Uuid> = orders.into_iter().map(OrderId::as_uuid).collect();
        Self::load(loader, Select::filter("order_id = any($1)").bind(orders)).await
    }
}

impl<R: TableRow> Rows<R> {
    /// Reads rows that orders share.
    pub async fn load(loader: &mut Loader<'_>, select: Select<R>) -> Result<Self, Failure> {
        let mut rows = Self::default();
        rows.read(loader, select).await?;
        Ok(rows)
    }

    /// Reads further rows.
    pub async fn read(&mut self, loader: &mut Loader<'_>, select: Select<R>) -> Result<(), Failure> {
        self.take(select.for_batch(loader.with_locks).found(&mut *loader.db).await?);
        Ok(())
    }

    /// Takes rows as the table has them, with their versions.
    pub fn take(&mut self, found: impl IntoIterator<Item = (R::Key, i64, R)>) {
        let row = |(key, version, value)| (key, Row { version, is_changed: false, value });
        self.0.extend(found.into_iter().map(row));
    }

    /// What is known under a key.
    pub fn get(&self, key: &R::Key) -> Option<&R> {
        self.0.get(key).map(|row| &row.value)
    }

    /// A row, to be changed.
    pub fn get_mut(&mut self, key: &R::Key) -> Option<&mut Row<R>> {
        self.0.get_mut(key)
    }

    /// A row, to be changed; one that is new is not written unless it is.
    pub fn get_or_insert_with(&mut self, key: R::Key, new: impl FnOnce() -> R) -> &mut Row<R> {
        self.0.entry(key).or_insert_with(|| Row { version: 0, is_changed: false, value: new() })
    }

    /// Takes a row that is new: where it is there already, that is a lost race.
    pub fn add(&mut self, key: R::Key, value: R) {
        self.0.insert(key, Row { version: 0, is_changed: true, value });
    }

    /// Puts a row in the place of what was known.
    pub fn insert(&mut self, key: R::Key, value: R) {
        let version = self.0.get(&key).map_or(0, |row| row.version);
        self.0.insert(key, Row { version, is_changed: true, value });
    }

    /// All of them, in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&R::Key, &R)> {
        self.0.iter().map(|(key, row)| (key, &row.value))
    }

    /// Those that are to be written, in the order of their keys.
    pub fn changed(&self) -> impl Iterator<Item = (&R::Key, &R)> {
        self.0.iter().filter(|(_, row)| row.is_changed).map(|(key, row)| (key, &row.value))
    }

    /// Has what changed written, where anything did: known rows by their keys, then new ones; that is the order in which they are locked.
    pub fn save(self, saver: &mut Saver<'_>) {
        let changed = self.0.iter().filter(|(_, row)| row.is_changed);
        let entries = changed.map(|(key, row)| RowToWrite { key, version: row.version + 1, row: &row.value });
        let (known, mut new): (Vec<_>, Vec<_>) = entries.partition(|entry| entry.version > 1);
        new.sort_by_key(|entry| entry.row.insert_order());
        write(&mut saver.writes, &known, true, saver.now);
        write(&mut saver.writes, &new, false, saver.now);
    }
}

#[cfg(test)]
mod tests;
