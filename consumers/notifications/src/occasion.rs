//! What a customer is told of: the facts of each event that a text needs, and no more. It is kept where a message must wait.

use events::{
    Cancellation, Currency, Fault, Line, OrderAccepted, OrderCancelled, OrderCompleted, OrderFailed, OrderRejected,
    PaymentActionRequired, PaymentDeclined, PaymentKind, PaymentRefunded, ReasonCode, RefundCompleted, ReturnAnnounced,
    ReturnId, ReturnLine, ReturnReceived, ReturnRefused, ReturnedLine, ShipmentDelivered, ShipmentDispatched,
    ShipmentId, ShippedLine, Timestamp, UnshippedLine,
};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "occasion", rename_all = "snake_case")]
pub enum Occasion {
    OrderAccepted {
        currency: Currency,
        lines: Vec<Line>,
        total: i64,
        /// Paid already, or to be settled outside.
        #[serde(default)]
        settled: bool,
    },
    OrderRejected {
        faults: Vec<Fault>,
    },
    PaymentActionRequired {
        url: Option<String>,
        amount: i64,
        currency: Currency,
        expires_at: Timestamp,
    },
    PaymentDeclined {
        amount: i64,
        currency: Currency,
    },
    PaymentRefunded {
        amount: i64,
        currency: Currency,
        reason: ReasonCode,
    },
    RefundCompleted {
        amount: i64,
        currency: Currency,
    },
    ShipmentDispatched(SentParcel),
    ShipmentDelivered {
        shipment_id: ShipmentId,
    },
    ReturnAnnounced {
        return_id: ReturnId,
        lines: Vec<ReturnLine>,
    },
    ReturnReceived {
        lines: Vec<ReturnedLine>,
        refund: bool,
    },
    ReturnRefused {
        return_id: ReturnId,
        reason: String,
    },
    OrderCompleted {
        currency: Currency,
        charged: i64,
        shipped: Vec<ShippedLine>,
        unshipped: Vec<UnshippedLine>,
        cancellation: Cancellation,
    },
    OrderCancelled {
        currency: Currency,
        charged: i64,
    },
    OrderFailed {
        currency: Currency,
        charged: i64,
        reason: ReasonCode,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentParcel {
    pub shipment_id: ShipmentId,
    pub carrier: String,
    pub tracking: Option<String>,
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
            Self::RefundCompleted { .. } => "refund_completed",
            Self::ShipmentDispatched(_) => "shipment_dispatched",
            Self::ShipmentDelivered { .. } => "shipment_delivered",
            Self::ReturnAnnounced { .. } => "return_announced",
            Self::ReturnReceived { .. } => "return_received",
            Self::ReturnRefused { .. } => "return_refused",
            Self::OrderCompleted { .. } => "order_completed",
            Self::OrderCancelled { .. } => "order_cancelled",
            Self::OrderFailed { .. } => "order_failed",
        }
    }
}

/// What is told of an event: these of its fields.
macro_rules! told {
    ($($event:ident { $($field:ident),+ })+) => {$(
        impl From<$event> for Occasion {
            fn from($event { $($field,)+ .. }: $event) -> Self {
                Self::$event { $($field),+ }
            }
        }
    )+};
}

told! {
    OrderRejected { faults }
    PaymentActionRequired { url, amount, currency, expires_at }
    PaymentDeclined { amount, currency }
    RefundCompleted { amount, currency }
    ShipmentDelivered { shipment_id }
    ReturnAnnounced { return_id, lines }
    ReturnReceived { lines, refund }
    ReturnRefused { return_id, reason }
    OrderCompleted { currency, charged, shipped, unshipped, cancellation }
    OrderCancelled { currency, charged }
}

impl From<OrderAccepted> for Occasion {
    fn from(OrderAccepted { currency, lines, total, payment, .. }: OrderAccepted) -> Self {
        let settled = payment.is_some_and(|payment| payment.kind != PaymentKind::Authorized);
        Self::OrderAccepted { currency, lines, total, settled }
    }
}

impl From<PaymentRefunded> for Occasion {
    fn from(PaymentRefunded { amount, currency, reason, .. }: PaymentRefunded) -> Self {
        Self::PaymentRefunded { amount, currency, reason: reason.code }
    }
}

impl From<OrderFailed> for Occasion {
    fn from(OrderFailed { currency, charged, reason, .. }: OrderFailed) -> Self {
        Self::OrderFailed { currency, charged, reason: reason.code }
    }
}

impl From<ShipmentDispatched> for Occasion {
    fn from(ShipmentDispatched { shipment_id, carrier, tracking, items, .. }: ShipmentDispatched) -> Self {
        let items = items.into_iter().map(|item| (item.sku.into(), item.quantity)).collect();
        Self::ShipmentDispatched(SentParcel { shipment_id, carrier, tracking, items })
    }
}
