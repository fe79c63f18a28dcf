//! What a relay counts, for `/metrics`.

use metrics::{Counter, Gauge};

/// Handles of one database's metrics: made once, since looking them up costs more than counting.
pub(super) struct Meter {
    published: Counter,
    lag: Gauge,
    backlog: Gauge,
    shards: Gauge,
}

impl Meter {
    /// The metrics of this database's outbox.
    pub fn of(database: &str) -> Self {
        let database = database.to_owned();
        Self {
            published: metrics::counter!("quadrille_relay_published_total", "database" => database.clone()),
            lag: metrics::gauge!("quadrille_relay_lag_seconds", "database" => database.clone()),
            backlog: metrics::gauge!("quadrille_relay_backlog_rows", "database" => database.clone()),
            shards: metrics::gauge!("quadrille_relay_shards", "database" => database),
        }
    }

    /// Rows that Kafka acknowledged.
    pub fn published(&self, rows: usize) {
        self.published.increment(rows as u64);
    }

    /// How old the newest moment is up to which everything is published, and how many rows are known to wait.
    pub fn lag(&self, milliseconds: i64, rows: i64) {
        self.lag.set(milliseconds as f64 / 1_000.0);
        self.backlog.set(rows as f64);
    }

    /// Shards that this relay has leased.
    pub fn shards(&self, held: usize) {
        self.shards.set(held as f64);
    }
}
