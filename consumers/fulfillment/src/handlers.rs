//! What comes in, and which rule it meets.

use events::{
    AllocationId, Event, FraudCleared, OrderCancellationRequested, OrderId, PaymentCaptureFailed, PaymentCaptured,
    Reason, ShipmentId, StockReallocated, Timestamp,
};
use runtime::{Codec, Conflict, Message, Timer, Unreadable};

use crate::consignment::{Consignment, Step};
use crate::decide::{Change, HAND_OVER, PICK, Rules, captured_unasked};
use crate::parcel::{Fate, ParcelState};
use crate::store::Slot;

/// What fulfillment decides about.
#[derive(Clone, Debug)]
pub enum Input {
    /// The order may go on.
    Cleared(Box<FraudCleared>),
    /// A shortage is answered.
    Reallocated(Box<StockReallocated>),
    /// Someone wants the order cancelled.
    CancellationRequested(OrderId, Reason),
    /// The money can't be taken.
    CaptureFailed(OrderId, Reason),
    /// The money is taken.
    Captured(Box<PaymentCaptured>),
    /// A warehouse says something about a shipment.
    Answered(Answered),
    /// A shipment's pick timer is due.
    PickDue(OrderId, ShipmentId),
    /// An order's hand-over timer is due.
    HandOverDue(OrderId),
    /// A timer that this version does not know.
    UnknownTimer(Timer),
}

/// What a warehouse says about one shipment.
#[derive(Clone, Debug)]
pub struct Answered {
    /// Whose order.
    pub order_id: OrderId,
    /// Which shipment.
    pub shipment_id: ShipmentId,
    /// What.
    pub answer: Answer,
}

/// A warehouse's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Picked and packed: so many units of each allocation; `rest` says why the others were not found.
    Picked {
        /// Units taken, by allocation; one that is not named was not taken.
        items: Vec<(AllocationId, i64)>,
        /// What became of the rest.
        rest: Fate,
    },
    /// Left with the carrier: no way back.
    HandedOver {
        /// Who carries it.
        carrier: String,
        /// The carrier's number.
        tracking: Option<String>,
        /// When; now, if not said.
        at: Option<Timestamp>,
    },
    /// It stays: recalled, damaged, lost, refused.
    WillNotShip(Fate),
    /// It arrived.
    Delivered {
        /// When; now, if not said.
        at: Option<Timestamp>,
    },
    /// The goods of a shipment that was given up are back on their shelves.
    PutBack,
}

/// What a door's caller hears: where the shipment stands now; none if there is no such shipment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reply(pub Option<(ParcelState, Step)>);

impl Input {
    /// Whose order it is about.
    pub fn order_id(&self) -> OrderId {
        match self {
            Self::Cleared(event) => event.order_id,
            Self::Reallocated(event) => event.order_id,
            Self::Captured(event) => event.order_id,
            Self::Answered(answered) => answered.order_id,
            Self::UnknownTimer(timer) => timer.order_id,
            Self::CancellationRequested(id, _)
            | Self::CaptureFailed(id, _)
            | Self::PickDue(id, _)
            | Self::HandOverDue(id) => *id,
        }
    }

    /// Decodes an event that is heard.
    ///
    /// # Errors
    /// When it can't be read, or is none of those heard.
    pub fn decode(message: &Message, codec: &Codec) -> Result<Self, Unreadable> {
        match message.event_type() {
            Some(FraudCleared::TYPE) => Ok(Self::Cleared(Box::new(message.read(codec)?))),
            Some(StockReallocated::TYPE) => Ok(Self::Reallocated(Box::new(message.read(codec)?))),
            Some(PaymentCaptured::TYPE) => Ok(Self::Captured(Box::new(message.read(codec)?))),
            Some(OrderCancellationRequested::TYPE) => {
                let event: OrderCancellationRequested = message.read(codec)?;
                Ok(Self::CancellationRequested(event.order_id, event.reason))
            }
            Some(PaymentCaptureFailed::TYPE) => {
                let event: PaymentCaptureFailed = message.read(codec)?;
                Ok(Self::CaptureFailed(event.order_id, event.reason))
            }
            other => Err(Unreadable(format!(
                "fulfillment does not hear {}: {}",
                other.unwrap_or("an event without ce_type"),
                message.place()
            ))),
        }
    }

