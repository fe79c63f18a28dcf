//! The dead letters.

use std::collections::BTreeMap;

use events::{OrderId, Timestamp};
use runtime::Failure;
use runtime::sql::At;
use sqlx::types::Json;
use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

use super::{Tables, clean, clean_option};
use crate::letter::{Header, Kind, Letter};

/// Keeps dead letters that are not kept yet. They are few: one statement for each.
pub(super) async fn save(
    db: &mut PgConnection,
    tables: Tables,
    letters: &BTreeMap<Uuid, Letter>,
) -> Result<(), Failure> {
    for letter in letters.values() {
        keep(db, tables, letter).await?;
    }
    Ok(())
}

async fn keep(db: &mut PgConnection, tables: Tables, letter: &Letter) -> Result<(), Failure> {
    let (topic, partition, offset) = match &letter.original {
        Some((topic, partition, offset)) => (Some(clean(topic)), Some(*partition), Some(*offset)),
        None => (None, None, None),
    };
    sqlx::query(tables.of(
        "insert into saga_tracker.letter
           (letter_id, kind, died_at, consumers, stage, error_class, error_message, fingerprint, event_type, order_id,
            original_topic, original_partition, original_offset, code_version, key, value, headers, topic, \"partition\", \"offset\")
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
         on conflict (letter_id) do nothing",
    ))
    .bind(letter.letter_id)
    .bind(letter.kind.as_str())
    .bind(At(letter.died_at))
    .bind(letter.consumers.iter().map(|consumer| clean(consumer)).collect::<Vec<_>>())
    .bind(clean_option(&letter.stage))
    .bind(clean(&letter.error_class))
    .bind(clean(&letter.error_message))
    .bind(clean(&letter.fingerprint))
    .bind(clean_option(&letter.event_type))
    .bind(letter.order_id.map(OrderId::as_uuid))
    .bind(topic)
    .bind(partition)
    .bind(offset)
    .bind(clean_option(&letter.code_version))
    .bind(&letter.key)
    .bind(&letter.value)
    .bind(Json(&letter.headers))
    .bind(letter.stands.0)
    .bind(letter.stands.1)
    .bind(letter.stands.2)
    .execute(db)
    .await?;
    Ok(())
}

/// A dead letter, as the doors read it.
#[derive(FromRow)]
pub(crate) struct LetterRow {
    pub letter_id: Uuid,
    pub kind: String,
    pub died_at: At,
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

macro_rules! select_letters {
    ($value:literal, $rest:literal) => {
        concat!(
            "select letter_id, kind, died_at, consumers, stage, error_class, error_message, fingerprint, event_type, order_id,
               original_topic, original_partition, original_offset, code_version, key, ", $value, " as value,
               octet_length(value) as value_bytes, headers, topic, \"partition\", \"offset\"
             from saga_tracker.letter ",
            $rest
        )
    };
}

/// Which dead letters are asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct LetterFilter {
    pub kind: Option<Kind>,
    pub consumer: Option<String>,
    pub class: Option<String>,
    pub fingerprint: Option<String>,
    pub order_id: Option<OrderId>,
    /// Only older ones than this.
    pub behind: Option<(Timestamp, Uuid)>,
    /// Bytes of a value that are shown.
    pub shown: i32,
    pub limit: i64,
}

/// Dead letters, the newest first.
pub(crate) async fn letters(pool: &PgPool, filter: &LetterFilter) -> Result<Vec<LetterRow>, Failure> {
    let (died_at, letter_id) = filter.behind.map(|(at, id)| (At(at), id)).unzip();
    let rows = sqlx::query_as(select_letters!(
        "substring(value for $8)",
        "where ($1::text is null or kind = $1) and ($2::text is null or $2 = any (consumers))
           and ($3::text is null or error_class = $3) and ($4::text is null or fingerprint = $4)
           and ($5::uuid is null or order_id = $5) and ($6::timestamptz is null or (died_at, letter_id) < ($6, $7::uuid))
         order by died_at desc, letter_id desc limit $9"
    ))
    .bind(filter.kind.map(Kind::as_str))
    .bind(&filter.consumer)
    .bind(&filter.class)
    .bind(&filter.fingerprint)
    .bind(filter.order_id.map(OrderId::as_uuid))
    .bind(died_at)
    .bind(letter_id)
    .bind(filter.shown)
    .bind(filter.limit)
    .fetch_all(pool)
    .await?;
    Ok(rows)
}

/// One dead letter, with its whole value.
pub(crate) async fn letter(pool: &PgPool, letter_id: Uuid) -> Result<Option<LetterRow>, Failure> {
    let row = sqlx::query_as(select_letters!("value", "where letter_id = $1"));
    Ok(row.bind(letter_id).fetch_optional(pool).await?)
}
