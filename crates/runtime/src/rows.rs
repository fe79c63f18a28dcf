//! Rows of a consumer's tables, for one batch: read, changed, and written where nobody else changed them meanwhile.
//!
//! A consumer states its table once ([`TableRow`]); from that come all statements. [`Rows`] is what its batch state holds: rows by order
//! ([`Rows::of_orders`]), or rows that orders share, such as stock levels or accounts ([`Rows::load`]). A row that was read is updated at the version
//! that was read; one that is new is inserted, and a key that is taken by then is a lost race. Each table costs one `insert` and one `update` a batch.
//! What is only ever added (a ledger, messages) is an [`Append`].
//!
//! | | without locks | with locks |
//! |---|---|---|
//! | reads | as it is | `for no key update`, in the order of keys |
//!
//! The engine tries a batch without locks first (ADR 11), then locks.

mod append;
mod loader;
mod statements;
mod table;
mod tracked;

pub use append::Append;
pub use loader::{Loader, Saver};
pub use table::{Columns, Select, StoredRow, TableRow};
pub use tracked::{Row, Rows};
