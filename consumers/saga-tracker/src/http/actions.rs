//! What people have done about one dead letter. Whoever changes anything says who they are by their API key; it is kept for good.

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use operator::{Act, ActOutcome, ActionFilter, ActionView, MAX_LOOPS, Note};
use runtime::http::query::{QueryResult, asked, behind, limit, page, text};
use runtime::http::{Caller, Json, Problem};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::dead_letters::unknown;
use super::state::{JsonResult, TrackerApi, known, one, refused};

const LONGEST_REASON: usize = 500;

/// Who acts. What is wanted stands in the body, and nothing else behind the path: a `?dry_run=true` that is passed over would be done.
pub(super) struct Who(pub Caller);

impl FromRequestParts<TrackerApi> for Who {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &TrackerApi) -> Result<Self, Problem> {
        if let Some(query) = parts.uri.query().filter(|query| !query.is_empty()) {
            return Err(Problem::new(StatusCode::BAD_REQUEST, "Unexpected query").detail(format!(
                "expected what is wanted in the body (`dry_run` too), got ?{query} behind the path: nothing was done"
            )));
        }
        Caller::from_request_parts(parts, api).await.map(Self)
    }
}

impl Who {
    pub(super) fn note(&self, why: &str, required: bool) -> Result<Note, Problem> {
        let (least, length) = (usize::from(required), why.trim().chars().count());
        if length < least || length > LONGEST_REASON || why.contains('\0') {
            let detail = format!("`why`: expected {least} to {LONGEST_REASON} characters of text, got {length}");
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "No reason").detail(detail));
        }
        self.0.says_why(why.trim());
        Ok(Note { who: self.0.name().to_owned(), why: why.trim().to_owned() })
    }
}

/// What somebody wants done with the thing that the path names.
pub(super) struct Wished<W> {
    pub api: TrackerApi,
    pub who: Who,
    pub id: String,
    pub wish: W,
}

impl<W: DeserializeOwned + Send> FromRequest<TrackerApi> for Wished<W> {
    type Rejection = Response;

    async fn from_request(request: Request, api: &TrackerApi) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let who = Who::from_request_parts(&mut parts, api).await.map_err(Problem::into_response)?;
        let Path(id) = Path::from_request_parts(&mut parts, api).await.map_err(PathRejection::into_response)?;
        let wish = Json::from_request(Request::from_parts(parts, body), api).await.map_err(Problem::into_response);
        wish.map(|Json(wish)| Self { api: api.clone(), who, id, wish })
    }
}

/// What is wanted, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({"why": "forged", "dry_run": true}))]
#[serde(deny_unknown_fields)]
pub(super) struct Wish {
    /// Why, for whoever reads the audit record; required unless it is a retry. Up to 500 characters.
    #[serde(default)]
    why: String,
    /// Only say what would be done.
    #[serde(default)]
    dry_run: bool,
    /// How often its record may have gone round to be given back once more; 5 unless set.
    max_loops: Option<i32>,
}

/// An edit.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({"why": "cut by a proxy", "data": {"order_id": "01890a5d-ac96-774b-bcce-b302099a8057"}, "dry_run": true}))]
#[serde(deny_unknown_fields)]
pub(super) struct EditWish {
    /// Why, for whoever reads the audit record. Up to 500 characters.
    why: String,
    /// The event's whole data, as `data` of the dead letter shows it. Without `personal`, that stays as it was.
    data: Value,
    /// Only say what would be done.
    #[serde(default)]
    dry_run: bool,
    /// How often its record may have gone round to be given back once more; 5 unless set.
    max_loops: Option<i32>,
}

impl Wished<Wish> {
    async fn done(self, act: Act) -> JsonResult<ActOutcome> {
        let Self { api, who, id, wish } = self;
        let note = who.note(&wish.why, act != Act::Retry)?;
        let max_loops = wish.max_loops.unwrap_or(MAX_LOOPS);
        let done = api.operator.one(known(&id, unknown)?, &act, &note, max_loops, wish.dry_run).await;
        done.map(Json).map_err(refused)
    }
}

