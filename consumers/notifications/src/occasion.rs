//! What a customer is told of: the facts of each event that a text needs, and no more. It is kept where a message must wait.

use events::{
    Cancellation, Currency, Fault, Line, OrderAccepted, OrderCancelled, OrderCompleted, OrderFailed, OrderRejected,
    PaymentActionRequired, PaymentDeclined, PaymentRefunded, ReasonCode, ShipmentDelivered, ShipmentDispatched,
    ShipmentId, ShippedLine, Timestamp, UnshippedLine,
};
use serde::{Deserialize, Serialize};

/// One thing to tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "occasion", rename_all = "snake_case")]
pub enum Occasion {
    /// The order is accepted.
    OrderAccepted {
        /// Currency of all amounts.
        currency: Currency,
        /// The lines with their all-inclusive amounts.
        lines: Vec<Line>,
        /// What is to be paid, in minor units.
        total: i64,
    },
    /// The order is invalid.
    OrderRejected {
        /// Everything that is wrong with it.
        faults: Vec<Fault>,
    },
    /// The customer must do something before the payment goes on.
    PaymentActionRequired {
        /// Where.
        url: Option<String>,
        /// What is to be paid, in minor units.
        amount: i64,
        /// Its currency.
        currency: Currency,
        /// Until when.
        expires_at: Timestamp,
    },
    /// The payment is refused.
    PaymentDeclined {
        /// What was asked for, in minor units.
        amount: i64,
        /// Its currency.
        currency: Currency,
    },
    /// Money was given back.
    PaymentRefunded {
        /// How much, in minor units.
        amount: i64,
        /// Its currency.
        currency: Currency,
        /// Why.
        reason: ReasonCode,
    },
    /// A parcel left.
    ShipmentDispatched(Parcel),
    /// A parcel arrived.
    ShipmentDelivered {
        /// Which.
        shipment_id: ShipmentId,
    },
    /// The order ended, and something shipped.
    OrderCompleted {
        /// Currency of all amounts.
        currency: Currency,
        /// What was charged and not given back, in minor units.
        charged: i64,
        /// What shipped.
        shipped: Vec<ShippedLine>,
        /// What did not, with why.
        unshipped: Vec<UnshippedLine>,
        /// Whether a wish to cancel was met.
        cancellation: Cancellation,
    },
    /// The order ended as was asked.
    OrderCancelled {
        /// Currency of `charged`.
        currency: Currency,
        /// What was charged and not given back, in minor units.
        charged: i64,
    },
    /// The order ended, and nothing shipped.
    OrderFailed {
        /// Currency of `charged`.
        currency: Currency,
        /// What was charged and not given back, in minor units.
        charged: i64,
        /// Why.
        reason: ReasonCode,
    },
}

/// A parcel on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parcel {
    /// Which.
    pub shipment_id: ShipmentId,
    /// Who carries it.
    pub carrier: String,
    /// The carrier's number of it.
    pub tracking: Option<String>,
    /// What is in it: article and units.
    pub items: Vec<(String, i64)>,
}

impl Occasion {
    /// The name of its text, in every language and on every channel.
    pub fn template(&self) -> &'static str {
        match self {
            Self::OrderAccepted { .. } => "order_accepted",
            Self::OrderRejected { .. } => "order_rejected",
            Self::PaymentActionRequired { .. } => "payment_action_required",
            Self::PaymentDeclined { .. } => "payment_declined",
            Self::PaymentRefunded { .. } => "payment_refunded",
            Self::ShipmentDispatched(_) => "shipment_dispatched",
            Self::ShipmentDelivered { .. } => "shipment_delivered",
            Self::OrderCompleted { .. } => "order_completed",
            Self::OrderCancelled { .. } => "order_cancelled",
            Self::OrderFailed { .. } => "order_failed",
        }
    }
}

impl From<OrderAccepted> for Occasion {
    fn from(event: OrderAccepted) -> Self {
        Self::OrderAccepted { currency: event.currency, lines: event.lines, total: event.total }
    }
}

impl From<OrderRejected> for Occasion {
    fn from(event: OrderRejected) -> Self {
        Self::OrderRejected { faults: event.faults }
    }
}

impl From<PaymentActionRequired> for Occasion {
    fn from(event: PaymentActionRequired) -> Self {
        let PaymentActionRequired { url, amount, currency, expires_at, .. } = event;
        Self::PaymentActionRequired { url, amount, currency, expires_at }
    }
}

impl From<PaymentDeclined> for Occasion {
    fn from(event: PaymentDeclined) -> Self {
        Self::PaymentDeclined { amount: event.amount, currency: event.currency }
    }
}

impl From<PaymentRefunded> for Occasion {
    fn from(event: PaymentRefunded) -> Self {
        Self::PaymentRefunded { amount: event.amount, currency: event.currency, reason: event.reason.code }
    }
}

impl From<ShipmentDispatched> for Occasion {
    fn from(event: ShipmentDispatched) -> Self {
        let ShipmentDispatched { shipment_id, carrier, tracking, items, .. } = event;
        let items = items.into_iter().map(|item| (item.sku.into(), item.quantity)).collect();
        Self::ShipmentDispatched(Parcel { shipment_id, carrier, tracking, items })
    }
}

impl From<ShipmentDelivered> for Occasion {
    fn from(event: ShipmentDelivered) -> Self {
        Self::ShipmentDelivered { shipment_id: event.shipment_id }
    }
}

impl From<OrderCompleted> for Occasion {
    fn from(event: OrderCompleted) -> Self {
        let OrderCompleted { currency, charged, shipped, unshipped, cancellation, .. } = event;
        Self::OrderCompleted { currency, charged, shipped, unshipped, cancellation }
    }
}

impl From<OrderCancelled> for Occasion {
    fn from(event: OrderCancelled) -> Self {
        Self::OrderCancelled { currency: event.currency, charged: event.charged }
    }
}

impl From<OrderFailed> for Occasion {
    fn from(event: OrderFailed) -> Self {
        Self::OrderFailed { currency: event.currency, charged: event.charged, reason: event.reason.code }
    }
}
