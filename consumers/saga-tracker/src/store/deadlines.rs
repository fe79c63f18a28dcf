//! What the judge reads and what comes of it: orders to look at, what is known of them, when to look again, what was told, what people moved.

use std::collections::BTreeMap;

use events::{OrderId, Timestamp, entry_of};
use runtime::sql::{Timestamptz, clean};
use runtime::{Failure, bind_columns};
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

use super::columns::{run, stored};
use crate::stuck::Situation;
use deadlines::{Happened, OpenOrder, RULES, WaitingEvents};

pub(crate) async fn is_any_due(pool: &PgPool, before: Timestamp) -> Result<bool, Failure> {
    let any = sqlx::query_scalar(
        "select exists (select from saga_tracker.\"order\" where outcome is null and deadline <= $1)",
    );
    Ok(any.bind(Timestamptz(before)).fetch_one(pool).await?)
}

/// Orders to look at now, the longest due first, with the moment for which they were due.
pub(crate) async fn due(pool: &PgPool, now: Timestamp, limit: i64) -> Result<Vec<(OrderId, Timestamp)>, Failure> {
    let rows: Vec<(Uuid, Timestamptz)> = sqlx::query_as(
        "select order_id, deadline from saga_tracker.\"order\" where outcome is null and deadline <= $1 order by deadline limit $2",
    )
    .bind(Timestamptz(now))
    .bind(limit)
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|(order_id, Timestamptz(deadline))| (OrderId(order_id), deadline)).collect())
}

/// Locks orders, in the order of their ids: who judges them under the lock judges what is written.
pub(crate) async fn lock(db: &mut PgConnection, order_ids: &[Uuid]) -> Result<(), Failure> {
    let query =
        sqlx::query("select from saga_tracker.\"order\" where order_id = any ($1) order by order_id for no key update");
    run(query.bind(order_ids), db).await.map(drop)
}

#[derive(FromRow)]
struct EventRow {
    order_id: Uuid,
    event_id: Uuid,
    event_type: String,
    partition: i32,
    offset: i64,
    at: Timestamptz,
    data: Option<String>,
}

/// What is known of these orders, of those that have not ended.
pub(crate) async fn open_orders(db: &mut PgConnection, order_ids: &[Uuid]) -> Result<Vec<OpenOrder>, Failure> {
    let rows = "select order_id, placed_at from saga_tracker.\"order\" where order_id = any ($1) and outcome is null order by order_id";
    let rows: Vec<(Uuid, Timestamptz)> = of_orders(db, order_ids, rows).await?;
    let open = |(order_id, Timestamptz(placed_at)): (Uuid, Timestamptz)| {
        let order_id = OrderId(order_id);
        let (events, parked, reported) = (Vec::new(), Vec::new(), Vec::new());
        let shard = i32::from(runtime::outbox::shard(Some(order_id.to_string().as_bytes())));
        (order_id, OpenOrder { order_id, shard, placed_at, events, parked, moved_until: None, rounds: 0, reported })
    };
    let mut orders: BTreeMap<OrderId, OpenOrder> = rows.into_iter().map(open).collect();
    add_events(db, order_ids, &mut orders).await?;
    add_what_people_and_consumers_say(db, order_ids, &mut orders).await?;
    Ok(orders.into_values().collect())
}

async fn add_events(
    db: &mut PgConnection,
    order_ids: &[Uuid],
    orders: &mut BTreeMap<OrderId, OpenOrder>,
) -> Result<(), Failure> {
    let rows: Vec<EventRow> = sqlx::query_as(
        "select order_id, event_id, event_type, \"partition\", \"offset\", at, case when event_type = any ($2) then data end as data
         from saga_tracker.event where order_id = any ($1) order by order_id, at, seq, event_id",
    )
    .bind(order_ids)
    .bind(RULES.read())
    .fetch_all(db)
    .await?;
    for row in rows {
        let Some(order) = orders.get_mut(&OrderId(row.order_id)) else { continue };
        let Some(entry) = entry_of(&row.event_type) else { continue }; // of another version: no rule knows it
        let data = row.data.as_deref().map(|text| stored(text, "event.data")).transpose()?;
        order.events.push(Happened {
            event_id: row.event_id,
            event_type: entry.event_type,
            topic: entry.topic,
            partition: row.partition,
            offset: row.offset,
            at: row.at.0,
            data: data.unwrap_or(Value::Null),
        });
    }
    Ok(())
}

async fn add_what_people_and_consumers_say(
    db: &mut PgConnection,
    order_ids: &[Uuid],
    orders: &mut BTreeMap<OrderId, OpenOrder>,
) -> Result<(), Failure> {
    type Parked = (Uuid, String, bool, Option<Timestamptz>);
    let parked = "select order_id, consumer, waits, unparked_at from saga_tracker.delayed where order_id = any ($1) order by order_id, consumer";
    for (order_id, consumer, waits, unparked_at) in of_orders::<Parked>(db, order_ids, parked).await? {
        if let Some(order) = orders.get_mut(&OrderId(order_id)) {
            order.parked.push(WaitingEvents { consumer, waits, unparked_at: unparked_at.map(|Timestamptz(at)| at) });
        }
    }
    let moves = "select order_id, count(*), (array_agg(until order by move_id desc))[1]
         from saga_tracker.deadline_move where order_id = any ($1) group by order_id";
    for (order_id, rounds, Timestamptz(until)) in of_orders::<(Uuid, i64, Timestamptz)>(db, order_ids, moves).await? {
        if let Some(order) = orders.get_mut(&OrderId(order_id)) {
            (order.rounds, order.moved_until) = (rounds, Some(until));
        }
    }
    let told = "select order_id, event_id, round from saga_tracker.stuck where order_id = any ($1) order by order_id, event_id, round";
    for (order_id, event_id, round) in of_orders::<(Uuid, Uuid, i64)>(db, order_ids, told).await? {
        if let Some(order) = orders.get_mut(&OrderId(order_id)) {
            order.reported.push((event_id, round));
        }
    }
    Ok(())
}

