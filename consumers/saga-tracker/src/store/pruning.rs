//! What the tracker forgets: whole orders, with their history, a long time after they have ended.

use events::Timestamp;
use runtime::sql::Timestamptz;
use runtime::{Failure, Retention};
use sqlx::PgConnection;

/// Orders that have ended, with all that is known of them.
pub(crate) fn retention() -> Retention {
    Retention {
        rows: "saga_tracker.\"order\"",
        guards: "true",
        ended: "outcome is not null",
        changed_at: "changed_at",
        with: vec![
            "delete from saga_tracker.resolution where letter_id in (select letter_id from saga_tracker.letter where order_id = any($1))",
            "delete from saga_tracker.letter where order_id = any($1)",
            "delete from saga_tracker.delayed where order_id = any($1)",
            "delete from saga_tracker.stuck where order_id = any($1)",
            "delete from saga_tracker.deadline_move where order_id = any($1)",
            "delete from saga_tracker.shipment where order_id = any($1)",
            "delete from saga_tracker.event where order_id = any($1)",
        ],
    }
}

/// Dead letters that do not say of which order they are, alerts that are over, and breaches that were healed. What people did stays on record for ever.
pub(crate) async fn prune(db: &mut PgConnection, until: Timestamp, limit: i64) -> Result<u64, Failure> {
    let letters = forget_letters(db, until, limit).await?;
    let alerts = forget_alerts(db, until, limit).await?;
    Ok(letters.max(alerts).max(forget_breaches(db, until, limit).await?))
}

async fn forget_letters(db: &mut PgConnection, until: Timestamp, limit: i64) -> Result<u64, Failure> {
    let done = sqlx::query(
        "with old as (select letter_id from saga_tracker.letter where order_id is null and died_at < $1 order by died_at limit $2
                         for update skip locked),
              told as (delete from saga_tracker.resolution as gone using old where gone.letter_id = old.letter_id)
         delete from saga_tracker.letter as gone using old where gone.letter_id = old.letter_id",
    )
    .bind(Timestamptz(until))
    .bind(limit)
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

async fn forget_alerts(db: &mut PgConnection, until: Timestamp, limit: i64) -> Result<u64, Failure> {
    let done = sqlx::query(
        "delete from saga_tracker.alert as gone
          using (select alert_id from saga_tracker.alert where raised_at < $1 and resolved_at < $1 order by raised_at limit $2
                    for update skip locked) as old
          where gone.alert_id = old.alert_id",
    )
    .bind(Timestamptz(until))
    .bind(limit)
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

async fn forget_breaches(db: &mut PgConnection, until: Timestamp, limit: i64) -> Result<u64, Failure> {
    let done = sqlx::query(
        "delete from saga_tracker.breach as gone
          using (select \"check\", subject from saga_tracker.breach where healed_at < $1 order by \"check\", subject limit $2
                    for update skip locked) as old
          where gone.\"check\" = old.\"check\" and gone.subject = old.subject",
    )
    .bind(Timestamptz(until))
    .bind(limit)
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}
