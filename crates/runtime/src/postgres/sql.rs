//! Small bridges between our types and PostgreSQL's, and the options of every connection.

use std::borrow::Cow;
use std::ops::{Deref, DerefMut};
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use events::Timestamp;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{
    PgArgumentBuffer, PgConnectOptions, PgHasArrayType, PgPoolOptions, PgTypeInfo, PgValueFormat, PgValueRef,
};
use sqlx::{Decode, Encode, PgConnection, PgPool, Postgres, Type};

use crate::failure::cause;

/// PostgreSQL counts microseconds from 2000-01-01.
const PG_EPOCH_MS: i64 = 946_684_800_000;

/// The first and the last millisecond that PostgreSQL's `timestamptz` holds: years 4713 before Christ and 294276.
const EARLIEST_MS: i64 = -210_866_803_200_000;
const LATEST_MS: i64 = 9_224_318_015_999_999;

/// A time as `timestamptz`; one that this does not hold is its first or its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamptz(pub Timestamp);

/// As RFC 3339.
impl serde::Serialize for Timestamptz {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl Type<Postgres> for Timestamptz {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("timestamptz")
    }
}

impl PgHasArrayType for Timestamptz {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("_timestamptz")
    }
}

impl Encode<'_, Postgres> for Timestamptz {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let millis = self.0.as_millis().clamp(EARLIEST_MS, LATEST_MS);
        <i64 as Encode<Postgres>>::encode((millis - PG_EPOCH_MS) * 1_000, buffer)
    }
}

impl Decode<'_, Postgres> for Timestamptz {
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

/// The moments that PostgreSQL and RFC 3339 both can name: the years 0001 to 9999, in milliseconds.
const EARLIEST_NAMED_MS: i64 = -62_135_596_800_000;
const LATEST_NAMED_MS: i64 = 253_402_300_799_999;

/// A moment that the database can hold and RFC 3339 can name, whatever was said.
pub fn in_range(at: Timestamp) -> Timestamp {
    Timestamp::from_millis(at.as_millis().clamp(EARLIEST_NAMED_MS, LATEST_NAMED_MS))
}

/// Text that the database takes: it has no NUL.
pub fn clean(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "\u{fffd}").into() } else { text.into() }
}

/// The same of a text that may be absent.
pub fn clean_option(text: &Option<String>) -> Option<Cow<'_, str>> {
    text.as_deref().map(clean)
}

/// Binds each of these values as one array, with an element for each of the rows: `bind_columns!(query; for row in rows => row.id, row.name)`.
#[macro_export]
macro_rules! bind_columns {
    ($query:expr; for $row:pat in $rows:expr => $($value:expr),+ $(,)?) => {
        $query$(.bind($rows.iter().map(#[allow(unused_variables)] |$row| $value).collect::<Vec<_>>()))+
    };
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

/// A text that is JSON, for a `json` column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonColumn<'t>(pub &'t str);

impl Type<Postgres> for JsonColumn<'_> {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("json")
    }
}

impl PgHasArrayType for JsonColumn<'_> {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("_json")
    }
}

impl<'q> Encode<'q, Postgres> for JsonColumn<'_> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        <&str as Encode<'q, Postgres>>::encode(self.0, buffer)
    }
}

/// A pool for a consumer's routes and tools. Statements end after 10 s, lock waits after 8 s (a reader waits for a rebuild to take the tables' place
/// rather than hear of it; batches wait for 3 s), idle transactions after 5 s.
/// Custom plans: what is asked for differs from question to question.
pub fn pool(database_url: &str, application: &str, connections: u32) -> Result<PgPool, sqlx::Error> {
    let settings = [("plan_cache_mode", "force_custom_plan"), ("lock_timeout", "8s")];
    lazy_pool(database_url, application, connections, &settings)
}

