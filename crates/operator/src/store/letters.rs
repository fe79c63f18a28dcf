//! The dead letters, as they were heard: `saga_tracker.letter`, which the tracker writes.

use events::{OrderId, Timestamp};
use runtime::Failure;
use runtime::sql::Timestamptz;
use serde::Serialize;
use sqlx::postgres::PgArguments;
use sqlx::query::{QueryAs, QueryScalar};
use sqlx::types::Json;
use sqlx::{FromRow, PgPool, Postgres};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::filter::Filter;
use crate::kind::{Header, LetterKind, LetterStatus};

#[derive(Clone, FromRow)]
pub(crate) struct LetterRow {
    pub letter_id: Uuid,
    pub kind: String,
    pub status: String,
    pub loops: i32,
    pub died_at: Timestamptz,
    pub consumers: Vec<String>,
    pub stage: Option<String>,
    pub error_class: String,
    pub error_message: String,
    pub fingerprint: String,
    pub event_type: Option<String>,
    pub order_id: Option<Uuid>,
    pub original_topic: Option<String>,
    pub original_partition: Option<i32>,
    pub original_offset: Option<i64>,
    pub code_version: Option<String>,
    pub key: Option<Vec<u8>>,
    /// The value, or how it begins.
    pub value: Option<Vec<u8>>,
    pub value_bytes: Option<i32>,
    pub headers: Json<Vec<Header>>,
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
}

/// Dead letters with where they stand: what their consumer said of them, or else whether a person has had them tried again; an order's, whether it is
/// stuck still for what the letter says: an event that answers nothing does not help it.
macro_rules! from_letters {
    () => {
        "from (
           select l.*, case
             when l.kind = 'order' then case when exists (select from saga_tracker.stuck_now s
                                                          where s.order_id = l.order_id and s.letter_id = l.letter_id)
                                             then 'open' else 'recovered' end
             when r.resolution is not null then r.resolution
             when exists (select from saga_tracker.action a
                          where a.letter_id = l.letter_id and a.what in ('retry', 'edit') and a.outcome = 'done') then 'retrying'
             else 'open' end as status
           from saga_tracker.letter l
           left join saga_tracker.resolution r using (letter_id)) letter "
    };
}

/// The parameters $1 to $9 are those of [`Filter`], in its order.
macro_rules! fits {
    () => {
        "where ($1::text is null or kind = $1) and ($2::text is null or $2 = any (consumers))
           and ($3::text is null or error_class = $3) and ($4::text is null or fingerprint = $4)
           and ($5::uuid is null or order_id = $5)
           and ($6::text is null or event_type = $6 or right(event_type, length($6) + 1) = '.' || $6)
           and ($7::timestamptz is null or died_at >= $7) and ($8::timestamptz is null or died_at < $8)
           and ($9::text is null or status = $9) "
    };
}

macro_rules! select_letters {
    ($value:literal, $($rest:expr),*) => {
        concat!(
            "select letter_id, kind, status, loops, died_at, consumers, stage, error_class, error_message, fingerprint, event_type, order_id,
               original_topic, original_partition, original_offset, code_version, key, ", $value, " as value,
               octet_length(value) as value_bytes, headers, topic, \"partition\", \"offset\" ",
            from_letters!(), $($rest),*
        )
    };
}

macro_rules! with_filter {
    ($query:expr, $filter:expr) => {
        $query
            .bind($filter.kind.map(LetterKind::as_str))
            .bind($filter.consumer.clone())
            .bind($filter.class.clone())
            .bind($filter.fingerprint.clone())
            .bind($filter.order_id.map(OrderId::as_uuid))
            .bind($filter.event_type.clone())
            .bind($filter.from.map(Timestamptz))
            .bind($filter.until.map(Timestamptz))
            .bind($filter.status.map(LetterStatus::as_str))
    };
}

type Query<T> = QueryAs<'static, Postgres, T, PgArguments>;

/// Dead letters, the newest first: at most `limit`, only those behind `behind`; of their values the first `shown` bytes.
pub(crate) async fn letters(
    pool: &PgPool,
    filter: &Filter,
    behind: Option<(Timestamp, Uuid)>,
    shown: i32,
    limit: i64,
) -> Result<Vec<LetterRow>, Failure> {
    let (died_at, letter_id) = behind.map(|(at, id)| (Timestamptz(at), id)).unzip();
    let query: Query<LetterRow> = sqlx::query_as(select_letters!(
        "substring(value for $10)",
        fits!(),
        "and ($11::timestamptz is null or (died_at, letter_id) < ($11, $12::uuid)) order by died_at desc, letter_id desc limit $13"
    ));
    Ok(with_filter!(query, filter).bind(shown).bind(died_at).bind(letter_id).bind(limit).fetch_all(pool).await?)
}

