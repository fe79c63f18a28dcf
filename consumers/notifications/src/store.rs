//! All SQL of notifications. Orders are locked in the order of their ids; messages of an order are read and written under its lock.

use std::collections::BTreeSet;

use events::{EventId, OrderId};
use runtime::sql::{JsonText, Timestamptz};
use runtime::{Failure, Reading, Retention, WriteSet};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use crate::contact::Contact;
use crate::world::{BatchState, Delivery, Message, Slot, Waiting};

/// Orders whose end was told, with the messages.
pub(crate) fn retention() -> Retention {
    Retention {
        rows: "notifications.customer",
        guards: "true",
        ended: "exists (select from notifications.message told where told.order_id = kept.order_id and told.event_type in
                 ('quadrille.orders.OrderRejected', 'quadrille.orders.OrderCompleted', 'quadrille.orders.OrderCancelled',
                  'quadrille.orders.OrderFailed'))",
        changed_at: "(select max(told.at) from notifications.message told where told.order_id = kept.order_id)",
        with: vec!["delete from notifications.message where order_id = any($1)"],
    }
}

/// A row of `notifications.customer`.
#[derive(FromRow)]
struct Row {
    order_id: Uuid,
    version: i64,
    contact: Option<String>,
    waiting: String,
}

impl Row {
    fn read(self) -> Result<(OrderId, Slot), Failure> {
        let what = |column: &str| format!("notifications.customer {}, {column}", self.order_id);
        let contact = self.contact.map(|text| serde_json::from_str::<Contact>(&text)).transpose();
        let contact = contact.map_err(|source| Failure::Stored { what: what("contact"), source })?;
        let waiting: Vec<Waiting> =
            serde_json::from_str(&self.waiting).map_err(|source| Failure::Stored { what: what("waiting"), source })?;
        Ok((OrderId(self.order_id), Slot { loaded: Some(self.version), contact, waiting, changed: false }))
    }
}

/// Reads the orders of a batch, then, with a newer snapshot, which events of them were told.
pub(crate) async fn load(
    db: &mut PgConnection,
    order_ids: Vec<OrderId>,
    reading: Reading,
) -> Result<BatchState, Failure> {
    let order_ids: BTreeSet<Uuid> = order_ids.into_iter().map(OrderId::as_uuid).collect();
    let order_ids: Vec<Uuid> = order_ids.into_iter().collect();
    let orders = customers(db, &order_ids, reading).await?.into_iter().map(Row::read).collect::<Result<_, _>>()?;
    let told = told(db, &order_ids).await?.into_iter().map(EventId).collect();
    Ok(BatchState { orders, told, messages: Vec::new() })
}

async fn customers(db: &mut PgConnection, order_ids: &[Uuid], reading: Reading) -> Result<Vec<Row>, Failure> {
    let rows = sqlx::query_as(reading.of("select order_id, version, contact, waiting
         from notifications.customer where order_id = any($1) order by order_id"));
    Ok(rows.bind(order_ids).fetch_all(db).await?)
}

async fn told(db: &mut PgConnection, order_ids: &[Uuid]) -> Result<Vec<Uuid>, Failure> {
    let told = sqlx::query_scalar("select event_id from notifications.message where order_id = any($1)");
    Ok(told.bind(order_ids).fetch_all(db).await?)
}

/// Writes what a batch changed and sends.
pub(crate) fn save(writes: &mut WriteSet, world: &BatchState) {
    let BatchState { orders, messages, .. } = world;
    let mut changed: Vec<(&OrderId, &Slot)> = orders.iter().filter(|(_, slot)| slot.changed).collect();
    changed.sort_unstable_by_key(|(order_id, _)| **order_id);
    let (new, known): (Vec<_>, Vec<_>) = changed.into_iter().partition(|(_, slot)| slot.loaded.is_none());
    save_customers(writes, INSERT_CUSTOMERS, new);
    save_customers(writes, UPDATE_CUSTOMERS, known);
    let mut messages: Vec<&Message> = messages.iter().collect();
    messages.sort_by_key(|message| (message.order_id, message.event_id));
    if !messages.is_empty() {
        save_messages(writes, messages);
    }
}

const INSERT_CUSTOMERS: &str = "insert into notifications.customer (order_id, version, contact, waiting)
     select * from unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[])";

const UPDATE_CUSTOMERS: &str =
    "update notifications.customer as kept set version = new.version, contact = new.contact, waiting = new.waiting
       from unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[]) as new (order_id, version, contact, waiting)
      where kept.order_id = new.order_id and kept.version = new.version - 1";

