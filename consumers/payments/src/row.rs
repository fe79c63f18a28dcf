//! All SQL of payments.
//!
//! Orders are locked in the order of their ids, then what is known of refunds in the order of theirs. A provider's notice of a refund, and our own
//! call's answer that says whose refund it is, meet in one row of `payments.refund`, so that neither can miss the other.

use std::collections::BTreeSet;

use events::{Currency, OrderId, Personal, Timestamp};
use runtime::sql::{At, JsonText};
use runtime::{Failure, Meets, Reading, Recall, Recent, Retention, Writes};
use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

use crate::batch::{Reference, ReferenceSlot, RefundNotice, Slot, World};
use crate::input::Input;
use crate::payment::{Case, Payment, State};

/// A row of `payments.payment`.
#[derive(FromRow)]
struct Row {
    order_id: Uuid,
    state: String,
    version: i64,
    gateway: Option<String>,
    payment_id: Option<String>,
    currency: Option<String>,
    amount: i64,
    authorized: i64,
    captured: i64,
    released_remainder: i64,
    voided: i64,
    refunded: i64,
    announced: bool,
    capture_before: Option<At>,
    personal_key: Option<String>,
    personal_data: Option<Vec<u8>>,
    data: String,
}

impl Row {
    fn read(self) -> Result<(i64, Payment), Failure> {
        let unreadable = |column: &str, source| Failure::Stored {
            what: format!("payments.payment {}, {column}", self.order_id),
            source,
        };
        let unknown = || serde::de::Error::custom(format!("unknown state {:?}", self.state));
        let state = State::from_column(&self.state).ok_or_else(|| unreadable("state", unknown()))?;
        let currency: Option<Currency> =
            serde_json::from_value(self.currency.clone().into()).map_err(|error| unreadable("currency", error))?;
        let case: Case = serde_json::from_str(&self.data).map_err(|error| Failure::Stored {
            what: format!("payments.payment {}, data", self.order_id),
            source: error,
        })?;
        let personal = self.personal_key.zip(self.personal_data).map(|(key_id, data)| Personal { key_id, data });
        let payment = Payment {
            order_id: OrderId(self.order_id),
            state,
            gateway: self.gateway,
            payment_id: self.payment_id,
            currency,
            amount: self.amount,
            authorized: self.authorized,
            captured: self.captured,
            released_remainder: self.released_remainder,
            voided: self.voided,
            refunded: self.refunded,
            announced: self.announced,
            capture_before: self.capture_before.map(|at| at.0),
            personal,
            case,
        };
        Ok((self.version, payment))
    }
}

/// A row of `payments.refund`.
#[derive(FromRow)]
struct RefundRow {
    refund_id: String,
    order_id: Option<Uuid>,
    version: i64,
    told: JsonText<Vec<RefundNotice>>,
}

/// Reads what a batch needs.
pub(crate) async fn load<'i>(
    db: &mut PgConnection,
    inputs: impl Iterator<Item = &'i Input> + Clone,
    recent: &Recent<Payment>,
    now: Timestamp,
    reading: Reading,
) -> Result<World, Failure> {
    let notified: Vec<&str> =
        inputs.clone().filter(|input| input.order_id().is_none()).filter_map(Input::refund_id).collect();
    let mut ids: BTreeSet<Uuid> = inputs.clone().filter_map(Input::order_id).map(OrderId::as_uuid).collect();
    let begin: BTreeSet<OrderId> = inputs.clone().filter(|input| input.begins()).filter_map(Input::order_id).collect();
    if !notified.is_empty() {
        ids.extend(orders_of(db, &notified).await?);
    }
    let wanted = ids.iter().map(|id| OrderId(*id)).map(|order_id| {
        let meets = if begin.contains(&order_id) { Meets::New } else { Meets::Known };
        (order_id, meets)
    });
    let Recall { rows, recalled, others } = recent.recall(wanted, now, reading);
    let mut world = World { recalled, ..World::default() };
    for (order_id, version, payment) in rows {
        world.payments.insert(order_id, Slot::new(payment, version));
    }
    if !others.is_empty() {
        for row in payments(db, &others, reading).await? {
            let (version, payment) = row.read()?;
            world.payments.insert(payment.order_id, Slot::new(payment, version));
        }
    }
    let refunds: BTreeSet<&str> = inputs.filter_map(Input::refund_id).collect();
    if refunds.is_empty() {
        return Ok(world);
    }
    for row in refund_rows(db, &refunds.into_iter().collect::<Vec<_>>(), reading).await? {
        // Whose refund it is was recorded between the two statements: that order's row is not locked, and can't be now.
        if row.order_id.is_some_and(|order_id| !ids.contains(&order_id)) {
            return Err(Failure::LostRace { table: "payments.refund", saved: 0, decided: 1 });
        }
        let reference = Reference { order_id: row.order_id.map(OrderId), notices: row.told.0 };
        world.references.insert(row.refund_id, ReferenceSlot { loaded: row.version, reference, changed: false });
    }
    Ok(world)
}

