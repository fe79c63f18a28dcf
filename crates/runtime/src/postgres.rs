//! PostgreSQL: pools and types of columns, migrations, poolers, a database for each consumer, and the watch over connections.

pub mod databases;
pub mod migrations;
pub mod pooler;
pub mod reachable;
pub mod sql;
pub mod watch;