/// Dead letters without their values, the oldest first: at most `limit` of those that died up to `until`, only those behind `behind`.
pub(crate) async fn oldest_letters(
    pool: &PgPool,
    filter: &Filter,
    behind: Option<(Timestamp, Uuid)>,
    until: Timestamp,
    limit: i64,
) -> Result<Vec<LetterRow>, Failure> {
    let (died_at, letter_id) = behind.map(|(at, id)| (Timestamptz(at), id)).unzip();
    let query: Query<LetterRow> = sqlx::query_as(select_letters!(
        "null::bytea",
        fits!(),
        "and ($10::timestamptz is null or (died_at, letter_id) > ($10, $11::uuid)) and died_at <= $12 order by died_at, letter_id limit $13"
    ));
    let query = with_filter!(query, filter).bind(died_at).bind(letter_id).bind(Timestamptz(until)).bind(limit);
    Ok(query.fetch_all(pool).await?)
}

pub(crate) async fn count_letters(pool: &PgPool, filter: &Filter, until: Timestamp) -> Result<i64, Failure> {
    let query: QueryScalar<'static, Postgres, i64, PgArguments> =
        sqlx::query_scalar(concat!("select count(*) ", from_letters!(), fits!(), "and died_at <= $10"));
    Ok(with_filter!(query, filter).bind(Timestamptz(until)).fetch_one(pool).await?)
}

pub(crate) async fn letter(pool: &PgPool, letter_id: Uuid) -> Result<Option<LetterRow>, Failure> {
    let row: Query<LetterRow> = sqlx::query_as(select_letters!("value", "where letter_id = $1"));
    Ok(row.bind(letter_id).fetch_optional(pool).await?)
}

/// The ids from `least` to `greatest`: at most two, which is one too many.
pub(crate) async fn letters_between(pool: &PgPool, least: Uuid, greatest: Uuid) -> Result<Vec<Uuid>, Failure> {
    let ids = sqlx::query_scalar("select letter_id from saga_tracker.letter where letter_id between $1 and $2 limit 2");
    Ok(ids.bind(least).bind(greatest).fetch_all(pool).await?)
}

/// Dead letters of one cause.
#[derive(Clone, Debug, FromRow, Serialize, ToSchema)]
pub struct GroupView {
    /// What they have in common.
    pub fingerprint: String,
    /// `event` or `order`.
    pub kind: String,
    /// Who could not decide them; of orders, who should have answered.
    pub consumers: Vec<String>,
    /// At which stage they died.
    pub stage: Option<String>,
    /// The kind of error.
    pub error_class: String,
    /// Type of the events that died, or that were not answered.
    pub event_type: Option<String>,
    /// How many they are.
    pub letters: i64,
    /// How many orders they belong to, as far as that is known.
    pub orders: i64,
    /// When the first died, RFC 3339.
    #[schema(value_type = String)]
    pub first_at: Timestamptz,
    /// When the last died, RFC 3339.
    #[schema(value_type = String)]
    pub last_at: Timestamptz,
    /// The id of the last.
    #[schema(value_type = String)]
    pub example: Uuid,
    /// What was expected there, what came, what to do.
    pub message: String,
}

/// Dead letters grouped by cause: at most `limit` groups, those with the most letters first.
pub(crate) async fn groups(pool: &PgPool, filter: &Filter, limit: i64) -> Result<Vec<GroupView>, Failure> {
    let query: Query<GroupView> = sqlx::query_as(concat!(
        "select cause.*, example.kind, example.consumers, example.stage, example.error_class, example.event_type, example.error_message as message
         from (select fingerprint, count(*) as letters, count(distinct order_id) as orders, min(died_at) as first_at, max(died_at) as last_at,
                 (array_agg(letter_id order by died_at desc, letter_id desc))[1] as example ",
        from_letters!(),
        fits!(),
        "group by fingerprint order by letters desc, last_at desc, fingerprint limit $10) cause
         join saga_tracker.letter example on example.letter_id = cause.example order by letters desc, last_at desc, cause.fingerprint"
    ));
    Ok(with_filter!(query, filter).bind(limit).fetch_all(pool).await?)
}
