//! What people have done with all dead letters of a filter: a job, which the tracker works on, and takes up again after a restart.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use operator::{Act, Bulk, JobView, MAX_LOOPS, Progress};
use runtime::http::query::one_of;
use runtime::http::{Json, Problem};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use super::actions::{Who, Wished};
use super::dead_letters::FilterAsked;
use super::state::{JsonResult, TrackerApi, known, refused};

const LISTED: i64 = 100;
/// Dead letters of which a dry run tells one by one.
const TOLD: usize = 500;
/// Dead letters a second that may be asked for. A job that does less has no lease that lasts from one to the next.
const SLOWEST: f64 = 0.1;
const FASTEST: f64 = 10_000.0;

/// One thing to do with all dead letters of a filter.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({"what": "retry", "filter": {"class": "conflict"}, "rate": 50, "dry_run": true}))]
#[serde(deny_unknown_fields)]
pub(super) struct JobWish {
    /// `retry`, `skip` or `compensate`.
    what: String,
    /// Why, for whoever reads the audit record; required unless it is a retry. Up to 500 characters.
    #[serde(default)]
    why: String,
    /// With which dead letters that died up to now; those that are open, unless it has a status, and events unless it
    /// has a kind or their orders are to be compensated.
    filter: FilterAsked,
    /// Dead letters a second at most, 0.1 to 10000; as fast as it goes unless set.
    rate: Option<f64>,
    /// How often a record may have gone round to be given back once more; 5 unless set.
    max_loops: Option<i32>,
    /// Only say what would be done.
    #[serde(default)]
    dry_run: bool,
}

impl JobWish {
    fn bulk(self, who: Who) -> Result<Bulk, Problem> {
        let acts = Act::OF_MANY;
        let named = acts.iter().map(|act| (act.name(), act));
        let act = one_of("what", Some(&self.what), named)?.unwrap_or(&Act::Retry);
        if let Some(rate) = self.rate.filter(|rate| !(SLOWEST..=FASTEST).contains(rate)) {
            let detail = format!("`rate`: expected {SLOWEST} to {FASTEST} dead letters a second, got {rate}");
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid rate").detail(detail));
        }
        Ok(Bulk {
            note: who.note(&self.why, *act != Act::Retry)?,
            act: act.clone(),
            filter: self.filter.filter()?.fit_for(act),
            rate: self.rate,
            max_loops: self.max_loops.unwrap_or(MAX_LOOPS),
            dry_run: self.dry_run,
        })
    }
}

