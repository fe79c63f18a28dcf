//! Dead letters: events that nobody could decide, and orders that are stuck.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use events::{OrderId, Timestamp};
use runtime::http::{Json, Problem};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::page::{Asked, asked, behind, cursor, cut, limit, one_of, text};
use super::{Doors, failed};
use crate::letter::{Header, Kind, hex};
use crate::record::in_range;
use crate::store::{self, LetterFilter, LetterRow};

/// Bytes of a value that a list shows.
const SHOWN: i32 = 2_048;

/// Which dead letters.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct LettersAsked {
    /// `event`: an event that a consumer could not decide; `order`: an order that is stuck.
    #[param(value_type = Option<Kind>)]
    kind: Option<String>,
    /// Who could not decide it, or should have answered.
    consumer: Option<String>,
    /// The kind of error, such as `unreadable` or `conflict`.
    class: Option<String>,
    /// Those with the same cause.
    fingerprint: Option<String>,
    /// Those of this order.
    order_id: Option<Uuid>,
    /// Dead letters on the page, at most 500; 50 unless set.
    limit: Option<i64>,
    /// `next` of the page before; absent for the first.
    after: Option<String>,
}

/// A page of dead letters.
#[derive(Serialize, ToSchema)]
pub(super) struct Letters {
    /// The newest first.
    dead_letters: Vec<LetterView>,
    /// What `after` must be for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Where a record stands.
#[derive(Serialize, ToSchema)]
struct PlaceView {
    /// The topic, without the deployment's prefix.
    topic: String,
    /// The partition; -1: not known.
    partition: i32,
    /// The offset; -1: not known.
    offset: i64,
}

/// Bytes of a record.
#[derive(Serialize, ToSchema)]
struct BytesView {
    /// How many there are.
    bytes: usize,
    /// Whether only their beginning is shown; `GET /dead-letters/{letter_id}` shows all.
    cut: bool,
    /// As text, if they are readable.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// In hexadecimal, if they are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
}

/// A dead letter. Key, value and headers are those of the original, with the headers that say why it died. They may hold personal data.
#[derive(Serialize, ToSchema)]
pub(super) struct LetterView {
    /// Its id.
    letter_id: String,
    /// `event` or `order`.
    kind: String,
    /// When it died, RFC 3339.
    died_at: String,
    /// Who could not decide it; of an order, who should have answered.
    consumers: Vec<String>,
    /// At which stage it died: `decode`, `decide`, `save` or `call`.
    stage: Option<String>,
    /// The kind of error.
    error_class: String,
    /// What was expected, what came, what to do.
    error_message: String,
    /// Equal for equal causes.
    fingerprint: String,
    /// Type of the event that died, or that was not answered.
    event_type: Option<String>,
    /// The order, if it is known.
    order_id: Option<String>,
    /// Where the event was read from; absent if an answer, a timer or a request died.
    original: Option<PlaceView>,
    /// The version that could not decide it.
    code_version: Option<String>,
    /// The record's key.
    key: Option<BytesView>,
    /// The record's value.
    value: Option<BytesView>,
    /// The record's headers.
    headers: Vec<Header>,
    /// Where the dead letter itself stands.
    stands: PlaceView,
}

fn bytes(shown: Vec<u8>, all: usize) -> BytesView {
    let cut = shown.len() < all;
    match String::from_utf8(shown) {
        Ok(text) => BytesView { bytes: all, cut, text: Some(text), hex: None },
        Err(error) => BytesView { bytes: all, cut, text: None, hex: Some(hex(error.as_bytes())) },
    }
}

impl From<LetterRow> for LetterView {
    fn from(row: LetterRow) -> Self {
        let value_bytes = row.value_bytes.and_then(|all| usize::try_from(all).ok()).unwrap_or_default();
        let original = row.original_topic.map(|topic| PlaceView {
            topic,
            partition: row.original_partition.unwrap_or(-1),
            offset: row.original_offset.unwrap_or(-1),
        });
        Self {
            letter_id: row.letter_id.to_string(),
            kind: row.kind,
            died_at: row.died_at.0.to_string(),
            consumers: row.consumers,
            stage: row.stage,
            error_class: row.error_class,
            error_message: row.error_message,
            fingerprint: row.fingerprint,
            event_type: row.event_type,
            order_id: row.order_id.map(|id| id.to_string()),
            original,
            code_version: row.code_version,
            key: row.key.map(|key| {
                let all = key.len();
                bytes(key, all)
            }),
            value: row.value.map(|value| bytes(value, value_bytes)),
            headers: row.headers.0,
            stands: PlaceView { topic: row.topic, partition: row.partition, offset: row.offset },
        }
    }
}

/// Lists dead letters, the newest first.
#[utoipa::path(get, path = "/dead-letters", tag = "dead letters", params(LettersAsked), responses(
    (status = 200, description = "A page of dead letters.", body = Letters),
    (status = 400, description = "A filter or the cursor can't be read.", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The database does not answer: ask again.", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list(State(doors): State<Doors>, query: Asked<LettersAsked>) -> Result<Json<Letters>, Problem> {
    let asked = asked(query)?;
    let limit = limit(asked.limit)?;
    let kinds = [Kind::Event, Kind::Order].into_iter().map(|kind| (kind.as_str(), kind));
    let filter = LetterFilter {
        kind: one_of("kind", asked.kind.as_deref(), kinds)?,
        consumer: text("consumer", asked.consumer)?,
        class: text("class", asked.class)?,
        fingerprint: text("fingerprint", asked.fingerprint)?,
        order_id: asked.order_id.map(OrderId),
        behind: behind(asked.after.as_deref(), |parts| match parts {
            [died_at, id] => Some((in_range(Timestamp::from_millis(died_at.parse().ok()?)), id.parse().ok()?)),
            _ => None,
        })?,
        shown: SHOWN,
        limit: limit + 1,
    };
    let mut rows = store::letters(&doors.pool, &filter).await.map_err(failed)?;
    let more = cut(&mut rows, limit);
    let next = rows
        .last()
        .filter(|_| more)
        .map(|last| cursor(&[&last.died_at.0.as_millis().to_string(), &last.letter_id.to_string()]));
    Ok(Json(Letters { dead_letters: rows.into_iter().map(LetterView::from).collect(), next }))
}

/// Shows one dead letter, with its whole value.
#[utoipa::path(get, path = "/dead-letters/{letter_id}", tag = "dead letters", params(
    ("letter_id" = Uuid, Path, description = "The dead letter."),
), responses(
    (status = 200, description = "The dead letter.", body = LetterView),
    (status = 404, description = "There is none of this id.", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The database does not answer: ask again.", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn show(State(doors): State<Doors>, Path(id): Path<String>) -> Result<Json<LetterView>, Problem> {
    let unknown = || {
        let detail =
            format!("expected the id of a dead letter that was heard of, got {id:?}; GET /dead-letters lists them");
        Problem::new(StatusCode::NOT_FOUND, "Unknown dead letter").detail(detail)
    };
    let letter_id: Uuid = id.parse().map_err(|_| unknown())?;
    let row = store::letter(&doors.pool, letter_id).await.map_err(failed)?.ok_or_else(unknown)?;
    Ok(Json(row.into()))
}