/// What is known of these orders in another table.
async fn of_orders<T: for<'r> FromRow<'r, PgRow> + Send + Unpin>(
    db: &mut PgConnection,
    order_ids: &[Uuid],
    statement: &'static str,
) -> Result<Vec<T>, Failure> {
    Ok(sqlx::query_as(statement).bind(order_ids).fetch_all(db).await?)
}

/// Looks at orders again at another moment: those whose deadline is still the one that was seen, and that nobody writes right now.
pub(crate) async fn look_again(pool: &PgPool, looks: &[(OrderId, Timestamp, Timestamp)]) -> Result<(), Failure> {
    if looks.is_empty() {
        return Ok(());
    }
    let query = sqlx::query(
        "with looks as (select * from unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[]) as look (order_id, seen, next)),
              held as (select o.order_id, l.next from saga_tracker.\"order\" o join looks l using (order_id)
                       where o.deadline = l.seen order by o.order_id for no key update of o skip locked)
         update saga_tracker.\"order\" o set deadline = held.next from held where o.order_id = held.order_id",
    );
    let query = bind_columns!(query; for (order_id, seen, next) in looks =>
        order_id.as_uuid(), Timestamptz(*seen), Timestamptz(*next),
    );
    run(query, pool).await.map(drop)
}

pub(crate) async fn set_looks(db: &mut PgConnection, looks: &BTreeMap<OrderId, Timestamp>) -> Result<(), Failure> {
    if looks.is_empty() {
        return Ok(());
    }
    let query = sqlx::query(
        "update saga_tracker.\"order\" o set deadline = look.next
         from unnest($1::uuid[], $2::timestamptz[]) as look (order_id, next) where o.order_id = look.order_id",
    );
    let query = bind_columns!(query; for (order_id, next) in looks =>
        order_id.as_uuid(), Timestamptz(*next),
    );
    run(query, db).await.map(drop)
}

/// Keeps what was told to be stuck, once for each situation.
pub(crate) async fn keep_told(
    db: &mut PgConnection,
    told: &BTreeMap<(OrderId, Uuid, i64), Situation>,
) -> Result<(), Failure> {
    for ((order_id, event_id, round), told) in told {
        sqlx::query(
            "insert into saga_tracker.stuck (order_id, event_id, round, letter_id, waits_for, consumers, detail, due, said_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict do nothing",
        )
        .bind(order_id.as_uuid())
        .bind(event_id)
        .bind(round)
        .bind(told.letter_id)
        .bind(told.waits_for)
        .bind(told.consumers.iter().map(|consumer| clean(consumer)).collect::<Vec<_>>())
        .bind(clean(&told.detail))
        .bind(Timestamptz(told.due))
        .bind(Timestamptz(told.said_at))
        .execute(&mut *db)
        .await?;
    }
    Ok(())
}

/// What was told is no longer so: by order and event, and of orders that have ended.
pub(crate) async fn resolve(pool: &PgPool, answered: &[(OrderId, Uuid)], now: Timestamp) -> Result<(), Failure> {
    sqlx::query(
        "update saga_tracker.stuck s set resolved_at = $3
         where resolved_at is null
           and ((s.order_id, s.event_id) in (select * from unnest($1::uuid[], $2::uuid[]))
                or exists (select from saga_tracker.\"order\" o where o.order_id = s.order_id and o.outcome is not null))",
    )
    .bind(answered.iter().map(|(order_id, _)| order_id.as_uuid()).collect::<Vec<_>>())
    .bind(answered.iter().map(|(_, event_id)| *event_id).collect::<Vec<_>>())
    .bind(Timestamptz(now))
    .execute(pool)
    .await?;
    Ok(())
}

/// Open orders by when they are looked at next, behind one of them.
pub(crate) async fn by_deadline(
    db: &mut PgConnection,
    behind: Option<(Timestamp, Uuid)>,
    limit: i64,
) -> Result<Vec<(OrderId, Timestamp)>, Failure> {
    let (deadline, order_id) = behind.map(|(at, id)| (Timestamptz(at), id)).unzip();
    let rows: Vec<(Uuid, Timestamptz)> = sqlx::query_as(
        "select order_id, deadline from saga_tracker.\"order\"
         where outcome is null and ($1::timestamptz is null or (deadline, order_id) > ($1, $2::uuid))
         order by deadline, order_id limit $3",
    )
    .bind(deadline)
    .bind(order_id)
    .bind(limit)
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|(order_id, Timestamptz(deadline))| (OrderId(order_id), deadline)).collect())
}

/// Records that a person moved an order's deadline, and has it looked at then; false: no such order is open.
pub(crate) async fn move_deadline(
    db: &mut PgConnection,
    order_id: OrderId,
    until: Timestamp,
    (moved_by, why): (&str, &str),
    now: Timestamp,
) -> Result<bool, Failure> {
    let done = sqlx::query(
        "with moved as (update saga_tracker.\"order\" set deadline = $2 where order_id = $1 and outcome is null returning order_id),
              resolved as (update saga_tracker.stuck s set resolved_at = $5 from moved
                           where s.order_id = moved.order_id and resolved_at is null)
         insert into saga_tracker.deadline_move (order_id, until, moved_by, why, moved_at) select order_id, $2, $3, $4, $5 from moved",
    )
    .bind(order_id.as_uuid())
    .bind(Timestamptz(until))
    .bind(clean(moved_by))
    .bind(clean(why))
    .bind(Timestamptz(now))
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}
