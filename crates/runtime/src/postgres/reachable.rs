//! Why a database can't be used, in words for people: where it is, and the cause.

use std::time::Duration;

use anyhow::Context as _;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, PgPool};

use crate::failure::cause;
use crate::postgres::sql::{place, pool};

const NEW: Duration = Duration::from_millis(2_000);

/// A pool for a tool, as [`pool`] makes it, which is told at once where and why it has no connection.
///
/// # Errors
/// When the address is not a PostgreSQL address, or the database can't be used: with its host and the cause.
pub async fn connect(database_url: &str, application: &str, connections: u32) -> anyhow::Result<PgPool> {
    let pool = pool(database_url, application, connections).context("DATABASE_URL")?;
    if let Err(error) = pool.acquire().await {
        let options = pool.connect_options();
        let why = reason_of(&pool).await.unwrap_or_else(|| format!("{}: {}", place(&options), cause(&error)));
        anyhow::bail!("the database can't be used: {why}. Check DATABASE_URL, or start the database");
    }
    Ok(pool)
}

/// Why a new connection is of no use.
pub(super) enum Away {
    Refused,
    Why(String),
}

/// Why there is no connection to be had that can write.
pub(super) async fn reason(options: &PgConnectOptions) -> Result<(), Away> {
    let place = place(options);
    let asked = async {
        let mut db = options.connect().await?;
        let writable = writable(&mut db).await?;
        let _ = db.close().await; // it has answered
        Ok::<bool, sqlx::Error>(writable)
    };
    match tokio::time::timeout(NEW, asked).await {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false)) => Err(Away::Why(format!("{place} is read-only: a standby, or a primary that was demoted"))),
        Ok(Err(error)) => {
            let code = error.as_database_error().and_then(|error| error.code()).unwrap_or_default();
            let refused = code.starts_with("28");
            Err(if refused { Away::Refused } else { Away::Why(format!("{place}: {}", cause(&error))) })
        }
        Err(_) => Err(Away::Why(format!("{place} does not answer within {NEW:?}"))),
    }
}

pub(crate) async fn reason_of(pool: &PgPool) -> Option<String> {
    let options = pool.connect_options();
    match reason(&options).await {
        Ok(()) => None,
        Err(Away::Refused) => Some(format!("{} refuses the user {}", place(&options), options.get_username())),
        Err(Away::Why(why)) => Some(why),
    }
}

pub(super) async fn writable(db: &mut PgConnection) -> Result<bool, sqlx::Error> {
    // As text and not prepared: a pooler may give the next statement another session.
    let statement = "select pg_is_in_recovery() or current_setting('transaction_read_only')::bool";
    let row = sqlx::raw_sql(statement).fetch_one(db).await?;
    Ok(!sqlx::Row::try_get::<bool, _>(&row, 0)?)
}
