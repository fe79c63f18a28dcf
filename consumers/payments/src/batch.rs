//! What payments knows of the orders of a batch, and of the refunds of which providers give notice.

use std::collections::BTreeMap;

use events::{OrderId, Timestamp};
use gateway::RefundStatus;
use runtime::Recalled;
use serde::{Deserialize, Serialize};

use crate::attempt::Ask;
use crate::payment::{Payment, State};

/// One notice of a provider about a refund.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundNotice {
    /// The provider's id of the notice: by it a repetition is known.
    pub message_id: String,
    /// How the refund stands.
    #[serde(flatten)]
    pub status: RefundStatus,
    /// When it came.
    pub at: Timestamp,
}

/// What is known under a provider's id of a refund: the order, once our own answer is recorded, and the provider's notices, also those before that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reference {
    /// Whose refund; none until our own call's answer names it.
    pub order_id: Option<OrderId>,
    /// The notices, in the order in which they came.
    pub notices: Vec<RefundNotice>,
}

impl Reference {
    /// How the refund ended, as the first notice of its end says; none while it has not.
    pub fn ended(&self) -> Option<&RefundStatus> {
        self.notices.iter().map(|notice| &notice.status).find(|status| **status != RefundStatus::Pending)
    }
}

/// One order of a batch.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    /// The version that was loaded; 0: there was no row.
    pub loaded: i64,
    pub payment: Payment,
    pub changed: bool,
    /// What the gateway is to be asked once the batch is decided.
    pub ask: Option<Ask>,
    /// Whether the attempt was opened in this batch: no call was made under it, so a later input of the batch may still take it back.
    pub fresh: bool,
}

impl Slot {
    pub fn new(payment: Payment, loaded: i64) -> Self {
        Self { loaded, payment, changed: false, ask: None, fresh: false }
    }

    /// Nobody was asked under the open attempt, and nothing was remembered meanwhile.
    pub fn unasked(&mut self) {
        self.fresh = true;
        self.payment.case.stop = None;
    }
}

/// One refund of a batch.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReferenceSlot {
    /// The version that was loaded; 0: there was no row.
    pub loaded: i64,
    pub reference: Reference,
    pub changed: bool,
}

/// What a batch was loaded into. Kept over batches it is a store in memory: what it does not have was not heard of.
#[derive(Clone, Debug, Default)]
pub struct World {
    pub(crate) payments: BTreeMap<OrderId, Slot>,
    pub(crate) references: BTreeMap<String, ReferenceSlot>,
    /// The orders that were not read.
    pub(crate) recalled: Recalled,
}

impl World {
    /// What is known of an order's payment.
    pub fn payment(&self, order_id: OrderId) -> Option<&Payment> {
        self.payments.get(&order_id).map(|slot| &slot.payment)
    }

    /// All payments, by order.
    pub fn payments(&self) -> impl Iterator<Item = &Payment> {
        self.payments.values().map(|slot| &slot.payment)
    }

    /// What is known under a provider's id of a refund.
    pub fn reference(&self, refund_id: &str) -> Option<&Reference> {
        self.references.get(refund_id).map(|slot| &slot.reference)
    }

    /// Puts a payment into the store, as tests of rules do to begin anywhere.
    pub fn put(&mut self, payment: Payment) {
        let mut slot = Slot::new(payment, 0);
        slot.changed = true;
        self.payments.insert(slot.payment.order_id, slot);
    }

    /// The payments of which more is to be heard, as they are in the table after the batch.
    pub(crate) fn into_open(self) -> impl Iterator<Item = (OrderId, i64, Payment)> {
        let rows = self.payments.into_iter().filter(|(_, slot)| {
            let paid =
                matches!(slot.payment.state, State::Captured | State::Declined | State::Voided | State::Refunded);
            !paid && (slot.changed || slot.loaded > 0)
        });
        rows.map(|(order_id, slot)| (order_id, slot.loaded + i64::from(slot.changed), slot.payment))
    }

    pub(crate) fn slot(&mut self, order_id: OrderId) -> &mut Slot {
        self.payments.entry(order_id).or_insert_with(|| Slot::new(Payment::new(order_id), 0))
    }
}