/// A pool for a consumer's batches: few statements, executed for ever, each by primary key in the order in which it is written. They are planned once
/// for each connection (planning them anew was a tenth of PostgreSQL's CPU), also while tables are empty: so no plan should read a table as a whole,
/// and none is for ever: [`StickyPool`] has them made anew, and the pool closes a connection after half an hour.
pub(crate) fn batch_pool(database_url: &str, application: &str, connections: u32) -> Result<PgPool, sqlx::Error> {
    let settings = [
        ("plan_cache_mode", "force_generic_plan"),
        ("max_parallel_workers_per_gather", "0"),
        ("enable_seqscan", "off"),
        ("enable_hashjoin", "off"),
        ("enable_mergejoin", "off"),
    ];
    lazy_pool(database_url, application, connections, &settings)
}

const PLANS_LAST: Duration = Duration::from_secs(120);

/// A pool whose last connection is taken first. A pool by itself hands them out in turn, so that each backend has gone cold when it is used again.
///
/// Its plans are made anew now and then: of a table that was vacuumed while it was empty PostgreSQL expects a single page, reads the whole index rather
/// than look for rows, and goes on to do so, however large the table has grown.
#[derive(Debug)]
pub struct StickyPool {
    pool: PgPool,
    last: Mutex<Option<CheckedOut>>,
    plans_last: Duration,
}

/// A connection that was taken.
#[derive(Debug)]
pub struct CheckedOut {
    db: PoolConnection<Postgres>,
    taken: Instant,
    planned: Instant,
}

impl StickyPool {
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
    pub async fn take(&self) -> Result<CheckedOut, sqlx::Error> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut kept) = last.filter(|kept| opened_after_renewal(kept.taken.elapsed())) else {
            let (db, now) = (self.pool.acquire().await?, Instant::now());
            return Ok(CheckedOut { db, taken: now, planned: now });
        };
        if kept.planned.elapsed() >= self.plans_last {
            sqlx::raw_sql("discard plans").execute(&mut *kept.db).await?;
            kept.planned = Instant::now();
        }
        Ok(kept)
    }

    /// Keeps a connection for the next one who takes. One on which something failed is better dropped.
    pub fn keep(&self, kept: CheckedOut) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
    }
}

impl Deref for CheckedOut {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.db
    }
}

impl DerefMut for CheckedOut {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.db
    }
}

/// What every connection of a consumer is set to. Isolation is ours: statements that guard what they decided by versions need no stricter one, and
/// under `serializable` as a database's default whole batches would be repeated.
const SESSION: [(&str, &str); 4] = [
    ("default_transaction_isolation", "read committed"),
    ("statement_timeout", "10s"),
    ("lock_timeout", "3s"),
    ("idle_in_transaction_session_timeout", "5s"),
];

/// Statements that set these for the session. Settings are not sent as `options` while connecting: PgBouncer and other poolers refuse that.
pub fn set_statements<'s>(settings: impl Iterator<Item = (&'s str, &'s str)>) -> String {
    settings.map(|(name, value)| format!("set {name} = '{value}';")).collect()
}

/// The address of a database. Without `extra_float_digits`, which poolers refuse, and which says what PostgreSQL does by default.
///
/// # Errors
/// When it can't be read; the message holds nothing of the address, as that holds the password.
pub fn address(database_url: &str) -> Result<PgConnectOptions, sqlx::Error> {
    let unreadable = |error| {
        format!(
            "the address of the database can't be read: {}. Expected postgres://user:password@host:port/database, with each of # / ? @ : % [ ] in \
             user or password percent-encoded (# is %23, / %2F, ? %3F, @ %40, : %3A, % %25), or the password apart from it in PGPASSWORD",
            cause(&error)
        )
    };
    let options = PgConnectOptions::from_str(database_url);
    Ok(options.map_err(|error| sqlx::Error::Configuration(unreadable(error).into()))?.extra_float_digits(None))
}

/// Where a pool's connections lead, for messages: never with a password.
pub(crate) fn place(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or(options.get_username());
    match options.get_socket() {
        Some(socket) => format!("{}/{database}", socket.display()),
        None => format!("{}:{}/{database}", options.get_host(), options.get_port()),
    }
}

