//! Jobs: one thing done with all dead letters of a filter, worked on by one instance at a time.

use std::time::Duration;

use events::Timestamp;
use runtime::Failure;
use runtime::sql::{Timestamptz, clean};
use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

/// How long an instance that says nothing is believed to work on its job.
const LEASE: Duration = Duration::from_secs(30);

/// Until when an instance that says something now may work on its job.
fn lease(now: Timestamp) -> Timestamptz {
    Timestamptz(now.plus(LEASE))
}

/// A job as it is kept.
#[derive(Clone, Debug, FromRow)]
pub(crate) struct JobRow {
    pub job_id: Uuid,
    pub begun_at: Timestamptz,
    pub who: String,
    pub why: String,
    pub what: String,
    pub filter: String,
    pub rate: Option<f64>,
    pub max_loops: i32,
    pub state: String,
    pub total: i64,
    pub done: i64,
    pub refused: i64,
    pub behind_at: Option<Timestamptz>,
    pub behind_id: Option<Uuid>,
    pub refusal: Option<String>,
    pub waits_for: Option<String>,
    pub changed_at: Timestamptz,
}

/// Which instance works on a job, and until when it may.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JobLease {
    pub job_id: Uuid,
    pub holder: Uuid,
}

macro_rules! job {
    () => {
        "job_id, begun_at, who, why, what, filter, rate, max_loops, state, total, done, refused, behind_at, behind_id, refusal, waits_for, changed_at"
    };
}

/// Begins a job.
pub(crate) async fn begin_job(db: &mut PgConnection, job: &JobRow) -> Result<(), Failure> {
    sqlx::query(
        "insert into saga_tracker.job (job_id, begun_at, who, why, what, filter, rate, max_loops, state, total, changed_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $2)",
    )
    .bind(job.job_id)
    .bind(job.begun_at)
    .bind(clean(&job.who))
    .bind(clean(&job.why))
    .bind(&job.what)
    .bind(&job.filter)
    .bind(job.rate)
    .bind(job.max_loops)
    .bind(&job.state)
    .bind(job.total)
    .execute(db)
    .await?;
    Ok(())
}

/// One job.
pub(crate) async fn job(pool: &PgPool, job_id: Uuid) -> Result<Option<JobRow>, Failure> {
    let row = sqlx::query_as(concat!("select ", job!(), " from saga_tracker.job where job_id = $1"));
    Ok(row.bind(job_id).fetch_optional(pool).await?)
}

/// The newest jobs.
pub(crate) async fn jobs(pool: &PgPool, limit: i64) -> Result<Vec<JobRow>, Failure> {
    let rows = sqlx::query_as(concat!("select ", job!(), " from saga_tracker.job order by job_id desc limit $1"));
    Ok(rows.bind(limit).fetch_all(pool).await?)
}

/// Takes the oldest job that runs and that nobody works on; none: there is none.
pub(crate) async fn take_job(pool: &PgPool, holder: Uuid, now: Timestamp) -> Result<Option<JobRow>, Failure> {
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
