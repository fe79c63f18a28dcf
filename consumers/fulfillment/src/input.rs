//! What fulfillment decides about, and what a route's caller gets.

use events::{
    AllocationId, DisputeClosed, FraudCleared, OrderId, PaymentCaptured, PaymentDisputed, Reason, ShipmentId,
    StockReallocated, Timestamp,
};
use runtime::Timer;

use crate::parcel::{Fate, ParcelState};
use crate::returns::{ReturnInput, ReturnReply};
use crate::row::NextStep;

/// The timer of one shipment's picking; the discriminator is the shipment's id.
pub const PICK: &str = "pick";
pub const HAND_OVER: &str = "hand-over";

#[derive(Clone, Debug)]
pub enum Input {
    Cleared(Box<FraudCleared>),
    Reallocated(Box<StockReallocated>),
    CancellationRequested(OrderId, Reason),
    CaptureFailed(OrderId, Reason),
    Captured(Box<PaymentCaptured>),
    Disputed(Box<PaymentDisputed>),
    DisputeClosed(Box<DisputeClosed>),
    /// A person has what a dispute holds shipped all the same.
    HoldReleased(OrderId),
    Answered(Answered),
    PickDue(OrderId, ShipmentId),
    HandOverDue(OrderId),
    Return(ReturnInput),
    UnknownTimer(Timer),
}

#[derive(Clone, Debug)]
pub struct Answered {
    pub order_id: OrderId,
    pub shipment_id: ShipmentId,
    pub answer: Answer,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Picked and packed: so many units of each allocation; `rest` says why the others were not found.
    Picked {
        items: Vec<(AllocationId, i64)>,
        rest: Fate,
    },
    /// Left with the carrier: no way back.
    HandedOver {
        carrier: String,
        tracking: Option<String>,
        /// When; now, if not said.
        at: Option<Timestamp>,
    },
    WillNotShip(Fate),
    Delivered {
        /// When; now, if not said.
        at: Option<Timestamp>,
    },
    /// The goods of a shipment that was given up are back on their shelves.
    PutBack,
}

/// What a door's caller hears.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reply {
    /// Nobody asked, or there is no such shipment.
    #[default]
    Nothing,
    /// Where the shipment stands now.
    Shipment(ParcelState, NextStep),
    Return(ReturnReply),
}

impl Input {
    pub fn order_id(&self) -> OrderId {
        match self {
            Self::Cleared(event) => event.order_id,
            Self::Reallocated(event) => event.order_id,
            Self::Captured(event) => event.order_id,
            Self::Disputed(event) => event.order_id,
            Self::DisputeClosed(event) => event.order_id,
            Self::Answered(answered) => answered.order_id,
            Self::Return(input) => input.order_id(),
            Self::UnknownTimer(timer) => timer.order_id,
            Self::CancellationRequested(id, _)
            | Self::CaptureFailed(id, _)
            | Self::PickDue(id, _)
            | Self::HoldReleased(id)
            | Self::HandOverDue(id) => *id,
        }
    }
}