fn save_customers(writes: &mut WriteSet, statement: &str, changed: Vec<(&OrderId, &Slot)>) {
    if changed.is_empty() {
        return;
    }
    let decided = changed.len();
    let order_ids: Vec<Uuid> = changed.iter().map(|(order_id, _)| order_id.as_uuid()).collect();
    let versions: Vec<i64> = changed.iter().map(|(_, slot)| slot.loaded.unwrap_or(0) + 1).collect();
    let contacts: Vec<Option<JsonText<&Contact>>> =
        changed.iter().map(|(_, slot)| slot.contact.as_ref().map(JsonText)).collect();
    let waiting: Vec<JsonText<&Vec<Waiting>>> = changed.iter().map(|(_, slot)| JsonText(&slot.waiting)).collect();
    let part = writes.add("notifications.customer", Some(decided), statement);
    part.bind(order_ids).bind(versions).bind(contacts).bind(waiting);
}

#[derive(Default)]
struct Columns<'m> {
    order_id: Vec<Uuid>,
    event_id: Vec<Uuid>,
    channel: Vec<String>,
    state: Vec<&'static str>,
    event_type: Vec<&'m str>,
    template: Vec<&'static str>,
    locale: Vec<&'static str>,
    recipient: Vec<Option<&'m str>>,
    subject: Vec<Option<&'m str>>,
    body: Vec<Option<&'m str>>,
    detail: Vec<Option<&'static str>>,
    at: Vec<Timestamptz>,
}

impl<'m> Columns<'m> {
    fn push(&mut self, message: &'m Message) {
        let (state, recipient, subject, body, detail) = match &message.delivery {
            Delivery::Recorded { recipient, subject, body } => {
                ("RECORDED", Some(recipient.as_str()), subject.as_deref(), Some(body.as_str()), None)
            }
            Delivery::Failed { detail } => ("FAILED", None, None, None, Some(*detail)),
        };
        self.order_id.push(message.order_id.as_uuid());
        self.event_id.push(message.event_id.as_uuid());
        self.channel.push(message.channel.to_string());
        self.state.push(state);
        self.event_type.push(&message.event_type);
        self.template.push(message.template);
        self.locale.push(message.locale.as_str());
        self.recipient.push(recipient);
        self.subject.push(subject);
        self.body.push(body);
        self.detail.push(detail);
        self.at.push(Timestamptz(message.at));
    }
}

/// A message that is there already was sent by another instance: the batch is decided again, and finds it told.
fn save_messages(writes: &mut WriteSet, messages: Vec<&Message>) {
    let decided = messages.len();
    let mut columns = Columns::default();
    messages.into_iter().for_each(|message| columns.push(message));
    writes.add("notifications.message", Some(decided),
        "insert into notifications.message
           (order_id, event_id, channel, state, event_type, template, locale, recipient, subject, body, detail, at)
         select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
           $10::text[], $11::text[], $12::timestamptz[])",
    )
    .bind(columns.order_id)
    .bind(columns.event_id)
    .bind(columns.channel)
    .bind(columns.state)
    .bind(columns.event_type)
    .bind(columns.template)
    .bind(columns.locale)
    .bind(columns.recipient)
    .bind(columns.subject)
    .bind(columns.body)
    .bind(columns.detail)
    .bind(columns.at);
}
