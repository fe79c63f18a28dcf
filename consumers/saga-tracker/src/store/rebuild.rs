//! The tables of a rebuild: made, filled from the event store, completed from the live ones, and put in their place.

use std::collections::BTreeMap;

use runtime::Failure;
use sqlx::{AssertSqlSafe, PgConnection};

use super::columns::{REBUILT, run};

/// Makes empty copies of the read models, beside them; what an earlier rebuild left is dropped.
pub(crate) async fn begin(db: &mut PgConnection) -> Result<(), Failure> {
    let query = sqlx::query("select saga_tracker.rebuild_begin($1)");
    run(query.bind(&REBUILT[..]), db).await.map(drop)
}

/// The user and the database of this session, where it may create no schema.
pub(crate) async fn who_may_not(db: &mut PgConnection) -> Result<Option<(String, String)>, Failure> {
    let asked = "select current_user::text, current_database()::text where not has_database_privilege(current_database(), 'create')";
    Ok(sqlx::query_as(asked).fetch_optional(db).await?)
}

/// Whether this connection is the one that rebuilds; it is until it ends.
pub(crate) async fn claim(db: &mut PgConnection) -> Result<bool, Failure> {
    Ok(sqlx::query_scalar("select pg_try_advisory_lock(hashtext('saga_tracker'), hashtext('rebuild'))")
        .fetch_one(db)
        .await?)
}

pub(crate) async fn be_patient(db: &mut PgConnection) -> Result<(), Failure> {
    let query = sqlx::query("set statement_timeout = '30min'");
    run(query, db).await.map(drop)
}

pub(crate) async fn give_up(db: &mut PgConnection) -> Result<(), Failure> {
    let query = sqlx::query("drop schema if exists saga_tracker_rebuild cascade");
    run(query, db).await.map(drop)
}

pub(crate) async fn stored_about(db: &mut PgConnection) -> Result<u64, Failure> {
    let rows: i64 = sqlx::query_scalar(
        "select greatest(0, sum(c.reltuples))::bigint from pg_class c
         where c.oid = 'saga_tracker.event'::regclass or c.oid in (select inhrelid from pg_inherits where inhparent = 'saga_tracker.event'::regclass)",
    )
    .fetch_one(db)
    .await?;
    Ok(rows.unsigned_abs())
}

/// Takes over rows that nothing that can be read any more tells of. Which tables need none of it, as all that was ever said of them was read, the
/// caller says.
pub(crate) async fn carry_over(db: &mut PgConnection, table: &'static str) -> Result<u64, Failure> {
    let columns: String = sqlx::query_scalar(
        "select string_agg(quote_ident(attname), ', ' order by attnum) from pg_attribute
         where attrelid = format('saga_tracker.%I', $1)::regclass and attnum > 0 and not attisdropped and attgenerated = ''",
    )
    .bind(table)
    .fetch_one(&mut *db)
    .await?;
    let statement = format!(
        "insert into saga_tracker_rebuild.\"{table}\" ({columns}) select {columns} from saga_tracker.\"{table}\" on conflict do nothing"
    );
    let taken = sqlx::query(AssertSqlSafe(statement)).execute(&mut *db).await?.rows_affected();
    if table == "position" {
        let further = "update saga_tracker_rebuild.position as made set seq = greatest(made.seq, live.seq), at = greatest(made.at, live.at)
                       from saga_tracker.position as live where (live.topic, live.\"partition\") = (made.topic, made.\"partition\")";
        sqlx::query(further).execute(db).await?;
    }
    Ok(taken)
}

pub(crate) async fn analyze(db: &mut PgConnection) -> Result<(), Failure> {
    for table in REBUILT {
        sqlx::query(AssertSqlSafe(format!("analyze saga_tracker_rebuild.\"{table}\""))).execute(&mut *db).await?;
    }
    Ok(())
}

/// Begins the transaction of a switch. It is ended by [`end`], not by being dropped: it goes through several hands.
pub(crate) async fn open(db: &mut PgConnection) -> Result<(), Failure> {
    let query = sqlx::query("begin");
    run(query, db).await.map(drop)
}

pub(crate) async fn end(db: &mut PgConnection, commit: bool) -> Result<(), Failure> {
    sqlx::query(if commit { "commit" } else { "rollback" }).execute(db).await?;
    Ok(())
}

/// Keeps writers out of the live tables until the transaction ends, in the order in which a batch writes them; readers go on. Returns how far the
/// live tables are: the last offset by topic and partition.
pub(crate) async fn hold_writers(db: &mut PgConnection) -> Result<BTreeMap<(String, i32), i64>, Failure> {
    sqlx::query("set local lock_timeout = '2s'").execute(&mut *db).await?;
    for table in REBUILT {
        let statement = format!("lock table saga_tracker.\"{table}\" in share row exclusive mode");
        sqlx::query(AssertSqlSafe(statement)).execute(&mut *db).await?;
    }
    let rows: Vec<(String, i32, i64)> =
        sqlx::query_as("select topic, \"partition\", \"offset\" from saga_tracker.position").fetch_all(db).await?;
    Ok(rows.into_iter().map(|(topic, partition, offset)| ((topic, partition), offset)).collect())
}

/// Puts the copies in the place of the live tables. What people decided of open orders goes with them: when they are looked at next. Whoever reads
/// at that moment is not waited for long: new readers wait behind us meanwhile.
pub(crate) async fn switch(db: &mut PgConnection) -> Result<(), Failure> {
    sqlx::query(
        "update saga_tracker_rebuild.\"order\" as made set deadline = live.deadline from saga_tracker.\"order\" as live
         where live.order_id = made.order_id and live.outcome is null and made.deadline <> live.deadline",
    )
    .execute(&mut *db)
    .await?;
    sqlx::query("set local lock_timeout = '200ms'").execute(&mut *db).await?;
    let query = sqlx::query("select saga_tracker.rebuild_switch($1)");
    run(query.bind(&REBUILT[..]), db).await.map(drop)
}
