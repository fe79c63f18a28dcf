//! What was seen of consumers over time: how far they had come, and when nobody was there.

use std::time::Duration;

use events::Timestamp;
use kafka_admin::groups::TopicPartition;
use runtime::sql::Timestamptz;
use runtime::{Failure, bind_columns};
use sqlx::PgPool;

use deadlines::{GroupOutage, Outages, RULES, Sample, SampleHistory};

use super::columns::run;

/// Samples and outages are kept that long: longer than any answer may take.
const KEPT: Duration = Duration::from_secs(15 * 24 * 3_600);
/// Samples older than this are thinned to one for each of these spans.
const FRESH: Duration = Duration::from_secs(3_600);
const SPAN_SECONDS: i64 = 600;

pub(crate) async fn load(pool: &PgPool) -> Result<(SampleHistory, Outages), Failure> {
    let known = |name: &str| RULES.subscribes_to.iter().find(|(consumer, _)| *consumer == name);
    let (mut pace, mut outages) = (SampleHistory::default(), Outages::default());
    let rows: Vec<(String, String, i32, Timestamptz, i64)> = sqlx::query_as(
        "select consumer, topic, \"partition\", seen_at, committed from saga_tracker.pace order by consumer, topic, \"partition\", seen_at",
    )
    .fetch_all(pool)
    .await?;
    for (consumer, topic, partition, Timestamptz(at), committed) in rows {
        let Some((consumer, topics)) = known(&consumer) else { continue };
        let Some(topic) = topics.iter().find(|known| **known == topic) else { continue };
        pace.see(consumer, (topic, partition), Sample { at, committed });
    }
    let rows: Vec<(String, Timestamptz, Timestamptz)> =
        sqlx::query_as("select consumer, began_at, ended_at from saga_tracker.outage order by consumer, began_at")
            .fetch_all(pool)
            .await?;
    for (consumer, Timestamptz(began), Timestamptz(ended)) in rows {
        if let Some((consumer, _)) = known(&consumer) {
            outages.remember(consumer, GroupOutage { began, ended });
        }
    }
    Ok((pace, outages))
}

pub(crate) async fn keep(pool: &PgPool, samples: &[(&'static str, TopicPartition, Sample)]) -> Result<(), Failure> {
    if samples.is_empty() {
        return Ok(());
    }
    let query = sqlx::query(
        "insert into saga_tracker.pace (consumer, topic, \"partition\", seen_at, committed)
         select * from unnest($1::text[], $2::text[], $3::int[], $4::timestamptz[], $5::bigint[])
         on conflict (consumer, topic, \"partition\", seen_at) do update set committed = excluded.committed",
    );
    let query = bind_columns!(query; for (consumer, (topic, partition), sample) in samples =>
        *consumer, *topic, *partition, Timestamptz(sample.at), sample.committed,
    );
    run(query, pool).await.map(drop)
}

pub(crate) async fn keep_outage(pool: &PgPool, consumer: &str, outage: GroupOutage) -> Result<(), Failure> {
    let query = sqlx::query(
        "insert into saga_tracker.outage (consumer, began_at, ended_at) values ($1, $2, $3)
         on conflict (consumer, began_at) do update set ended_at = excluded.ended_at",
    );
    run(query.bind(consumer).bind(Timestamptz(outage.began)).bind(Timestamptz(outage.ended)), pool).await.map(drop)
}

/// Forgets what is too old to matter, and thins what is old: of each span the last sample stays, so that nothing seems to be passed earlier.
pub(crate) async fn thin(pool: &PgPool, now: Timestamp) -> Result<(), Failure> {
    sqlx::query(
        "delete from saga_tracker.pace p using (
           select consumer, topic, \"partition\", seen_at,
                  row_number() over (partition by consumer, topic, \"partition\", floor(extract(epoch from seen_at) / $3::float8)
                                     order by seen_at desc) as nth
           from saga_tracker.pace where seen_at < $1) as old
         where (p.consumer, p.topic, p.\"partition\", p.seen_at) = (old.consumer, old.topic, old.\"partition\", old.seen_at)
           and (old.nth > 1 or old.seen_at < $2)",
    )
    .bind(Timestamptz(now.minus(FRESH)))
    .bind(Timestamptz(now.minus(KEPT)))
    .bind(SPAN_SECONDS as f64)
    .execute(pool)
    .await?;
    let query = sqlx::query("delete from saga_tracker.outage where ended_at < $1");
    run(query.bind(Timestamptz(now.minus(KEPT))), pool).await.map(drop)
}
