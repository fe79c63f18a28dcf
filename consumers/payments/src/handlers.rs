//! Which input meets which rule.

use events::{
    Event, FraudRejected, FulfillmentCancelled, FulfillmentConfirmed, FulfillmentRejected, OrderId, ReservationExpired,
    StockReserved, Timestamp,
};
use runtime::{Codec, Conflict, Effects, Message, Timer, Unreadable, Work};

use crate::calls::{Answer, Call};
use crate::decide::{ATTEMPT, AUTHORIZATION, Step};
use crate::payment::{State, Verdict};
use crate::settings::PaymentsSettings;
use crate::world::{RefundStatus, Told, World};

/// What payments decides about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Everything is reserved: money is asked for.
    Reserved(Box<StockReserved>),
    /// The reservation's clock fired.
    Expired(ReservationExpired),
    /// Fraud says no.
    FraudRejected(FraudRejected),
    /// This will ship.
    Confirmed(FulfillmentConfirmed),
    /// Nothing can ship.
    Rejected(FulfillmentRejected),
    /// Fulfillment lets go.
    Cancelled(FulfillmentCancelled),
    /// What came of a call to the gateway.
    Answer(Answer),
    /// What came of the customer's action, as the gateway tells.
    Verdict {
        /// Whose.
        order_id: OrderId,
        /// What.
        verdict: Verdict,
    },
    /// How a refund stands, as the gateway tells.
    RefundTold(RefundTold),
    /// A person has what is stuck tried again.
    Retry {
        /// Whose.
        order_id: OrderId,
        /// The person's account.
        by: String,
    },
    /// The attempt's timer fired.
    AttemptDue {
        /// Whose.
        order_id: OrderId,
        /// When it was due.
        due: Timestamp,
    },
    /// The hold's timer fired.
    AuthorizationDue {
        /// Whose.
        order_id: OrderId,
    },
    /// A timer fired that this version does not know: it does nothing.
    UnknownTimer {
        /// Whose.
        order_id: OrderId,
    },
}

/// A message of the gateway about a refund, by the gateway's own ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundTold {
    /// Of the message: a repetition is known by it.
    pub message_id: String,
    /// Of the refund.
    pub refund_id: String,
    /// How the refund stands.
    pub status: RefundStatus,
}

/// What a door's caller gets to hear.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reply {
    /// Nobody asked.
    #[default]
    Nobody,
    /// It changed the payment, which now stands there.
    Recorded(State),
    /// It came before our own commit: it is kept, and counts when that is here.
    Kept,
    /// It changed nothing: the payment stands there already, or went another way.
    Nothing(State),
    /// It is tried again.
    Retried {
        /// Where the payment stands.
        state: State,
        /// The attempt's key.
        attempt: String,
    },
    /// Nothing is stuck; the payment stands there.
    NotStuck(State),
    /// The order is not known here.
    Unknown,
}

impl Input {
    /// Whose order, where the input says so: a gateway's message about a refund does not.
    pub fn order_id(&self) -> Option<OrderId> {
        match self {
            Self::Reserved(event) => Some(event.order_id),
            Self::Expired(event) => Some(event.order_id),
            Self::FraudRejected(event) => Some(event.order_id),
            Self::Confirmed(event) => Some(event.order_id),
            Self::Rejected(event) => Some(event.order_id),
            Self::Cancelled(event) => Some(event.order_id),
            Self::Answer(answer) => Some(answer.order_id),
            Self::Verdict { order_id, .. }
            | Self::Retry { order_id, .. }
            | Self::AttemptDue { order_id, .. }
            | Self::AuthorizationDue { order_id }
            | Self::UnknownTimer { order_id } => Some(*order_id),
            Self::RefundTold(_) => None,
        }
    }

    /// Whether it is the first that is heard of an order, as a rule.
    #[allow(dead_code)] // until payments has its rows from runtime::rows
    pub(crate) fn begins(&self) -> bool {
        matches!(self, Self::Reserved(_))
    }

    /// The refund that a gateway told about, or that an answer names.
    pub(crate) fn refund_id(&self) -> Option<&str> {
        match self {
            Self::RefundTold(told) => Some(&told.refund_id),
            Self::Answer(answer) => answer.outcome.refund_id(),
            Self::Reserved(_)
            | Self::Expired(_)
            | Self::FraudRejected(_)
            | Self::Confirmed(_)
            | Self::Rejected(_)
            | Self::Cancelled(_)
            | Self::Verdict { .. }
            | Self::Retry { .. }
            | Self::AttemptDue { .. }
            | Self::AuthorizationDue { .. }
            | Self::UnknownTimer { .. } => None,
        }
    }
}

/// The event types that payments hears.
pub(crate) const HEARS: [&str; 6] = [
    StockReserved::TYPE,
    ReservationExpired::TYPE,
    FraudRejected::TYPE,
    FulfillmentConfirmed::TYPE,
    FulfillmentRejected::TYPE,
    FulfillmentCancelled::TYPE,
];