async fn orders_of(db: &mut PgConnection, refund_ids: &[&str]) -> Result<Vec<Uuid>, Failure> {
    let statement = "select order_id from payments.refund where refund_id = any($1) and order_id is not null";
    Ok(sqlx::query_scalar(statement).bind(refund_ids).fetch_all(db).await?)
}

async fn payments(db: &mut PgConnection, order_ids: &[Uuid], reading: Reading) -> Result<Vec<Row>, Failure> {
    let statement = "select order_id, state, version, gateway, payment_id, currency, amount, authorized, captured, released_remainder, voided,
                refunded, announced, capture_before, personal_key, personal_data, data
           from payments.payment where order_id = any($1) order by order_id";
    Ok(sqlx::query_as(reading.of(statement)).bind(order_ids).fetch_all(db).await?)
}

async fn refund_rows(db: &mut PgConnection, refund_ids: &[&str], reading: Reading) -> Result<Vec<RefundRow>, Failure> {
    let statement = "select refund_id, order_id, version, told from payments.refund
          where refund_id = any($1) order by refund_id";
    Ok(sqlx::query_as(reading.of(statement)).bind(refund_ids).fetch_all(db).await?)
}

/// Adds what a batch changed to its writes.
pub(crate) fn save(writes: &mut Writes, world: &World, now: Timestamp) -> Result<(), Failure> {
    world.recalled.check(|order_id| world.payments.get(&order_id).is_some_and(|slot| slot.changed))?;
    let payments = world.payments.values().filter(|slot| slot.changed);
    let (new, known): (Vec<&Slot>, Vec<&Slot>) = payments.partition(|slot| slot.loaded == 0);
    save_payments(writes, INSERT_PAYMENTS, &new, now);
    save_payments(writes, UPDATE_PAYMENTS, &known, now);
    let refunds: Vec<(&String, &ReferenceSlot)> = world.references.iter().filter(|(_, slot)| slot.changed).collect();
    if !refunds.is_empty() {
        save_refunds(writes, &refunds, now);
    }
    Ok(())
}

const INSERT_PAYMENTS: &str =
    "insert into payments.payment (order_id, state, version, gateway, payment_id, currency, amount, authorized, captured,
            released_remainder, voided, refunded, announced, capture_before, stuck, personal_key, personal_data, data, created_at, updated_at)
     select row.*, $19, $19
       from unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[], $9::bigint[],
            $10::bigint[], $11::bigint[], $12::bigint[], $13::boolean[], $14::timestamptz[], $15::boolean[], $16::text[], $17::bytea[],
            $18::text[]) as row";

const UPDATE_PAYMENTS: &str =
    "update payments.payment as kept set
            state = new.state, version = new.version, gateway = new.gateway, payment_id = new.payment_id, currency = new.currency,
            amount = new.amount, authorized = new.authorized, captured = new.captured, released_remainder = new.released_remainder,
            voided = new.voided, refunded = new.refunded, announced = new.announced, capture_before = new.capture_before,
            stuck = new.stuck, personal_key = new.personal_key, personal_data = new.personal_data, data = new.data, updated_at = $19
       from unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[], $9::bigint[],
            $10::bigint[], $11::bigint[], $12::bigint[], $13::boolean[], $14::timestamptz[], $15::boolean[], $16::text[], $17::bytea[],
            $18::text[]) as new (order_id, state, version, gateway, payment_id, currency, amount, authorized, captured,
            released_remainder, voided, refunded, announced, capture_before, stuck, personal_key, personal_data, data)
      where kept.order_id = new.order_id and kept.version = new.version - 1";

