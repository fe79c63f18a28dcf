//! What a relay counts, for `/metrics`.

use metrics::{Counter, Gauge};

/// Handles of one database's metrics: made once, since looking them up costs more than counting.
pub(super) struct Meter {
    pub published: Counter,
    lag: Gauge,
    backlog: Gauge,
    pub shards: Gauge,
}

impl Meter {
    pub fn of(database: &str) -> Self {
        let database = database.to_owned();
        Self {
            published: metrics::counter!("quadrille_relay_published_total", "database" => database.clone()),
            lag: metrics::gauge!("quadrille_relay_lag_seconds", "database" => database.clone()),
            backlog: metrics::gauge!("quadrille_relay_backlog_rows", "database" => database.clone()),
            shards: metrics::gauge!("quadrille_relay_shards", "database" => database),
        }
    }

    /// How old the newest moment is up to which everything is published, and how many rows are known to wait.
    pub fn lag(&self, milliseconds: i64, rows: i64) {
        self.lag.set(milliseconds as f64 / 1_000.0);
        self.backlog.set(rows as f64);
    }
}