/// Has its consumer decide a dead letter again, before everything of the same key that waits behind it.
///
/// An attempt of payments that waits for a person is tried again by payments.
#[utoipa::path(post, path = "/dead-letters/{letter_id}/retry", tag = "dead letters", request_body = Wish, params(
    ("letter_id" = Uuid, Path, description = "The dead letter.")
), responses(
    (status = 200, description = "What was done, or would be. What comes of it shows in its status.", body = ActOutcome),
    (status = 404, description = "There is none of this id.", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "It can't be done, or was done: `detail` says why.", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "Somebody who is needed does not answer: ask again.", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn retry(wished: Wished<Wish>) -> JsonResult<ActOutcome> {
    wished.done(Act::Retry).await
}

/// Leaves a dead letter out for good, and goes on behind it.
///
/// Its order is cancelled first, unless no order hangs on it: if that can't be asked for, nothing is skipped.
#[utoipa::path(post, path = "/dead-letters/{letter_id}/skip", tag = "dead letters", request_body = Wish, params(
    ("letter_id" = Uuid, Path, description = "The dead letter.")
), responses(
    (status = 200, description = "What was done, or would be.", body = ActOutcome),
    (status = 404, description = "There is none of this id.", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "It can't be done, or was done: `detail` says why.", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "There is no reason.", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "Orders does not answer: nothing was skipped, ask again.", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn skip(wished: Wished<Wish>) -> JsonResult<ActOutcome> {
    wished.done(Act::Skip).await
}

/// Has its consumer decide a dead letter again, with other data, which is checked against the event's schema.
#[utoipa::path(post, path = "/dead-letters/{letter_id}/edit", tag = "dead letters", request_body = EditWish, params(
    ("letter_id" = Uuid, Path, description = "The dead letter.")
), responses(
    (status = 200, description = "What was done, or would be.", body = ActOutcome),
    (status = 404, description = "There is none of this id.", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "It can't be done, or was done: `detail` says why.", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The data does not fit: `misfits` names each field, what was expected and what came.", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The database does not answer: ask again.", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn edit(wished: Wished<EditWish>) -> JsonResult<ActOutcome> {
    let Wished { api, who, id, wish: EditWish { why, data, dry_run, max_loops } } = wished;
    Wished { api, who, id, wish: Wish { why, dry_run, max_loops } }.done(Act::Edit(data)).await
}

/// Asks for the cancellation of its order. The dead letter itself stays as it is.
#[utoipa::path(post, path = "/dead-letters/{letter_id}/compensate", tag = "dead letters", request_body = Wish, params(
    ("letter_id" = Uuid, Path, description = "The dead letter.")
), responses(
    (status = 200, description = "What was done, or would be.", body = ActOutcome),
    (status = 404, description = "There is none of this id.", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "Its order is not known, or went on: `detail` says so.", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "There is no reason.", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "Orders does not answer: ask again.", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn compensate(wished: Wished<Wish>) -> JsonResult<ActOutcome> {
    wished.done(Act::Compensate).await
}

/// Which actions.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ActionsAsked {
    /// About this dead letter.
    letter_id: Option<Uuid>,
    /// About this order.
    order_id: Option<Uuid>,
    /// Of this job.
    job_id: Option<Uuid>,
    /// By this person.
    who: Option<String>,
    /// Actions on the page, at most 500; 50 unless set.
    limit: Option<i64>,
    /// `next` of the page before; absent for the first.
    after: Option<String>,
}

/// A page of actions.
#[derive(Serialize, ToSchema)]
pub(super) struct Actions {
    /// The newest first.
    actions: Vec<ActionView>,
    /// What `after` must be for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Lists what people had done, with who, why, and what came of it, the newest first.
#[utoipa::path(get, path = "/actions", tag = "dead letters", params(ActionsAsked), responses(
    (status = 200, description = "A page of the audit record.", body = Actions),
    (status = 400, description = "A filter or the cursor can't be read.", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The database does not answer: ask again.", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list(State(api): State<TrackerApi>, query: QueryResult<ActionsAsked>) -> JsonResult<Actions> {
    let asked = asked(query)?;
    let limit = limit(asked.limit)?;
    let filter = ActionFilter {
        letter_id: asked.letter_id,
        order_id: asked.order_id,
        job_id: asked.job_id,
        who: text("who", asked.who)?,
        behind: behind(asked.after.as_deref(), one)?,
        limit: limit + 1,
    };
    let rows = api.operator.actions(&filter).await.map_err(refused)?;
    let (rows, next) = page(rows, limit, |last| vec![last.action_id.to_string()]);
    Ok(Json(Actions { actions: rows, next }))
}
