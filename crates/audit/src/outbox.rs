//! The outbox and the topics: every row that a relay counts as published is there, under its id.

use std::collections::BTreeSet;
use std::time::Duration;

use kafka_admin::replay::{Point, missing};
use runtime::Settings;
use runtime::sql::Timestamptz;
use sqlx::{PgPool, Row as _};
use uuid::Uuid;

use crate::AuditError;
use crate::books::{BreachLine, CheckOutcome, Finding};

pub const OUTBOX: &str = "outbox";
const PUBLICATIONS: &str = "outbox: what counts as published is in the topics";
/// Clocks of database and relays differ by less than this.
const SKEW: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Those that were committed in so long, or a little longer.
    pub since: Duration,
    pub rows: i64,
}

type PublishedRow = (Uuid, String, i64);

/// Looks up the newest published rows of a database's outbox in the topics. Rows that were set aside are not looked for, nor those that a relay
/// has not published yet.
pub async fn outbox(settings: &Settings, pool: &PgPool, window: Window) -> Result<Finding, AuditError> {
    let (rows, since, from) = published(pool, window).await?;
    let prefix = &settings.common().topic_prefix;
    let topics: BTreeSet<&str> = rows.iter().map(|(_, topic, _)| topic.as_str()).collect();
    let topics: Vec<String> = topics.into_iter().map(|topic| format!("{prefix}{topic}")).collect();
    let sought = rows.iter().map(|(event_id, _, _)| *event_id).collect();
    let absent = missing(settings.common().kafka.clone(), topics, from, sought).await?;
    let lost: Vec<BreachLine> = rows
        .iter()
        .filter(|(event_id, _, _)| absent.contains(event_id))
        .map(|(event_id, topic, seq)| BreachLine {
            subject: event_id.to_string(),
            detail: format!(
                "row {seq} counts as published to {topic} and is not there: `quadrille relay rewind` publishes it again"
            ),
        })
        .collect();
    let breaches = lost.len() as i64;
    let all = if rows.len() as i64 == window.rows { "the newest " } else { "" };
    let figures = match rows.len() {
        0 => format!("nothing was published since {since}, so no row was looked for"),
        sought => {
            format!("{all}{sought} rows published since {since}: {} of them are in the topics", sought - lost.len())
        }
    };
    let lines = lost.into_iter().take(200).collect();
    Ok(Finding { name: OUTBOX, publishes: PUBLICATIONS, asked: CheckOutcome::Answered { breaches, figures, lines } })
}

/// Rows that every cursor sees, newer than a moment that a relay noted; that moment; and from where topics are read: earlier, as clocks differ.
async fn published(pool: &PgPool, window: Window) -> Result<(Vec<PublishedRow>, Point, Point), AuditError> {
    let mut db = pool.begin_with("begin isolation level repeatable read read only").await?;
    let moment = sqlx::query(
        "select taken_at, pg_snapshot_xmax(snapshot)::text from outbox.moment
          where taken_at <= statement_timestamp() - make_interval(secs => $1) order by taken_at desc limit 1",
    )
    .bind(window.since.as_secs_f64())
    .fetch_optional(&mut *db)
    .await?;
    let (since, from, xid) = match moment {
        Some(row) => {
            let Timestamptz(noted) = row.try_get(0)?;
            (Point::Time(noted), Point::Time(noted.minus(SKEW)), row.try_get(1)?)
        }
        None => (Point::Beginning, Point::Beginning, "0".to_owned()), // nothing was noted so long ago: the outbox is younger
    };
    // A row that is set aside is not in Kafka, and its relay knows it.
    let rows: Vec<PublishedRow> = sqlx::query_as(
        "select e.event_id, e.topic, e.seq from outbox.event e join outbox.relay_cursor c using (shard)
          where e.slot = any('{0,1,2,3}') and e.xid >= $1::text::xid8
            and pg_visible_in_snapshot(e.xid, c.snapshot) and not exists (select from outbox.set_aside s where s.event_id = e.event_id)
          order by e.seq desc limit $2",
    )
    .bind(xid)
    .bind(window.rows)
    .fetch_all(&mut *db)
    .await?;
    db.rollback().await?;
    Ok((rows, since, from))
}
