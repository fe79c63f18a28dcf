//! Reads an event of an order: what is stored of it, and what it says of the order.

mod json;

use std::any::Any;
use std::sync::Arc;

use events::{EventId, OrderId, OrderParked, OrderStuck, OrderUnparked, Timestamp};
use runtime::sql::in_range;
use runtime::{Codec, Message, Unreadable, Work};
use uuid::Uuid;

use crate::dead_letter::DeadLetter;
use crate::facts::Facts;
use crate::input::{HeardEvent, Input, StoredRecord};
use crate::order_event::{FoldedEvent, WithOrderEvent, stored, with_order_event};
use crate::parked::Parking;
use crate::place::Place;
use crate::stuck::Situation;

/// The time in an order's id, if it is a UUIDv7, as orders mints them.
fn minted_at(order_id: OrderId) -> Option<Timestamp> {
    let id = order_id.as_uuid();
    let millis = (id.as_u128() >> 80) as i64; // 48 bits
    (id.get_version_num() == 7).then(|| in_range(Timestamp::from_millis(millis)))
}

/// Where a record stands.
///
/// # Errors
/// When nothing says when it happened.
pub(crate) fn place(message: &Message) -> Result<Place, Unreadable> {
    let at = message.said_at().or(message.timestamp_ms.map(Timestamp::from_millis)).ok_or_else(|| {
        let place = message.place();
        Unreadable(format!("expected a header ce_time in RFC 3339, or a record with a time; {place} has neither"))
    })?;
    let seq = message.headers.text("ce_sequence").and_then(|seq| seq.parse().ok());
    let Message { topic, partition, offset, .. } = *message;
    Ok(Place { topic, partition, offset, at: in_range(at), seq })
}

/// Reads an event of an order; none: it is of no order.
pub(crate) fn order_event(message: &Message, codec: &Codec) -> Option<Result<Work<Input>, Unreadable>> {
    with_order_event(message.event_type()?, Decode { message, codec })
}

struct Decode<'m> {
    message: &'m Message,
    codec: &'m Codec,
}

impl WithOrderEvent for Decode<'_> {
    type Output = Result<Work<Input>, Unreadable>;

    fn with<E: FoldedEvent>(self) -> Self::Output {
        decode::<E>(self.message, self.codec)
    }
}

/// What a stored event says; none: this version knows no such event of an order.
pub(crate) fn stored_facts(
    event_type: &str,
    data: &str,
    place: impl Fn(&'static str) -> Place,
) -> Option<serde_json::Result<Facts>> {
    with_order_event(event_type, DecodedEvent { data, place })
}

struct DecodedEvent<'d, P> {
    data: &'d str,
    place: P,
}

impl<P: Fn(&'static str) -> Place> WithOrderEvent for DecodedEvent<'_, P> {
    type Output = serde_json::Result<Facts>;

    fn with<E: FoldedEvent>(self) -> Self::Output {
        stored::<E>(self.data).map(|event| facts(&event, &(self.place)(E::TOPIC)))
    }
}

fn decode<E: FoldedEvent>(message: &Message, codec: &Codec) -> Result<Work<Input>, Unreadable> {
    let cause = message.cause()?;
    let event: E = message.read(codec)?;
    let place = place(message)?;
    let data = data(message, codec, &event)
        .map_err(|error| Unreadable(format!("{} can't be shown as JSON: {error}", message.place())))?;
    let thread = cause.thread.clone().unwrap_or_default();
    let facts = facts(&event, &place);
    let stuck = (&event as &dyn Any).downcast_ref::<OrderStuck>();
    let letter = stuck.map(|stuck| DeadLetter::stuck(message, cause.id, &place, stuck));
    let told = stuck.map_or_else(Vec::new, |stuck| Situation::by(stuck, cause.id, place.at));
    let parking = parking(&event, &place);
    let record = StoredRecord {
        order_id: event.order_id(),
        event_id: EventId(cause.id),
        event_type: E::TYPE,
        place,
        causation: message.headers.text("ce_causationid").and_then(|id| Uuid::parse_str(id).ok()),
        correlation: thread.correlation_id,
        traceparent: thread.traceparent,
        data,
        personal: event.personal().cloned(),
    };
    Ok(Work { cause, input: Input::Heard(Arc::new(HeardEvent { record, facts, letter, parking, told })) })
}

/// What an event says of what waits for a retry.
fn parking(event: &dyn Any, place: &Place) -> Option<(String, Parking)> {
    if let Some(parked) = event.downcast_ref::<OrderParked>() {
        return Some((parked.consumer.clone(), Parking::by_parked(parked, place)));
    }
    let unparked = event.downcast_ref::<OrderUnparked>()?;
    Some((unparked.consumer.clone(), Parking::by_unparked(unparked, place)))
}

/// An event as JSON without its personal data. What another version wrote is kept as that version wrote it: a field that today's struct does not
/// have yet, or any more, is not lost.
fn data<E: FoldedEvent>(message: &Message, codec: &Codec, event: &E) -> Result<String, Box<dyn std::error::Error>> {
    if codec.is_own::<E>(message.payload.as_deref()) {
        return Ok(json::without_personal(event)?);
    }
    Ok(json::stripped(codec.json::<E>(message.payload.as_deref())?)?)
}

/// What one event tells.
fn facts<E: FoldedEvent>(event: &E, place: &Place) -> Facts {
    let mut facts = Facts {
        seen: 1 << E::BIT,
        status: E::STATUS.unwrap_or_default(),
        position: place.seq.unwrap_or(0),
        placed_at: Some(minted_at(event.order_id()).unwrap_or(place.at)),
        changed_at: Some(place.at),
        ..Facts::default()
    };
    for moment in E::MOMENTS {
        facts.moments.tell(*moment, place.at);
    }
    event.add_to(&mut facts, place.at);
    facts
}
