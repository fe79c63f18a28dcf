//! Dead letters: events that nobody could decide, and orders that are stuck. What is done about them is asked for at the routes of [`super::actions`].

use axum::extract::{Path, State};
use axum::http::StatusCode;
use events::{OrderId, Timestamp};
use operator::{Filter, GroupView, LetterKind, LetterStatus, LetterView};
use runtime::http::query::{QueryResult, asked, behind, limit, one_of, page, text, time};
use runtime::http::{Caller, Json, Problem};
use runtime::sql::in_range;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::state::{JsonResult, TrackerApi, known, refused, two};

/// Declares what is asked for of dead letters: a filter, whose fields stand once, and what else. (Queries can't nest.)
macro_rules! filtered {
    ($(#[$attribute:meta])* $name:ident: $as:ident$(($inline:ident))? { $($(#[$doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$attribute])*
        #[serde(deny_unknown_fields)]
        pub(super) struct $name {
            /// `event`: an event that a consumer could not decide; `order`: an order that is stuck.
            #[$as($($inline,)? value_type = Option<LetterKind>)]
            kind: Option<String>,
            /// Who could not decide it, or should have answered.
            consumer: Option<String>,
            /// The kind of error, such as `unreadable` or `conflict`.
            class: Option<String>,
            /// Those with the same cause.
            fingerprint: Option<String>,
            /// Those of this order.
            order_id: Option<Uuid>,
            /// Those of this event type: its full name, or its last part.
            event_type: Option<String>,
            /// Died at this time or later, RFC 3339.
            died_after: Option<String>,
            /// Died before this time, RFC 3339.
            died_before: Option<String>,
            /// Where they stand.
            #[$as($($inline,)? value_type = Option<LetterStatus>)]
            status: Option<String>,
            $($(#[$doc])* $field: $type,)*
        }

        impl $name {
            pub(super) fn filter(self) -> Result<Filter, Problem> {
                let kinds = [LetterKind::Event, LetterKind::Order].into_iter().map(|kind| (kind.as_str(), kind));
                let statuses = LetterStatus::ALL.into_iter().map(|status| (status.as_str(), status));
                Ok(Filter {
                    kind: one_of("kind", self.kind.as_deref(), kinds)?,
                    consumer: text("consumer", self.consumer)?,
                    class: text("class", self.class)?,
                    fingerprint: text("fingerprint", self.fingerprint)?,
                    order_id: self.order_id.map(OrderId),
                    event_type: text("event_type", self.event_type)?,
                    from: time("died_after", self.died_after.as_deref())?,
                    until: time("died_before", self.died_before.as_deref())?,
                    status: one_of("status", self.status.as_deref(), statuses)?,
                })
            }
        }
    };
}

filtered! {
    /// Which dead letters; what is absent says nothing.
    #[derive(Debug, Default, Deserialize, ToSchema)]
    FilterAsked: schema {}
}

filtered! {
    /// Which page of them.
    #[derive(Debug, Deserialize, IntoParams)]
    #[into_params(parameter_in = Query)]
    LettersAsked: param(inline) {
        /// Entries on the page, at most 500; 50 unless set.
        limit: Option<i64>,
        /// `next` of the page before; absent for the first.
        after: Option<String>,
        /// Keys, values, headers and data of events in full, for operators. That they were shown is put on record.
        reveal: Option<bool>,
    }
}

filtered! {
    /// Which groups of them.
    #[derive(Debug, Deserialize, IntoParams)]
    #[into_params(parameter_in = Query)]
    GroupsAsked: param(inline) {
        /// Entries on the page, at most 500; 50 unless set.
        limit: Option<i64>,
    }
}

/// How a dead letter is shown.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct LetterAsked {
    /// Key, value, headers and data of an event in full, for operators. That they were shown is put on record.
    reveal: Option<bool>,
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

/// Lists dead letters, the newest first.
#[utoipa::path(get, path = "/dead-letters", tag = "dead letters", params(LettersAsked), responses(
    (status = 200, description = "A page of dead letters.", body = Letters),
    (status = 400, description = "A filter or the cursor can't be read.", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The database does not answer: ask again.", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list(
    State(api): State<TrackerApi>,
    caller: Caller,
    query: QueryResult<LettersAsked>,
) -> JsonResult<Letters> {
    let asked = asked(query)?;
    let limit = limit(asked.limit)?;
    let view = revealed(&caller, asked.reveal).await?;
    let behind = behind(asked.after.as_deref(), two)?.map(|(at, id)| (in_range(Timestamp::from_millis(at)), id));
    let found = api.operator.page(&asked.filter()?, behind, limit + 1).await;
    let known_by = |((died_at, id), _): &((Timestamp, Uuid), _)| vec![died_at.as_millis().to_string(), id.to_string()];
    let (rows, next) = page(found.map_err(refused)?, limit, known_by);
    Ok(Json(Letters { dead_letters: rows.into_iter().map(|(_, letter)| view(letter)).collect(), next }))
}

/// Dead letters by cause.
#[derive(Serialize, ToSchema)]
pub(super) struct DeadLetterGroups {
    /// Those with the most dead letters first.
    groups: Vec<GroupView>,
}

/// Groups dead letters by cause, the largest group first.
#[utoipa::path(get, path = "/dead-letters/groups", tag = "dead letters", params(GroupsAsked), responses(
    (status = 200, description = "The groups. There is no page behind the first: ask for less.", body = DeadLetterGroups),
    (status = 400, description = "A filter can't be read.", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The database does not answer: ask again, for less.", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn groups(
    State(api): State<TrackerApi>,
    query: QueryResult<GroupsAsked>,
) -> JsonResult<DeadLetterGroups> {
    let asked = asked(query)?;
    let limit = limit(asked.limit)?;
    let groups = api.operator.groups(&asked.filter()?, limit).await.map_err(refused)?;
    Ok(Json(DeadLetterGroups { groups }))
}

/// Shows one dead letter: what died of what, what was done about it, and what can be done now; with `reveal=true` its whole value and its data.
#[utoipa::path(get, path = "/dead-letters/{letter_id}", tag = "dead letters", params(
    ("letter_id" = Uuid, Path, description = "The dead letter."), LetterAsked,
), responses(
    (status = 200, description = "The dead letter.", body = LetterView),
    (status = 400, description = "The query can't be read.", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "There is none of this id.", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The database does not answer: ask again.", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn show(
    State(api): State<TrackerApi>,
    caller: Caller,
    Path(id): Path<String>,
    query: QueryResult<LetterAsked>,
) -> JsonResult<LetterView> {
    let (letter_id, asked) = (known(&id, unknown)?, asked(query)?);
    let view = revealed(&caller, asked.reveal).await?;
    let letter = api.operator.show(letter_id).await.map_err(refused)?;
    letter.map(|letter| Json(view(letter))).ok_or_else(|| unknown(&id))
}

async fn revealed(caller: &Caller, reveal: Option<bool>) -> Result<fn(LetterView) -> LetterView, Problem> {
    if reveal != Some(true) {
        return Ok(LetterView::hidden);
    }
    caller.reveals("records of dead letters").await?;
    Ok(|letter| letter)
}

pub(super) fn unknown(id: &str) -> Problem {
    let detail =
        format!("expected the id of a dead letter that was heard of, got {id:?}; GET /dead-letters lists them");
    Problem::new(StatusCode::NOT_FOUND, "Unknown dead letter").detail(detail)
}