fn lazy_pool(
    database_url: &str,
    application: &str,
    connections: u32,
    settings: &[(&str, &str)],
) -> Result<PgPool, sqlx::Error> {
    let settings: Arc<str> = set_statements(SESSION.iter().chain(settings).copied()).into();
    let pool = PgPoolOptions::new()
        .max_connections(connections)
        .min_connections(0)
        .acquire_timeout(Duration::from_secs(3))
        .test_before_acquire(false) // a broken connection fails its batch, which is retried on another
        .after_connect(move |db, _| {
            let settings = sqlx::AssertSqlSafe(settings.to_string());
            Box::pin(async move { sqlx::raw_sql(settings).execute(db).await.map(drop) })
        })
        .before_acquire(|_, meta| Box::pin(async move { Ok(opened_after_renewal(meta.age)) }))
        .after_release(|_, meta| Box::pin(async move { Ok(opened_after_renewal(meta.age)) }));
    Ok(pool.connect_lazy_with(address(database_url)?.application_name(application)))
}

/// When connections were last found to be at fault, in milliseconds of [`since_start`].
static RENEWED: AtomicU64 = AtomicU64::new(0);

fn since_start() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    // Far from 0, so that what was opened before the first call is not before all renewals.
    START.elapsed().as_millis() as u64 + (1 << 40)
}

/// Closes the process's connections to its databases, each when it is next taken or given back: after a failover they lead to a server that is read-only
/// now, after a migration their statements have another result than they were prepared with, and neither passes on the same connection.
pub fn renew_connections() {
    RENEWED.store(since_start(), Ordering::Release);
}

fn opened_after_renewal(age: Duration) -> bool {
    since_start().saturating_sub(age.as_millis() as u64) > RENEWED.load(Ordering::Acquire)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_the_database_can_not_hold_is_its_first_or_last() {
        for (millis, micros) in [
            (PG_EPOCH_MS + 1, 1_000),
            (i64::MIN, -211_813_488_000_000_000_i64),
            (1_764_000_000_000_000_000, 9_223_371_331_199_999_000), // nanoseconds, taken for milliseconds
            (i64::MAX, 9_223_371_331_199_999_000),
        ] {
            let mut buffer = PgArgumentBuffer::default();
            assert!(matches!(Timestamptz(Timestamp::from_millis(millis)).encode_by_ref(&mut buffer), Ok(IsNull::No)));
            assert_eq!(buffer.as_slice(), micros.to_be_bytes(), "{millis}");
        }
    }

    #[test]
    fn a_password_holds_any_letter_percent_encoded_and_no_error_shows_it() {
        for password in ["s3#cr3t", "a/b", "a?b", "a@b", "a:b", "100%", "[x]", "a b", "ü"] {
            let encoded: String = password.bytes().map(|byte| format!("%{byte:02X}")).collect();
            let options = address(&format!("postgres://shop:{encoded}@127.0.0.1:5432/orders")).unwrap();
            assert_eq!(
                (options.get_host(), options.get_port(), options.get_database()),
                ("127.0.0.1", 5432, Some("orders"))
            );
            assert_eq!(place(&options), "127.0.0.1:5432/orders");
        }
        for url in
            ["postgres://shop:s3cr3t#1@127.0.0.1:5432/orders", "postgres://shop:s3cr3t/1@127.0.0.1/orders", "s3cr3t"]
        {
            let error = address(url).unwrap_err().to_string();
            assert!(error.contains("%23") && error.contains("PGPASSWORD") && !error.contains("s3cr3t"), "{error}");
        }
    }

    #[test]
    fn a_connection_is_used_until_connections_are_found_to_be_at_fault() {
        let opened = Instant::now();
        std::thread::sleep(Duration::from_millis(3));
        assert!(opened_after_renewal(opened.elapsed()));
        renew_connections();
        assert!(!opened_after_renewal(opened.elapsed()));
        std::thread::sleep(Duration::from_millis(3));
        assert!(opened_after_renewal(Duration::ZERO));
    }
}
