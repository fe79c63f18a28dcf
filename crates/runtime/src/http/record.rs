//! What people do through the routes is on record: `runtime.door_action`, in the database of the program that they called.

use sqlx::PgPool;
use uuid::Uuid;

use crate::clock::Clock;
use crate::postgres::sql::Timestamptz;

pub(crate) struct ActionRecord<'a> {
    pub consumer: &'static str,
    pub who: &'a str,
    pub role: &'a str,
    /// Method and path as documented, or `reveal` and what.
    pub what: &'a str,
    /// The path as it was called.
    pub subject: &'a str,
}

/// Begins a record, before anything is done: what can't be put on record is not done.
pub(crate) async fn begin(pool: &PgPool, clock: &Clock, action: &ActionRecord<'_>) -> Result<Uuid, sqlx::Error> {
    let action_id = clock.mint();
    let ActionRecord { consumer, who, role, what, subject } = action;
    let insert = "insert into runtime.door_action (action_id, at, consumer, who, role, what, subject) values ($1, $2, $3, $4, $5, $6, $7)";
    let query = sqlx::query(insert).bind(action_id).bind(Timestamptz(clock.now())).bind(consumer);
    query.bind(who).bind(role).bind(what).bind(subject).execute(pool).await?;
    Ok(action_id)
}

/// Says what was answered, and why the caller wanted it. A record without an answer was begun, and whoever did it died there, or the caller had gone.
pub(crate) async fn conclude(
    pool: &PgPool,
    action_id: Uuid,
    status: u16,
    why: Option<&str>,
) -> Result<(), sqlx::Error> {
    sqlx::query("update runtime.door_action set status = $2, why = $3 where action_id = $1")
        .bind(action_id)
        .bind(i32::from(status))
        .bind(why)
        .execute(pool)
        .await
        .map(drop)
}