fn save_payments(writes: &mut Writes, statement: &str, slots: &[&Slot], now: Timestamp) {
    if slots.is_empty() {
        return;
    }
    let column = |of: fn(&Payment) -> i64| slots.iter().map(|slot| of(&slot.payment)).collect::<Vec<i64>>();
    let text =
        |of: fn(&Payment) -> Option<&str>| slots.iter().map(|slot| of(&slot.payment)).collect::<Vec<Option<&str>>>();
    let personal = slots.iter().map(|slot| slot.payment.personal.as_ref());
    writes
        .add("payments.payment", Some(slots.len()), statement)
        .bind(slots.iter().map(|slot| slot.payment.order_id.as_uuid()).collect::<Vec<Uuid>>())
        .bind(slots.iter().map(|slot| slot.payment.state.as_str()).collect::<Vec<&str>>())
        .bind(slots.iter().map(|slot| slot.loaded + 1).collect::<Vec<i64>>())
        .bind(text(|payment| payment.gateway.as_deref()))
        .bind(text(|payment| payment.payment_id.as_deref()))
        .bind(text(|payment| payment.currency.as_ref().map(Currency::as_str)))
        .bind(column(|payment| payment.amount))
        .bind(column(|payment| payment.authorized))
        .bind(column(|payment| payment.captured))
        .bind(column(|payment| payment.released_remainder))
        .bind(column(|payment| payment.voided))
        .bind(column(|payment| payment.refunded))
        .bind(slots.iter().map(|slot| slot.payment.announced).collect::<Vec<bool>>())
        .bind(slots.iter().map(|slot| slot.payment.capture_before.map(At)).collect::<Vec<Option<At>>>())
        .bind(slots.iter().map(|slot| slot.payment.is_stuck()).collect::<Vec<bool>>())
        .bind(
            personal
                .clone()
                .map(|personal| personal.map(|personal| personal.key_id.as_str()))
                .collect::<Vec<Option<&str>>>(),
        )
        .bind(
            personal.map(|personal| personal.map(|personal| personal.data.as_slice())).collect::<Vec<Option<&[u8]>>>(),
        )
        .bind(slots.iter().map(|slot| JsonText(&slot.payment.case)).collect::<Vec<JsonText<&Case>>>())
        .bind(At(now));
}

fn save_refunds(writes: &mut Writes, slots: &[(&String, &ReferenceSlot)], now: Timestamp) {
    writes.add("payments.refund", Some(slots.len()),
        "insert into payments.refund as kept (refund_id, order_id, version, told, updated_at)
         select row.*, $5 from unnest($1::text[], $2::uuid[], $3::bigint[], $4::text[]) as row
         on conflict (refund_id) do update set
                order_id = excluded.order_id, version = excluded.version, told = excluded.told, updated_at = excluded.updated_at
          where kept.version = excluded.version - 1",
    )
    .bind(slots.iter().map(|(refund_id, _)| refund_id.as_str()).collect::<Vec<&str>>())
    .bind(slots.iter().map(|(_, slot)| slot.reference.order_id.map(OrderId::as_uuid)).collect::<Vec<Option<Uuid>>>())
    .bind(slots.iter().map(|(_, slot)| slot.loaded + 1).collect::<Vec<i64>>())
    .bind(slots.iter().map(|(_, slot)| JsonText(&slot.reference.notices)).collect::<Vec<JsonText<&Vec<RefundNotice>>>>())
    .bind(At(now));
}

/// One order's payment, without a lock.
pub(crate) async fn payment(pool: &PgPool, order_id: OrderId) -> Result<Option<Payment>, Failure> {
    let statement = "select order_id, state, version, gateway, payment_id, currency, amount, authorized, captured, released_remainder, voided,
                refunded, announced, capture_before, personal_key, personal_data, data
           from payments.payment where order_id = $1";
    let row: Option<Row> = sqlx::query_as(statement).bind(order_id.as_uuid()).fetch_optional(pool).await?;
    row.map(|row| row.read().map(|(_, payment)| payment)).transpose()
}

/// Payments that have ended, or that were taken: payments does not hear when their orders end, so it keeps them far longer than the horizon. With them
/// goes what the gateway keeps of them in this database, by its own statements.
pub(crate) fn retention(gateway: &[&'static str]) -> Retention {
    let mut with = vec!["delete from payments.refund where order_id = any($1)"];
    with.extend(gateway);
    Retention {
        rows: "payments.payment",
        guards: "state <> 'NEW'",
        ended: "state in ('NEW', 'CAPTURED', 'DECLINED', 'VOIDED', 'REFUNDED') and not stuck",
        changed_at: "updated_at",
        with,
    }
}

/// What a gateway told of refunds that nobody here asked for.
pub(crate) async fn prune(db: &mut PgConnection, until: Timestamp, limit: i64) -> Result<u64, Failure> {
    let done = sqlx::query(
        "delete from payments.refund as gone
          using (select refund_id from payments.refund where order_id is null and updated_at < $1 limit $2 for update skip locked) as old
          where gone.refund_id = old.refund_id",
    )
    .bind(At(until))
    .bind(limit)
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}
