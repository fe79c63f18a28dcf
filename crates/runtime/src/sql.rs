//! Small bridges between our types and PostgreSQL's, and the options of every connection.

use std::ops::{Deref, DerefMut};
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use events::Timestamp;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{
    PgArgumentBuffer, PgConnectOptions, PgHasArrayType, PgPoolOptions, PgTypeInfo, PgValueFormat, PgValueRef,
};
use sqlx::{Decode, Encode, PgConnection, PgPool, Postgres, Type};

/// PostgreSQL counts microseconds from 2000-01-01.
const PG_EPOCH_MS: i64 = 946_684_800_000;

/// A time as `timestamptz`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct At(pub Timestamp);

impl Type<Postgres> for At {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("timestamptz")
    }
}

impl PgHasArrayType for At {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("_timestamptz")
    }
}

impl Encode<'_, Postgres> for At {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        <i64 as Encode<Postgres>>::encode((self.0.as_millis() - PG_EPOCH_MS) * 1_000, buffer)
    }
}

impl Decode<'_, Postgres> for At {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        match value.format() {
            PgValueFormat::Binary => {
                let micros = i64::from_be_bytes(value.as_bytes()?.try_into()?);
                Ok(Self(Timestamp::from_millis(micros.div_euclid(1_000) + PG_EPOCH_MS)))
            }
            PgValueFormat::Text => Err("timestamptz in text form: expected the binary protocol".into()),
        }
    }
}

/// A document as JSON in a `text` column: written and read as a whole, and far cheaper for the database than `jsonb`, which it would parse, sort
/// and print. Who asks in SQL casts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonText<T>(pub T);

impl<T> Type<Postgres> for JsonText<T> {
    fn type_info() -> PgTypeInfo {
        <str as Type<Postgres>>::type_info()
    }

    fn compatible(ty: &PgTypeInfo) -> bool {
        <str as Type<Postgres>>::compatible(ty)
    }
}

impl<T> PgHasArrayType for JsonText<T> {
    fn array_type_info() -> PgTypeInfo {
        <String as PgHasArrayType>::array_type_info()
    }
}

impl<T: serde::Serialize> Encode<'_, Postgres> for JsonText<T> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        serde_json::to_writer(&mut **buffer, &self.0)?;
        Ok(IsNull::No)
    }
}

impl<'r, T: serde::Deserialize<'r>> Decode<'r, Postgres> for JsonText<T> {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(Self(serde_json::from_str(value.as_str()?)?))
    }
}

/// How long one statement may take.
const STATEMENT_TIMEOUT: &str = "10s";

/// A pool for a consumer's doors and tools. Statements end after 10 s, lock waits after 8 s (a reader waits for a rebuild to take the tables' place
/// rather than hear of it; batches wait for 3 s), idle transactions after 5 s.
/// Custom plans: what is asked for differs from question to question.
///
/// # Errors
/// When the address is not a PostgreSQL address.
pub fn pool(database_url: &str, application: &str, connections: u32) -> Result<PgPool, sqlx::Error> {
    let options =
        options(database_url, application)?.options([("plan_cache_mode", "force_custom_plan"), ("lock_timeout", "8s")]);
    Ok(connect(options, connections))
}

/// A pool for a consumer's batches: few statements, executed for ever, each by primary key in the order in which it is written. They are planned once
/// for each connection (planning them anew was a tenth of PostgreSQL's CPU), also while tables are empty: so no plan should read a table as a whole,
/// and none is for ever: [`Warm`] has them made anew, and the pool closes a connection after half an hour.
///
/// # Errors
/// When the address is not a PostgreSQL address.
pub(crate) fn batch_pool(database_url: &str, application: &str, connections: u32) -> Result<PgPool, sqlx::Error> {
    let options = options(database_url, application)?
        .options([("plan_cache_mode", "force_generic_plan"), ("max_parallel_workers_per_gather", "0")])
        .options(["seqscan", "hashjoin", "mergejoin"].map(|plan| (format!("enable_{plan}"), "off")));
    Ok(connect(options, connections))
}

/// How long a plan is kept.
const PLANS_LAST: Duration = Duration::from_secs(120);

/// A pool whose last connection is taken first. A pool by itself hands them out in turn, so that each backend has gone cold when it is used again.
///
/// Its plans are made anew now and then: of a table that was vacuumed while it was empty PostgreSQL expects a single page, reads the whole index rather
/// than look for rows, and goes on to do so, however large the table has grown.
#[derive(Debug)]
pub struct Warm {
    pool: PgPool,
    last: Mutex<Option<Kept>>,
    plans_last: Duration,
}

#[derive(Debug)]
struct Kept {
    db: PoolConnection<Postgres>,
    /// When its plans were forgotten last.
    planned: Instant,
}

/// A connection that was taken.
#[derive(Debug)]
pub struct Taken(Kept);

impl Warm {
    /// Of this pool.
    pub fn of(pool: PgPool) -> Self {
        Self::planned_every(pool, PLANS_LAST)
    }

    /// Of this pool, with plans that are made anew so often.
    pub fn planned_every(pool: PgPool, plans_last: Duration) -> Self {
        Self { pool, last: Mutex::default(), plans_last }
    }

    /// The whole pool.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Closes all connections, on the runtime that opened them.
    pub async fn close(self) {
        drop(self.last);
        self.pool.close().await;
    }

    /// The connection that was used last, or another one while somebody has it.
    ///
    /// # Errors
    /// When there is none to be had.
    pub async fn take(&self) -> Result<Taken, sqlx::Error> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut kept) = last else {
            return Ok(Taken(Kept { db: self.pool.acquire().await?, planned: Instant::now() }));
        };
        if kept.planned.elapsed() >= self.plans_last {
            sqlx::raw_sql("discard plans").execute(&mut *kept.db).await?;
            kept.planned = Instant::now();
        }
        Ok(Taken(kept))
    }

    /// Keeps a connection for the next one who takes. One on which something failed is better dropped.
    pub fn keep(&self, Taken(kept): Taken) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
    }
}

impl Deref for Taken {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.0.db
    }
}

impl DerefMut for Taken {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.0.db
    }
}

fn options(database_url: &str, application: &str) -> Result<PgConnectOptions, sqlx::Error> {
    Ok(PgConnectOptions::from_str(database_url)?.application_name(application).options([
        ("statement_timeout", STATEMENT_TIMEOUT),
        ("lock_timeout", "3s"),
        ("idle_in_transaction_session_timeout", "5s"),
    ]))
}

fn connect(options: PgConnectOptions, connections: u32) -> PgPool {
    PgPoolOptions::new()
        .max_connections(connections)
        .min_connections(0)
        .acquire_timeout(Duration::from_secs(5))
        .test_before_acquire(false) // a broken connection fails its batch, which is retried on another
        .connect_lazy_with(options)
}