    /// What a due timer means.
    pub fn on_timer(timer: &Timer) -> Self {
        match (timer.kind.as_str(), timer.discriminator.parse()) {
            (PICK, Ok(shipment_id)) => Self::PickDue(timer.order_id, shipment_id),
            (HAND_OVER, _) => Self::HandOverDue(timer.order_id),
            _ => Self::UnknownTimer(timer.clone()),
        }
    }
}

/// Meets an input with its rule. The order changes only where the rule succeeds.
///
/// # Errors
/// When the input contradicts what is known of the order.
pub fn meet(rules: &mut Rules<'_, '_>, slot: &mut Slot, input: &Input) -> Result<Reply, Conflict> {
    let Some(order) = slot.row.as_mut() else {
        let (mut first, reply) = meet_unknown(rules, input)?;
        if let Some(order) = &mut first {
            rules.let_built_in_answer(order);
            slot.changed = true;
        }
        slot.row = first;
        return Ok(reply);
    };
    rules.effects.follow(&order.thread);
    let change = match input {
        Input::Cleared(_) => Change::Nothing,
        Input::Reallocated(event) => rules.reallocated(order, event)?,
        Input::CancellationRequested(_, reason) => rules.cancellation_requested(order, reason),
        Input::CaptureFailed(_, reason) => rules.capture_failed(order, reason)?,
        Input::Captured(event) => rules.captured(order, event)?,
        Input::PickDue(_, shipment_id) => {
            let index = order.parcels.iter().position(|parcel| parcel.shipment_id == *shipment_id);
            index.map_or(Change::Nothing, |index| rules.pick_due(order, index))
        }
        Input::HandOverDue(_) => rules.hand_over_due(order),
        Input::Answered(answered) => {
            let (change, reply) = meet_answer(rules, order, answered)?;
            slot.changed |= change == Change::Made;
            return Ok(reply);
        }
        Input::UnknownTimer(timer) => return Err(unknown_timer(timer)),
    };
    if change == Change::Made {
        slot.changed = true;
        rules.effects.go_on(&mut order.thread);
    }
    slot.changed |= rules.let_built_in_answer(order) == Change::Made;
    Ok(Reply::default())
}

/// The column "no row" of the table.
fn meet_unknown(rules: &mut Rules<'_, '_>, input: &Input) -> Result<(Option<Consignment>, Reply), Conflict> {
    match input {
        Input::Cleared(event) => Ok((Some(rules.cleared(event)?), Reply::default())),
        Input::CancellationRequested(_, reason) | Input::CaptureFailed(_, reason) => {
            Ok((Some(rules.stop_unknown(reason)), Reply::default()))
        }
        Input::Captured(_) => Err(captured_unasked()),
        Input::Reallocated(event) => Err(unknown_order("StockReallocated", event.order_id)),
        Input::Answered(_) => Ok((None, Reply::default())),
        Input::PickDue(..) | Input::HandOverDue(_) => Ok((None, Reply::default())),
        Input::UnknownTimer(timer) => Err(unknown_timer(timer)),
    }
}

fn meet_answer(
    rules: &mut Rules<'_, '_>,
    order: &mut Consignment,
    answered: &Answered,
) -> Result<(Change, Reply), Conflict> {
    let Some(index) = order.parcels.iter().position(|parcel| parcel.shipment_id == answered.shipment_id) else {
        return Ok((Change::Nothing, Reply::default()));
    };
    let change = rules.answered(order, index, &answered.answer)?;
    let parcel = &order.parcels[index];
    Ok((change, Reply(Some((parcel.state, order.next_step(parcel))))))
}

fn unknown_order(what: &str, order_id: OrderId) -> Conflict {
    Conflict(format!(
        "expected FraudCleared of order {order_id} before {what}: was an event skipped, or the database restored?"
    ))
}

fn unknown_timer(timer: &Timer) -> Conflict {
    Conflict(format!(
        "expected a timer `{PICK}` (with a shipment id) or `{HAND_OVER}`, got `{}` with `{}`: was it armed by a newer version?",
        timer.kind, timer.discriminator
    ))
}