/// What would be done with one dead letter.
#[derive(Serialize, ToSchema)]
struct WouldView {
    /// The dead letter.
    letter_id: String,
    /// What would be done; absent: it would be refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<String>,
    /// Why it would be refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

/// What a job would do.
#[derive(Serialize, ToSchema)]
pub(super) struct DryRun {
    /// Dead letters of the filter.
    total: u64,
    /// With how many something would be done.
    would_do: u64,
    /// How many would be refused.
    would_refuse: u64,
    /// One by one, the first 500.
    dead_letters: Vec<WouldView>,
}

/// Begins a job: one thing done with all dead letters of a filter, the oldest first, each a transaction of its own.
#[utoipa::path(post, path = "/dead-letters/jobs", tag = "dead letters", request_body = JobWish, responses(
    (status = 200, description = "A dry run: what would be done.", body = DryRun),
    (status = 202, description = "It began.", body = JobView),
    (status = 400, description = "A filter can't be read.", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The rate does not fit, or there is no reason.", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The database does not answer: ask again.", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn begin(
    State(api): State<TrackerApi>,
    who: Who,
    Json(wish): Json<JobWish>,
) -> Result<Response, Problem> {
    let bulk = wish.bulk(who)?;
    if bulk.dry_run {
        return Ok(Json(rehearse(&api, &bulk).await?).into_response());
    }
    let job = api.operator.begin_job(&bulk).await.map_err(refused)?;
    api.wake.notify_one();
    Ok((StatusCode::ACCEPTED, Json(job)).into_response())
}

async fn rehearse(api: &TrackerApi, bulk: &Bulk) -> Result<DryRun, Problem> {
    let mut dead_letters = Vec::new();
    let tell = |told: &Progress<'_>| {
        if dead_letters.len() < TOLD {
            let letter_id = told.letter_id.to_string();
            dead_letters.push(match told.outcome {
                Ok(outcome) => WouldView { letter_id, step: Some(outcome.step.clone()), refused: None },
                Err(error) => WouldView { letter_id, step: None, refused: Some(error.to_string()) },
            });
        }
    };
    let report = api.operator.all(bulk, &CancellationToken::new(), tell).await.map_err(refused)?;
    match report.error {
        Some(error) => Err(refused(error)),
        None => Ok(DryRun { total: report.total, would_do: report.done, would_refuse: report.refused, dead_letters }),
    }
}

/// Jobs.
#[derive(Serialize, ToSchema)]
pub(super) struct Jobs {
    /// The newest first, a hundred at most.
    jobs: Vec<JobView>,
}

/// Lists the newest jobs.
#[utoipa::path(get, path = "/dead-letters/jobs", tag = "dead letters", responses(
    (status = 200, description = "The newest jobs.", body = Jobs),
    (status = 503, description = "The database does not answer: ask again.", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list(State(api): State<TrackerApi>) -> JsonResult<Jobs> {
    let jobs = api.operator.jobs(LISTED).await.map_err(refused)?;
    Ok(Json(Jobs { jobs }))
}

/// Shows how far a job is.
#[utoipa::path(get, path = "/dead-letters/jobs/{job_id}", tag = "dead letters", params(
    ("job_id" = Uuid, Path, description = "The job."),
), responses(
    (status = 200, description = "The job.", body = JobView),
    (status = 404, description = "There is none of this id.", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The database does not answer: ask again.", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn show(State(api): State<TrackerApi>, Path(id): Path<String>) -> JsonResult<JobView> {
    let job = api.operator.job(known(&id, unknown)?).await.map_err(refused)?;
    job.map(Json).ok_or_else(|| unknown(&id))
}

/// Why a job is stopped, or goes on.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(example = json!({"why": "lunch"}))]
#[serde(deny_unknown_fields)]
pub(super) struct TurnWish {
    /// Why, for whoever reads the audit record. Up to 500 characters.
    #[serde(default)]
    why: String,
}

/// Stops a job between two dead letters. It can go on later.
#[utoipa::path(post, path = "/dead-letters/jobs/{job_id}/stop", tag = "dead letters", request_body = TurnWish, params(
    ("job_id" = Uuid, Path, description = "The job.")
), responses(
    (status = 200, description = "It is stopped.", body = JobView),
    (status = 404, description = "There is none of this id.", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "It does not run.", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The database does not answer: ask again.", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn stop(wished: Wished<TurnWish>) -> JsonResult<JobView> {
    turn(wished, false).await
}

/// Lets a job that was stopped go on where it was.
#[utoipa::path(post, path = "/dead-letters/jobs/{job_id}/resume", tag = "dead letters", request_body = TurnWish, params(
    ("job_id" = Uuid, Path, description = "The job.")
), responses(
    (status = 200, description = "It goes on.", body = JobView),
    (status = 404, description = "There is none of this id.", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "It was not stopped.", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The database does not answer: ask again.", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn resume(wished: Wished<TurnWish>) -> JsonResult<JobView> {
    turn(wished, true).await
}

async fn turn(Wished { api, who, id, wish }: Wished<TurnWish>, on: bool) -> JsonResult<JobView> {
    let note = who.note(&wish.why, false)?;
    let job = api.operator.turn_job(known(&id, unknown)?, on, &note).await.map_err(refused)?;
    api.wake.notify_one();
    job.map(Json).ok_or_else(|| unknown(&id))
}

fn unknown(id: &str) -> Problem {
    let detail = format!("expected the id of a job, got {id:?}; GET /dead-letters/jobs lists them");
    Problem::new(StatusCode::NOT_FOUND, "Unknown job").detail(detail)
}
