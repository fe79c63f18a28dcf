//! What payments knows of the orders of a batch, and of the refunds of which providers give notice.

use std::collections::BTreeMap;

use events::{OrderId, RefundId, Timestamp};
use gateway::RefundStatus;
use runtime::rows::{Row, Rows};
use serde::{Deserialize, Serialize};

use crate::attempt::Ask;
use crate::payment::Payment;
use crate::refunds::{CustomerRefund, Room, Shipped};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundNotice {
    /// The provider's id of the notice: by it a repetition is known.
    pub message_id: String,
    #[serde(flatten)]
    pub status: RefundStatus,
    pub at: Timestamp,
}

/// What is known under a provider's id of a refund: the order, once our own answer is recorded, and the provider's notices, also those before that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reference {
    /// Whose refund; none until our own call's answer names it.
    pub order_id: Option<OrderId>,
    /// Which refund to the customer; none: it is the saga's, or not known yet.
    pub customer_refund: Option<RefundId>,
    pub notices: Vec<RefundNotice>,
}

impl Reference {
    /// How the refund ended; none while it has not. One that succeeded may fail days later, whichever notice comes first.
    pub fn ended(&self) -> Option<&RefundStatus> {
        let statuses = || self.notices.iter().map(|notice| &notice.status);
        let failed = statuses().find(|status| matches!(status, RefundStatus::Failed { .. }));
        failed.or_else(|| statuses().find(|status| **status == RefundStatus::Succeeded))
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NextCall {
    pub ask: Option<Ask>,
    /// Whether the attempt was opened in this batch: no call was made under it, so a later input of the batch may still take it back.
    pub fresh: bool,
}

/// What a batch was loaded into. Kept over batches it is a store in memory: what it does not have was not heard of.
#[derive(Clone, Debug, Default)]
pub struct BatchState {
    pub(crate) payments: Rows<Payment>,
    pub(crate) references: Rows<Reference>,
    /// Those of orders of which something was refunded, or may be now.
    pub(crate) refunds: Rows<CustomerRefund>,
    pub(crate) shipments: Rows<Shipped>,
    pub(crate) calls: BTreeMap<OrderId, NextCall>,
    pub(crate) refund_calls: BTreeMap<RefundId, NextCall>,
}

impl BatchState {
    pub fn payment(&self, order_id: OrderId) -> Option<&Payment> {
        self.payments.get(&order_id)
    }

    pub fn payments(&self) -> impl Iterator<Item = &Payment> {
        self.payments.iter().map(|(_, payment)| payment)
    }

    pub fn reference(&self, refund_id: &str) -> Option<&Reference> {
        self.references.get(&refund_id.to_owned())
    }

    pub fn refunds(&self) -> impl Iterator<Item = (&RefundId, &CustomerRefund)> {
        self.refunds.iter()
    }

    /// What can still go back to the customer of an order.
    pub fn room(&self, order_id: OrderId, payment: &Payment) -> Room {
        let shipments = self.shipments.iter().filter(|(_, shipped)| shipped.order_id == order_id);
        let refunds = self.refunds.iter().filter(|(_, refund)| refund.order_id == order_id);
        Room::new(payment, shipments.flat_map(|(_, shipped)| &shipped.items), refunds.map(|(_, refund)| refund))
    }

    pub(crate) fn payment_mut(&mut self, order_id: OrderId) -> (&mut Row<Payment>, &mut NextCall) {
        let payment = self.payments.get_or_insert_with(order_id, || Payment::new(order_id));
        (payment, self.calls.entry(order_id).or_default())
    }

    pub(crate) fn reference_mut(&mut self, refund_id: &str) -> &mut Row<Reference> {
        self.references.get_or_insert_with(refund_id.to_owned(), Reference::default)
    }
}
