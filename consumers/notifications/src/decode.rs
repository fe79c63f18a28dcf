//! Decodes events: which one is told as what.

use events::{
    Event, EventId, OrderAccepted, OrderCancelled, OrderCompleted, OrderFailed, OrderId, OrderRejected,
    PaymentActionRequired, PaymentDeclined, PaymentRefunded, Personal, RefundCompleted, ReturnAnnounced,
    ReturnReceived, ReturnRefused, ShipmentDelivered, ShipmentDispatched,
};
use runtime::{Codec, Message, Unreadable, Work};

use crate::contact::Contact;
use crate::input::{CustomerEvent, Input};
use crate::occasion::Occasion;
use crate::row::WaitingEvent;

type Told = (OrderId, Occasion, Option<Contact>);

fn contact(personal: &Personal, reference: &str, message: &Message) -> Result<Contact, Unreadable> {
    let person = personal.open();
    let person = person.map_err(|error| Unreadable(format!("personal data of {}: {error}", message.place())))?;
    Ok(Contact::of(person, reference.to_owned()))
}

fn accepted(message: &Message, codec: &Codec) -> Result<Told, Unreadable> {
    let event: OrderAccepted = message.read(codec)?;
    let contact = contact(&event.personal, &event.reference, message)?;
    Ok((event.order_id, event.into(), Some(contact)))
}

/// A rejected order carries its own contact, as it was never accepted; one that named none is told to nobody, which is said.
fn rejected(message: &Message, codec: &Codec) -> Result<Told, Unreadable> {
    let event: OrderRejected = message.read(codec)?;
    let contact = match &event.personal {
        Some(personal) => contact(personal, &event.reference, message)?,
        None => Contact { reference: event.reference.clone(), ..Contact::default() },
    };
    Ok((event.order_id, event.into(), Some(contact)))
}

fn told<E: Event + Into<Occasion>>(
    message: &Message,
    codec: &Codec,
    order_id: fn(&E) -> OrderId,
) -> Result<Told, Unreadable> {
    let event: E = message.read(codec)?;
    Ok((order_id(&event), event.into(), None))
}

pub(crate) fn decode(message: &Message, codec: &Codec) -> Result<Work<Input>, Unreadable> {
    let cause = message.cause()?;
    let event_type = message.event_type().unwrap_or_default();
    let (order_id, occasion, contact) = match event_type {
        OrderAccepted::TYPE => accepted(message, codec)?,
        OrderRejected::TYPE => rejected(message, codec)?,
        OrderCompleted::TYPE => told::<OrderCompleted>(message, codec, |event| event.order_id)?,
        OrderCancelled::TYPE => told::<OrderCancelled>(message, codec, |event| event.order_id)?,
        OrderFailed::TYPE => told::<OrderFailed>(message, codec, |event| event.order_id)?,
        PaymentActionRequired::TYPE => told::<PaymentActionRequired>(message, codec, |event| event.order_id)?,
        PaymentDeclined::TYPE => told::<PaymentDeclined>(message, codec, |event| event.order_id)?,
        PaymentRefunded::TYPE => told::<PaymentRefunded>(message, codec, |event| event.order_id)?,
        RefundCompleted::TYPE => {
            let event: RefundCompleted = message.read(codec)?;
            if event.unshipped {
                return Ok(Work { cause, input: Input::Untold(event.order_id) });
            }
            (event.order_id, event.into(), None)
        }
        ShipmentDispatched::TYPE => told::<ShipmentDispatched>(message, codec, |event| event.order_id)?,
        ShipmentDelivered::TYPE => told::<ShipmentDelivered>(message, codec, |event| event.order_id)?,
        ReturnAnnounced::TYPE => told::<ReturnAnnounced>(message, codec, |event| event.order_id)?,
        ReturnReceived::TYPE => told::<ReturnReceived>(message, codec, |event| event.order_id)?,
        ReturnRefused::TYPE => told::<ReturnRefused>(message, codec, |event| event.order_id)?,
        other => {
            return Err(Unreadable(format!("notifications does not hear {other:?}, got it at {}", message.place())));
        }
    };
    let news = WaitingEvent { event_id: EventId(cause.id), event_type: event_type.to_owned(), occasion };
    Ok(Work { cause, input: Input::Heard(Box::new(CustomerEvent { order_id, news, contact })) })
}
