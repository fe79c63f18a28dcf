//! Jobs: one thing done with all dead letters of a filter, worked on by one instance at a time.

use std::time::Duration;

use events::Timestamp;
use runtime::Failure;
use runtime::sql::{Timestamptz, clean};
use serde::Serialize;
use sqlx::{FromRow, PgConnection, PgPool};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::filter::Bulk;

/// How long an instance that says nothing is believed to work on its job.
const LEASE: Duration = Duration::from_secs(30);

/// Until when an instance that says something now may work on its job.
fn lease(now: Timestamp) -> Timestamptz {
    Timestamptz(now.plus(LEASE))
}

/// One thing done with all dead letters of a filter.
#[derive(Clone, Debug, FromRow, Serialize, ToSchema)]
pub struct JobView {
    /// Its id; newer ones are greater.
    #[schema(value_type = String)]
    pub job_id: Uuid,
    /// When it began, RFC 3339.
    #[schema(value_type = String)]
    pub begun_at: Timestamptz,
    /// Who began it.
    pub who: String,
    /// Why.
    pub why: String,
    /// `retry`, `skip` or `compensate`.
    pub what: String,
    /// Dead letters a second at most; absent: as fast as it goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// How often a record may have gone round to be given back once more.
    pub max_loops: i32,
    /// `running`, `stopped` or `done`.
    pub state: String,
    /// Dead letters of its filter when it began.
    pub total: i64,
    /// With how many it is done.
    pub done: i64,
    /// How many were refused.
    pub refused: i64,
    /// How many it has not come to.
    pub left: i64,
    /// Why the last one was refused that was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
    /// What went wrong, if it waits to try again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// When anything of it changed, RFC 3339.
    #[schema(value_type = String)]
    pub changed_at: Timestamptz,
    /// A [`Filter`](crate::Filter) as JSON.
    #[serde(skip)]
    pub(crate) filter: String,
    /// The last dead letter that it went through.
    #[serde(skip)]
    pub(crate) behind_at: Option<Timestamptz>,
    #[serde(skip)]
    pub(crate) behind_id: Option<Uuid>,
}

/// Which instance works on a job, and until when it may.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JobLease {
    pub job_id: Uuid,
    pub holder: Uuid,
}

macro_rules! job {
    () => {
        "job_id, begun_at, who, why, what, filter, rate, max_loops, state, total, done, refused, behind_at, behind_id, refusal, waits_for, changed_at,
           case when state = 'done' then 0 else greatest(total - done - refused, 0) end as \"left\""
    };
}

/// Begins a job with so many dead letters of a filter, which is JSON.
pub(crate) async fn begin_job(
    db: &mut PgConnection,
    job_id: Uuid,
    bulk: &Bulk,
    filter: &str,
    total: i64,
    now: Timestamp,
) -> Result<JobView, Failure> {
    let row = sqlx::query_as(concat!(
        "insert into saga_tracker.job (job_id, begun_at, who, why, what, filter, rate, max_loops, state, total, changed_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, 'running', $9, $2) returning ",
        job!()
    ))
    .bind(job_id)
    .bind(Timestamptz(now))
    .bind(clean(&bulk.note.who))
    .bind(clean(&bulk.note.why))
    .bind(bulk.act.name())
    .bind(filter)
    .bind(bulk.rate)
    .bind(bulk.max_loops)
    .bind(total);
    Ok(row.fetch_one(db).await?)
}

pub(crate) async fn job(pool: &PgPool, job_id: Uuid) -> Result<Option<JobView>, Failure> {
    let row = sqlx::query_as(concat!("select ", job!(), " from saga_tracker.job where job_id = $1"));
    Ok(row.bind(job_id).fetch_optional(pool).await?)
}

pub(crate) async fn jobs(pool: &PgPool, limit: i64) -> Result<Vec<JobView>, Failure> {
    let rows = sqlx::query_as(concat!("select ", job!(), " from saga_tracker.job order by job_id desc limit $1"));
    Ok(rows.bind(limit).fetch_all(pool).await?)
}

/// Takes the oldest job that runs and that nobody works on; none: there is none.
pub(crate) async fn take_job(pool: &PgPool, holder: Uuid, now: Timestamp) -> Result<Option<JobView>, Failure> {
    let row = sqlx::query_as(concat!(
        "update saga_tracker.job set held_by = $1, held_until = $3
         where job_id = (select job_id from saga_tracker.job where state = 'running' and (held_until is null or held_until <= $2 or held_by = $1)
                         order by begun_at limit 1 for update skip locked)
         returning ",
        job!()
    ));
    Ok(row.bind(holder).bind(Timestamptz(now)).bind(lease(now)).fetch_optional(pool).await?)
}

/// Moves a job on behind a dead letter, in the transaction of what was done with it; false: it is stopped, or another instance works on it.
pub(crate) async fn advance_job(
    db: &mut PgConnection,
    hold: JobLease,
    letter: (Timestamp, Uuid),
    refused: Option<&str>,
    now: Timestamp,
) -> Result<bool, Failure> {
    let done = sqlx::query(
        "update saga_tracker.job set done = done + case when $5::text is null then 1 else 0 end,
           refused = refused + case when $5::text is null then 0 else 1 end, refusal = coalesce($5, refusal), waits_for = null,
           behind_at = $3, behind_id = $4, changed_at = $6, held_until = $7
         where job_id = $1 and held_by = $2 and state = 'running'",
    )
    .bind(hold.job_id)
    .bind(hold.holder)
    .bind(Timestamptz(letter.0))
    .bind(letter.1)
    .bind(refused.map(clean))
    .bind(Timestamptz(now))
    .bind(lease(now))
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Lets a job go, with why it waits; another instance, or this one again, takes it up after `until`.
pub(crate) async fn release_job(
    pool: &PgPool,
    hold: JobLease,
    why: Option<&str>,
    now: Timestamp,
    until: Timestamp,
) -> Result<(), Failure> {
    sqlx::query(
        "update saga_tracker.job set waits_for = $3, changed_at = $4, held_by = null, held_until = $5
         where job_id = $1 and held_by = $2 and state = 'running'",
    )
    .bind(hold.job_id)
    .bind(hold.holder)
    .bind(why.map(clean))
    .bind(Timestamptz(now))
    .bind(Timestamptz(until))
    .execute(pool)
    .await?;
    Ok(())
}

/// Ends a job that went through all, or that a person stops; false: it did not run.
pub(crate) async fn end_job(
    db: &mut PgConnection,
    job_id: Uuid,
    state: &'static str,
    now: Timestamp,
) -> Result<bool, Failure> {
    let done = sqlx::query(
        "update saga_tracker.job set state = $2, changed_at = $3, held_by = null, held_until = null where job_id = $1 and state = 'running'",
    );
    Ok(done.bind(job_id).bind(state).bind(Timestamptz(now)).execute(db).await?.rows_affected() == 1)
}

/// Lets a job that was stopped go on where it was; false: it was not stopped.
pub(crate) async fn resume_job(db: &mut PgConnection, job_id: Uuid, now: Timestamp) -> Result<bool, Failure> {
    let done = sqlx::query(
        "update saga_tracker.job set state = 'running', changed_at = $2 where job_id = $1 and state = 'stopped'",
    );
    Ok(done.bind(job_id).bind(Timestamptz(now)).execute(db).await?.rows_affected() == 1)
}
