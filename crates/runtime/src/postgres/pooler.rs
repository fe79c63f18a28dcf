//! Poolers between us and PostgreSQL: which give each transaction another session, and so can't be used where something lives in the session.

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use crate::failure::DatabaseFault;
use crate::postgres::sql;

/// A pooler in transaction mode, where a session is needed.
#[derive(Debug, thiserror::Error)]
#[error(
    "{place} is a pooler that gives each transaction another session, and {what} needs one of its own: give it PostgreSQL's own address, \
     or a pooler in session mode"
)]
pub struct Pooled {
    place: String,
    what: String,
}

/// How often it is tried to see one session from two connections: others' transactions may come between.
const TRIES: usize = 5;

impl Pooled {
    /// Refuses an address behind which sessions don't last.
    pub async fn refuse<E: From<Self> + From<sqlx::Error>>(options: &PgConnectOptions, what: &str) -> Result<(), E> {
        if lends_sessions(options).await? {
            return Err(Self::new(options, what).into());
        }
        Ok(())
    }

    pub(crate) fn new(options: &PgConnectOptions, what: &str) -> Self {
        Self { place: sql::place(options), what: what.to_owned() }
    }
}

/// Whether two connections at a time are seen to share a session: what is set on one is found on the other.
pub(crate) async fn lends_sessions(options: &PgConnectOptions) -> Result<bool, sqlx::Error> {
    let (mut one, mut other) = (options.connect().await?, options.connect().await?);
    let mut lent = false;
    for _ in 0..TRIES {
        sqlx::raw_sql("set quadrille.probe = 'set'").execute(&mut one).await?;
        let probe = sqlx::raw_sql("select coalesce(current_setting('quadrille.probe', true), '')");
        lent = sqlx::Row::try_get::<&str, _>(&probe.fetch_one(&mut other).await?, 0)? == "set";
        sqlx::raw_sql("set quadrille.probe = ''").execute(&mut one).await?;
        if lent {
            break;
        }
    }
    let _ = (one.close().await, other.close().await); // both have answered
    Ok(lent)
}

/// Sees that consumers can work behind this address. A pooler that gives each transaction another session does if it keeps prepared statements.
pub(crate) async fn check_for_consumers(options: &PgConnectOptions, consumer: &str) -> anyhow::Result<()> {
    if !lends_sessions(options).await? {
        return Ok(());
    }
    let place = sql::place(options);
    anyhow::ensure!(
        keeps_statements(options).await?,
        "{place} is a pooler that gives each transaction another session and forgets prepared statements: let it pool sessions, \
         or, with PgBouncer 1.21 or later, set max_prepared_statements there; or give {consumer} PostgreSQL's own address"
    );
    tracing::warn!(
        consumer,
        "{place} is a pooler that gives each transaction another session, where time-outs of ours don't last: set them for the user, by \
         `alter role {} set statement_timeout = '10s'; alter role … set lock_timeout = '3s'; alter role … set idle_in_transaction_session_timeout = '5s'; \
         alter role … set default_transaction_isolation = 'read committed'`",
        options.get_username()
    );
    Ok(())
}

/// Whether what is prepared on one connection is known there, and there alone, when it is executed.
async fn keeps_statements(options: &PgConnectOptions) -> Result<bool, sqlx::Error> {
    let (mut one, mut other) = (options.connect().await?, options.connect().await?);
    for number in 0..TRIES as i32 {
        // The same names on both connections, for different statements.
        for (db, statement) in [(&mut one, "select $1::int4"), (&mut other, "select $1::int4 + 0")] {
            match sqlx::query_scalar::<_, i32>(statement).bind(number).fetch_one(&mut *db).await {
                Ok(_) => {}
                Err(error) if DatabaseFault::of(&error) == DatabaseFault::Connection => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_names_who_needs_a_session_and_no_password() {
        let options = sql::address("postgres://u:s3cr3t@pooler:6432/shop").unwrap();
        let refused = Pooled::new(&options, "the relay").to_string();
        assert!(
            refused.starts_with("pooler:6432/shop is a pooler") && refused.contains("the relay needs"),
            "{refused}"
        );
        assert!(!refused.contains("s3cr3t"));
    }
}
