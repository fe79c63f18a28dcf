//! The audit record: who had what done, why, and what came of it.

use events::Timestamp;
use runtime::Failure;
use runtime::sql::{Timestamptz, clean};
use serde::Serialize;
use sqlx::{FromRow, PgConnection, PgPool};
use utoipa::ToSchema;
use uuid::Uuid;

#[derive(Clone, Debug)]
pub(crate) struct Action<'a> {
    pub action_id: Uuid,
    pub at: Timestamp,
    pub who: &'a str,
    pub why: &'a str,
    pub what: &'static str,
    pub letter_id: Option<Uuid>,
    pub order_id: Option<Uuid>,
    pub job_id: Option<Uuid>,
}

/// Notes an action with its outcome: `begun`, `done` or `failed`.
pub(crate) async fn note(
    db: &mut PgConnection,
    action: &Action<'_>,
    outcome: &'static str,
    detail: &str,
) -> Result<(), Failure> {
    sqlx::query(
        "insert into saga_tracker.action (action_id, at, who, why, what, letter_id, order_id, job_id, outcome, detail, concluded_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, case when $9 <> 'begun' then $2::timestamptz end)",
    )
    .bind(action.action_id)
    .bind(Timestamptz(action.at))
    .bind(clean(action.who))
    .bind(clean(action.why))
    .bind(action.what)
    .bind(action.letter_id)
    .bind(action.order_id)
    .bind(action.job_id)
    .bind(outcome)
    .bind(clean(detail))
    .execute(db)
    .await?;
    Ok(())
}

pub(crate) async fn conclude(
    db: &mut PgConnection,
    action_id: Uuid,
    outcome: &'static str,
    detail: &str,
    now: Timestamp,
) -> Result<(), Failure> {
    sqlx::query("update saga_tracker.action set outcome = $2, detail = $3, concluded_at = $4 where action_id = $1")
        .bind(action_id)
        .bind(outcome)
        .bind(clean(detail))
        .bind(Timestamptz(now))
        .execute(db)
        .await?;
    Ok(())
}

/// Something that a person had done.
#[derive(Clone, Debug, FromRow, Serialize, ToSchema)]
pub struct ActionView {
    /// Its id; newer ones are greater.
    #[schema(value_type = String)]
    pub action_id: Uuid,
    /// When, RFC 3339.
    #[schema(value_type = String)]
    pub at: Timestamptz,
    /// Who.
    pub who: String,
    /// Why.
    pub why: String,
    /// `retry`, `edit`, `skip`, `compensate`, `start_job` or `stop_job`.
    pub what: String,
    /// With which dead letter.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub letter_id: Option<Uuid>,
    /// Of which order.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub order_id: Option<Uuid>,
    /// The job that it was part of, or was about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub job_id: Option<Uuid>,
    /// `done`, `failed`, or `begun`: it is under way, or whoever did it died there.
    pub outcome: String,
    /// What was done, or why it failed.
    pub detail: String,
    /// When its outcome was known, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub concluded_at: Option<Timestamptz>,
}

/// Which actions are asked for; what is not set says nothing.
#[derive(Clone, Debug, Default)]
pub struct ActionFilter {
    pub letter_id: Option<Uuid>,
    pub order_id: Option<Uuid>,
    pub job_id: Option<Uuid>,
    pub who: Option<String>,
    pub behind: Option<Uuid>,
    pub limit: i64,
}

pub(crate) async fn actions(pool: &PgPool, filter: &ActionFilter) -> Result<Vec<ActionView>, Failure> {
    let rows = sqlx::query_as(
        "select action_id, at, who, why, what, letter_id, order_id, job_id, outcome, detail, concluded_at from saga_tracker.action
         where ($1::uuid is null or letter_id = $1) and ($2::uuid is null or order_id = $2) and ($3::uuid is null or job_id = $3)
           and ($4::text is null or who = $4) and ($5::uuid is null or action_id < $5)
         order by action_id desc limit $6",
    )
    .bind(filter.letter_id)
    .bind(filter.order_id)
    .bind(filter.job_id)
    .bind(&filter.who)
    .bind(filter.behind)
    .bind(filter.limit)
    .fetch_all(pool)
    .await?;
    Ok(rows)
}