/// Decodes an event that payments hears.
pub(crate) fn hear(message: &Message, codec: &Codec) -> Result<Work<Input>, Unreadable> {
    let input = match message.event_type() {
        Some(StockReserved::TYPE) => Input::Reserved(Box::new(message.read(codec)?)),
        Some(ReservationExpired::TYPE) => Input::Expired(message.read(codec)?),
        Some(FraudRejected::TYPE) => Input::FraudRejected(message.read(codec)?),
        Some(FulfillmentConfirmed::TYPE) => Input::Confirmed(message.read(codec)?),
        Some(FulfillmentRejected::TYPE) => Input::Rejected(message.read(codec)?),
        Some(FulfillmentCancelled::TYPE) => Input::Cancelled(message.read(codec)?),
        other => {
            let what = format!("{} is {other:?}: expected one of {HEARS:?}", message.place());
            return Err(Unreadable(what));
        }
    };
    Ok(Work { cause: message.cause()?, input })
}

/// What a due timer means.
pub(crate) fn due(timer: &Timer) -> Input {
    let order_id = timer.order_id;
    match timer.kind.as_str() {
        ATTEMPT => Input::AttemptDue { order_id, due: timer.due },
        AUTHORIZATION => Input::AuthorizationDue { order_id },
        _ => Input::UnknownTimer { order_id },
    }
}

/// What every decision of a consumer has at hand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules<'r> {
    pub settings: &'r PaymentsSettings,
    pub gateway: &'static str,
    /// Whether the gateway answers nobody.
    pub silent: bool,
    pub now: Timestamp,
}

impl Rules<'_> {
    /// Decides one input.
    pub fn decide(self, world: &mut World, input: &Input, effects: &mut Effects<'_, Call>) -> Result<Reply, Conflict> {
        let order_id = match (input, input.order_id()) {
            (Input::RefundTold(told), _) => return self.refund_told(world, told, effects),
            (_, Some(order_id)) => order_id,
            (_, None) => return Ok(Reply::Unknown),
        };
        let mut step = self.step(world, order_id, effects);
        let nobody = |()| Reply::Nobody;
        match input {
            Input::Reserved(event) => step.reserved(event).map(nobody),
            Input::Expired(event) => step.expired(event).map(nobody),
            Input::FraudRejected(event) => step.fraud_rejected(event).map(nobody),
            Input::Confirmed(event) => step.confirmed(event).map(nobody),
            Input::Rejected(event) => step.fulfillment_rejected(event).map(nobody),
            Input::Cancelled(event) => step.cancelled(event).map(nobody),
            Input::Answer(answer) => self.answered(world, answer, effects).map(nobody),
            Input::Verdict { verdict, .. } => step.verdict(verdict),
            Input::Retry { by, .. } => Ok(step.retry(by)),
            Input::AttemptDue { due, .. } => {
                step.attempt_due(*due);
                Ok(Reply::Nobody)
            }
            Input::AuthorizationDue { .. } => step.authorization_due().map(nobody),
            Input::RefundTold(_) | Input::UnknownTimer { .. } => Ok(Reply::Nobody),
        }
    }

    pub fn step<'s, 'c>(
        &'s self,
        world: &'s mut World,
        order_id: OrderId,
        effects: &'s mut Effects<'c, Call>,
    ) -> Step<'s, 'c> {
        let Self { settings, gateway, silent, now } = *self;
        Step { slot: world.slot(order_id), effects, settings, gateway, silent, now }
    }

    /// An answer; one that names a refund makes known whose it is, and what the gateway told of it before counts now.
    fn answered(self, world: &mut World, answer: &Answer, effects: &mut Effects<'_, Call>) -> Result<(), Conflict> {
        self.step(world, answer.order_id, effects).answer(answer)?;
        let Some(refund_id) = answer.outcome.refund_id() else { return Ok(()) };
        let slot = world.references.entry(refund_id.to_owned()).or_default();
        if slot.reference.order_id.is_none() {
            slot.reference.order_id = Some(answer.order_id);
            slot.changed = true;
        }
        if let Some(ended) = slot.reference.ended().cloned() {
            self.step(world, answer.order_id, effects).refund_told(refund_id, &ended)?;
        }
        Ok(())
    }

    /// A gateway's word on a refund: counted once by its id, and kept while nobody knows whose refund it is.
    fn refund_told(
        self,
        world: &mut World,
        told: &RefundTold,
        effects: &mut Effects<'_, Call>,
    ) -> Result<Reply, Conflict> {
        let RefundTold { message_id, refund_id, status } = told;
        let reference = &world.references.entry(refund_id.clone()).or_default().reference;
        let order_id = reference.order_id;
        let again = reference.told.iter().any(|told| told.message_id == *message_id);
        let reply = match order_id {
            Some(order_id) if again => Reply::Nothing(world.slot(order_id).payment.state),
            Some(order_id) => self.step(world, order_id, effects).refund_told(refund_id, status)?,
            None => Reply::Kept,
        };
        if !again {
            let slot = world.references.entry(refund_id.clone()).or_default();
            slot.reference.told.push(Told { message_id: message_id.clone(), status: status.clone(), at: self.now });
            slot.changed = true;
        }
        Ok(reply)
    }
}

/// Emits the calls that the batch left to be made: those of attempts that a later input took back are not among them.
pub(crate) fn finish(world: &mut World, effects: &mut Effects<'_, Call>) {
    for slot in world.payments.values_mut() {
        slot.fresh = false;
        if let Some(call) = slot.ask.take().and_then(|ask| Call::of(&slot.payment, ask)) {
            effects.call(call);
        }
    }
}
