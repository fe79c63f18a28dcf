//! An order's case: everything that happened to it and how it stood at any moment, folded from the stored events alone.
//!
//! No read model is asked. What is shown of an order now is what its row says, as a test proves of every order of a mixed run; what is shown of an
//! earlier moment is what the row said then, had every event been heard at once.

mod text;

use events::{OrderId, Timestamp};
use runtime::Failure;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::decode;
use crate::facts::Facts;
use crate::http::{BesideSaga, EventView, OrderDetail};
use crate::stock::{AllocationUnits, Ledger};
use crate::store::{self, OrderRow, ShipmentRow, StoredEvent};

const LONGEST: i64 = 10_000;

pub struct Case {
    order_id: OrderId,
    at: Option<Timestamp>,
    facts: Facts,
    stock: Vec<AllocationUnits>,
    events: Vec<StoredEvent>,
    /// Events of types that this version does not know; they are among `events`.
    unknown: usize,
}

impl Case {
    /// Reads an order's events and folds those that had happened at `at`; all of them when it is none. None: the store has no such event.
    pub async fn read(pool: &PgPool, order_id: OrderId, at: Option<Timestamp>) -> Result<Option<Self>, Failure> {
        let mut events = store::history(pool, order_id, LONGEST).await?;
        if let Some(at) = at {
            events.retain(|event| event.at.0 <= at);
        }
        if events.is_empty() {
            return Ok(None);
        }
        let (mut facts, mut unknown) = (Facts::default(), 0);
        for event in &events {
            match decode::stored_facts(&event.event_type, &event.data, event.at.0, event.seq) {
                Some(told) => facts.merge(&told.map_err(|source| event.unreadable(source))?),
                None => unknown += 1,
            }
        }
        let mut ledger = Ledger::default();
        for event in &events {
            ledger.fold(&event.event_type, &event.data).map_err(|source| event.unreadable(source))?;
        }
        Ok(Some(Self { order_id, at, facts, stock: ledger.units(), events, unknown }))
    }

    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    pub(crate) fn detail(&self) -> Result<OrderDetail, Failure> {
        let row = OrderRow { order_id: self.order_id, facts: self.facts.clone() };
        let Facts { refunds, returns, disputes, .. } = &self.facts;
        OrderDetail::of(&row, self.shipments(), BesideSaga { refunds, returns, disputes, exchanges: &[] })
    }

    fn shipments(&self) -> Vec<ShipmentRow> {
        self.facts.shipments.iter().map(|(id, of)| ShipmentRow::of(self.order_id, *id, of, &self.facts)).collect()
    }

    pub fn json(&self) -> Result<Value, Failure> {
        let mut before = None;
        let view = |event: &StoredEvent| EventView::of(event.clone(), before.replace(event.at.0));
        let events: Vec<EventView> = self.events.iter().map(view).collect::<Result<_, _>>()?;
        let at = self.at.map(|at| at.to_string());
        Ok(json!({"as_of": at, "order": self.detail()?, "stock": self.stock, "events": events}))
    }
}
