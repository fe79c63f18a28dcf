//! What notifications knows: each order's contact, what waits for it, and which events were told.

use std::collections::{BTreeSet, HashSet};

use events::{Channel, EventId, OrderId, Timestamp};
use runtime::rows::{Append, Columns, Rows, StoredRow, TableRow};
use runtime::sql::{JsonText, Timestamptz};
use runtime::{Failure, Loader, Retention, Saver};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::contact::Contact;
use crate::occasion::Occasion;
use crate::words::Locale;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingEvent {
    pub event_id: EventId,
    pub event_type: String,
    pub occasion: Occasion,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    pub order_id: OrderId,
    pub event_id: EventId,
    pub event_type: String,
    pub channel: Channel,
    pub template: &'static str,
    pub locale: Locale,
    pub delivery: Delivery,
    pub at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Written down; no channel is connected that would send it. Personal data.
    Recorded { recipient: String, subject: Option<String>, body: String },
    Failed {
        /// Why, without personal data.
        detail: &'static str,
    },
}

#[derive(Clone, Debug, Default)]
pub struct KnownCustomer {
    /// Where to write; none until the event that says it.
    pub contact: Option<Contact>,
    pub waiting: Vec<WaitingEvent>,
}

impl TableRow for KnownCustomer {
    type Key = OrderId;
    const TABLE: &'static str = "notifications.customer";

    fn columns<'c>(columns: Columns<'c, Self>) -> Columns<'c, Self> {
        columns
            .key("order_id", |order_id| order_id.as_uuid())
            .changing("contact", |row| row.contact.as_ref().map(JsonText))
            .changing("waiting", |row| JsonText(&row.waiting))
    }

    fn read(row: &StoredRow<'_>) -> Result<(OrderId, Self), Failure> {
        let customer = Self { contact: row.json("contact")?, waiting: row.json("waiting")? };
        Ok((OrderId(row.get("order_id")?), customer))
    }
}

/// What a batch was loaded into. Kept over batches it is a store in memory.
#[derive(Clone, Debug, Default)]
pub struct BatchState {
    pub(crate) orders: Rows<KnownCustomer>,
    /// Events that were told, on whatever channels there were at that time: a channel that is switched on later does not tell old news.
    pub(crate) told: HashSet<EventId>,
    pub(crate) messages: Vec<Notification>,
}

impl BatchState {
    pub fn waiting(&self, order_id: OrderId) -> &[WaitingEvent] {
        self.orders.get(&order_id).map_or(&[], |row| &row.waiting)
    }

    /// Reads the orders of a batch, then, with a newer snapshot, which events of them were told: messages of an order are written under its row's
    /// guard.
    pub(crate) async fn load(loader: &mut Loader<'_>, order_ids: BTreeSet<OrderId>) -> Result<Self, Failure> {
        let orders = Rows::of_orders(loader, order_ids.iter().copied()).await?;
        let order_ids: Vec<Uuid> = order_ids.into_iter().map(OrderId::as_uuid).collect();
        let told = sqlx::query_scalar("select event_id from notifications.message where order_id = any($1)");
        let told: Vec<Uuid> = told.bind(order_ids).fetch_all(&mut *loader.db).await?;
        Ok(Self { orders, told: told.into_iter().map(EventId).collect(), messages: Vec::new() })
    }

    /// Writes what a batch changed and sends. A message that is there already was sent by another instance: the batch is decided again, and finds it
    /// told.
    pub(crate) fn save(self, saver: &mut Saver<'_>) -> Result<(), Failure> {
        let Self { orders, mut messages, .. } = self;
        orders.save(saver);
        messages.sort_by_key(|message| (message.order_id, message.event_id));
        Append::to("notifications.message", &messages)
            .column("order_id", |message| message.order_id.as_uuid())
            .column("event_id", |message| message.event_id.as_uuid())
            .column("channel", |message| message.channel.to_string())
            .column("state", |message| message.delivery.columns().0)
            .column("event_type", |message| message.event_type.as_str())
            .column("template", |message| message.template)
            .column("locale", |message| message.locale.as_str())
            .column("recipient", |message| message.delivery.columns().1)
            .column("subject", |message| message.delivery.columns().2)
            .column("body", |message| message.delivery.columns().3)
            .column("detail", |message| message.delivery.columns().4)
            .column("at", |message| Timestamptz(message.at))
            .write(&mut saver.writes);
        Ok(())
    }
}

type OptionalText<'m> = Option<&'m str>;

impl Delivery {
    fn columns(&self) -> (&'static str, OptionalText<'_>, OptionalText<'_>, OptionalText<'_>, Option<&'static str>) {
        match self {
            Self::Recorded { recipient, subject, body } => {
                ("RECORDED", Some(recipient), subject.as_deref(), Some(body), None)
            }
            Self::Failed { detail } => ("FAILED", None, None, None, Some(detail)),
        }
    }
}

/// Orders whose end was told, with the messages.
pub(crate) fn retention() -> Retention {
    Retention {
        rows: KnownCustomer::TABLE,
        ended: "exists (select from notifications.message told where told.order_id = kept.order_id and told.event_type in
                 ('quadrille.orders.OrderRejected', 'quadrille.orders.OrderCompleted', 'quadrille.orders.OrderCancelled',
                  'quadrille.orders.OrderFailed'))",
        changed_at: "(select max(told.at) from notifications.message told where told.order_id = kept.order_id)",
        with: vec!["delete from notifications.message where order_id = any($1)"],
        ..Retention::default()
    }
}
