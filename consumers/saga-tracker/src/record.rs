//! An event as it is kept: where it stood, when it happened, why, and its JSON without personal data.

mod json;

use std::any::Any;
use std::sync::Arc;

use events::{EventId, OrderId, OrderParked, OrderStuck, OrderUnparked, Personal, Timestamp};
use runtime::{Codec, Message, Unreadable, Work};
use uuid::Uuid;

use crate::facts::Facts;
use crate::handlers::Input;
use crate::letter::Letter;
use crate::parked::Parking;
use crate::stuck::Situation;
use crate::told::Told;

/// The moments that PostgreSQL and RFC 3339 both can name: the years 0001 to 9999, in milliseconds.
const EARLIEST: i64 = -62_135_596_800_000;
const LATEST: i64 = 253_402_300_799_999;

/// Where a record stands, and when and where it was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The topic, without prefix.
    pub topic: &'static str,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// When it happened: `ce_time`, or else the record's own time.
    pub at: Timestamp,
    /// Its place in the outbox: `ce_sequence`; none: it did not come from there.
    pub seq: Option<i64>,
}

/// An event of an order, for the event store.
#[derive(Clone, Debug)]
pub struct Record {
    /// Whose.
    pub order_id: OrderId,
    /// Its `ce_id`.
    pub event_id: EventId,
    /// Its `ce_type`.
    pub event_type: &'static str,
    /// Where it stood.
    pub place: Place,
    /// What it was said because of.
    pub causation: Option<Uuid>,
    /// The order's correlation id.
    pub correlation: Arc<str>,
    /// Its trace context.
    pub traceparent: Option<Arc<str>>,
    /// The event as JSON, without personal data.
    pub data: String,
    /// Its personal data, as it carried it.
    pub personal: Option<Personal>,
}

/// An event of an order, with what it tells.
#[derive(Clone, Debug)]
pub struct Heard {
    /// For the event store.
    pub record: Record,
    /// For the order's row.
    pub facts: Facts,
    /// For the dead letters, if it says that the order needs a person.
    pub letter: Option<Letter>,
    /// For what waits for a retry, if it speaks of that: of which consumer.
    pub parking: Option<(String, Parking)>,
    /// What it tells to be stuck, if it does.
    pub told: Vec<((OrderId, Uuid, i64), Situation)>,
}

/// A moment that the database can hold, whatever was said.
pub(crate) fn in_range(at: Timestamp) -> Timestamp {
    Timestamp::from_millis(at.as_millis().clamp(EARLIEST, LATEST))
}

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

/// Reads an event of an order.
pub(crate) fn heard<E: Told>(message: &Message, codec: &Codec) -> Result<Work<Input>, Unreadable> {
    let cause = message.cause()?;
    let event: E = message.read(codec)?;
    let place = place(message)?;
    let data = data(message, codec, &event)
        .map_err(|error| Unreadable(format!("{} can't be shown as JSON: {error}", message.place())))?;
    let thread = cause.thread.clone().unwrap_or_default();
    let facts = facts(&event, &place);
    let stuck = (&event as &dyn Any).downcast_ref::<OrderStuck>();
    let letter = stuck.map(|stuck| Letter::stuck(message, cause.id, &place, stuck));
    let told = stuck.map_or_else(Vec::new, |stuck| Situation::by(stuck, cause.id, place.at));
    let parking = parking(&event, &place);
    let record = Record {
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
    Ok(Work { cause, input: Input::Heard(Arc::new(Heard { record, facts, letter, parking, told })) })
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
fn data<E: Told>(message: &Message, codec: &Codec, event: &E) -> Result<String, Box<dyn std::error::Error>> {
    if codec.is_own::<E>(message.payload.as_deref()) {
        return Ok(json::without_personal(event)?);
    }
    Ok(json::stripped(codec.json::<E>(message.payload.as_deref())?)?)
}

/// What one event tells.
pub(crate) fn facts<E: Told>(event: &E, place: &Place) -> Facts {
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
    event.tell(&mut facts, place.at);
    facts
}
