//! An order as it came in, with its identity, and the answer that it gets if it is new: made before any row is locked.

use std::sync::Arc;

use events::{
    Address, CustomerId, Fault, OrderAccepted, OrderId, OrderPlaced, OrderReading, OrderRejected, Person, Timestamp,
    derive_id,
};
use runtime::{Message, TraceContext};
use uuid::Uuid;

use crate::row::Body;
use crate::settings::NAME;
use crate::validate::{LONGEST_ID, LONGEST_REFERENCE, Priced, check};

#[derive(Clone, Debug)]
pub struct Arrival {
    pub candidate: OrderId,
    /// Its source, if the body names none.
    pub source: String,
    /// Its reference, if the body names none; without one it is known by its record, or, at the door, by the id that it gets.
    pub reference: Option<String>,
    /// Source and reference by which an earlier version knew it, if the body names none, where these are others.
    pub former: Option<(String, String)>,
    /// The record that it came in; none at the door.
    pub record: Option<PlacedRecord>,
    pub thread: TraceContext,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedRecord {
    /// Where it stands: `order-placed/0@7`. In a topic that was made anew another one may stand there.
    pub place: String,
    /// Its time, as it says; many a producer's means nothing.
    pub timestamp_ms: Option<i64>,
    pub digest: Uuid,
}

impl PlacedRecord {
    pub fn of(message: &Message) -> Self {
        let payload = message.payload.as_deref().unwrap_or_default();
        let digest = Uuid::new_v5(&Uuid::NAMESPACE_OID, payload);
        Self { place: message.place(), timestamp_ms: message.timestamp_ms, digest }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IntakeAnswer {
    Valid(OrderAccepted),
    Invalid(OrderRejected),
}

#[derive(Clone, Debug)]
pub struct Placed {
    /// Its identity as a key: derived from source and reference, or from its record, if it brings no reference.
    pub placement: Uuid,
    /// The key that it has if it is rejected: derived from its identity and its bytes, so that it can be placed again, mended, under its identity.
    pub rejection: Uuid,
    /// The keys that it had in earlier versions: of its record's place alone, if it brings no reference, and of what they read as its source and
    /// reference.
    pub former: Vec<Uuid>,
    pub order: OrderPlaced,
    pub body: Body,
    pub thread: TraceContext,
    pub verdict: IntakeAnswer,
    /// When it was placed, where its record says so; through the door it is now.
    pub said_at: Option<Timestamp>,
    /// When its record was written, by the record's own time; none where it means nothing. A mended order may repeat the time that it says itself.
    pub recorded_at: Option<Timestamp>,
}

impl Placed {
    /// Fills in what the body left to its way in, and validates.
    pub fn new(reading: impl Into<OrderReading>, arrival: Arrival) -> Self {
        let mut reading: OrderReading = reading.into();
        let Arrival { candidate, source, reference, former, record, thread } = arrival;
        let order = &mut reading.order;
        let former = former.map(|(source, reference)| {
            placement(order.source.as_ref().unwrap_or(&source), order.reference.as_ref().unwrap_or(&reference))
        });
        let source = order.source.get_or_insert(source).clone();
        let named = order.reference.take().or(reference);
        let place = if named.is_none() { record.as_ref() } else { None };
        let reference =
            named.unwrap_or_else(|| record.as_ref().map_or(candidate.to_string(), |record| record.place.clone()));
        order.reference = Some(reference.clone());
        let of_place = place.map(|_| placement(&source, &reference));
        let mut formers: Vec<Uuid> = of_place.into_iter().chain(former).collect();
        let placement = place.map_or_else(|| placement(&source, &reference), |record| of_record(&source, record));
        formers.retain(|key| *key != placement);
        formers.dedup();
        let body = body_of(&reading.order);
        let verdict = match check(&reading) {
            Ok(priced) => IntakeAnswer::Valid(accepted(candidate, &reading.order, source, reference, priced)),
            Err(faults) => IntakeAnswer::Invalid(rejected(candidate, &reading.order, &source, &reference, faults)),
        };
        let bytes = record.map_or(body.digest, |record| record.digest);
        let rejection = derive_id(placement, NAME, "rejection", &bytes.to_string());
        Self {
            placement,
            rejection,
            former: formers,
            order: reading.order,
            body,
            thread,
            verdict,
            said_at: None,
            recorded_at: None,
        }
    }

    pub(crate) fn candidate(&self) -> OrderId {
        match &self.verdict {
            IntakeAnswer::Valid(event) => event.order_id,
            IntakeAnswer::Invalid(event) => event.order_id,
        }
    }

    /// The keys of an order of this identity, or a former one, that was rejected, and of whose bytes nothing is known.
    pub(crate) fn rejected_before(&self) -> impl Iterator<Item = Uuid> {
        std::iter::once(&self.placement).chain(&self.former).copied().map(rejection_of_unknown_bytes)
    }

    /// All keys under which an order that it repeats may be known.
    pub(crate) fn keys(&self) -> impl Iterator<Item = Uuid> {
        [self.placement, self.rejection].into_iter().chain(self.rejected_before()).chain(self.former.iter().copied())
    }
}

/// The key of (source, reference): of one length, however long they are, so that an invalid order has its guard too.
pub fn placement(source: &str, reference: &str) -> Uuid {
    derive_id(source, NAME, "placement", reference)
}

/// The key of a rejected order of this identity whose bytes are not known: an earlier version rejected it (migration 0025 gave it that key), or it was
/// told again from events after a restore.
pub(crate) fn rejection_of_unknown_bytes(placement: Uuid) -> Uuid {
    const VERSION: u128 = 0xf << 76; // the digit of a UUID that names its version
    Uuid::from_u128(placement.as_u128() & !VERSION | 8 << 76)
}

/// The key of a record that brings no reference: the same each time that it is read, and another one for each other record.
fn of_record(source: &str, PlacedRecord { place, timestamp_ms, digest }: &PlacedRecord) -> Uuid {
    derive_id(source, NAME, "record", &format!("{place}/{timestamp_ms:?}/{digest}"))
}

/// Equal orders have equal JSON, because fields are written in the order of the struct, whatever format they came in.
fn body_of(order: &OrderPlaced) -> Body {
    let text = serde_json::to_string(order).expect("texts, numbers and lists always have a JSON form");
    Body { digest: derive_id(&text, NAME, "body", ""), text: Some(Arc::from(text)) }
}

fn accepted(
    order_id: OrderId,
    order: &OrderPlaced,
    source: String,
    reference: String,
    priced: Priced,
) -> OrderAccepted {
    OrderAccepted {
        order_id,
        source,
        reference,
        customer_id: CustomerId(order.customer.id.clone()),
        currency: priced.currency,
        lines: priced.lines,
        subtotal: priced.subtotal,
        shipping: order.shipping,
        discount: order.discount,
        tax: order.tax,
        total: priced.total,
        payment_method: priced.token,
        payment: priced.payment,
        ship_to_country: order.ship_to.country.clone(),
        personal: Person::from(order).seal(),
        exchange_for: order.exchange_for.as_deref().and_then(|id| id.parse().ok()),
    }
}

/// What is said of an invalid order holds nothing that others could choke on: texts are cut and cleaned, and the contact is
/// there only if nothing is wrong with it.
fn rejected(
    order_id: OrderId,
    order: &OrderPlaced,
    source: &str,
    reference: &str,
    faults: Vec<Fault>,
) -> OrderRejected {
    let customer_fits = !faults.iter().any(|fault| fault.field.starts_with("/customer"));
    let contact = || Person { ship_to: Address::default(), bill_to: Address::default(), ..Person::from(order) };
    OrderRejected {
        order_id,
        source: clean(source, LONGEST_REFERENCE),
        reference: clean(reference, LONGEST_REFERENCE),
        customer_id: (!order.customer.id.is_empty()).then(|| CustomerId(clean(&order.customer.id, LONGEST_ID))),
        faults,
        personal: customer_fits.then(|| contact().seal()),
    }
}

/// A text that was not valid, as it can be kept and sent: without control characters, and not too long.
pub(crate) fn clean(text: &str, longest: usize) -> String {
    let mut characters = text.chars().map(|one| if one.is_control() { char::REPLACEMENT_CHARACTER } else { one });
    let mut kept: String = characters.by_ref().take(longest).collect();
    if characters.next().is_some() {
        kept.pop();
        kept.push('…');
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::tests::{arrival, order};

    #[test]
    fn equal_orders_have_equal_digests_and_any_change_another() {
        let one = Placed::new(order(), arrival(1));
        let again = Placed::new(order(), arrival(2));
        assert_eq!((one.placement, one.body.digest), (again.placement, again.body.digest));
        let text = one.body.text.as_deref().unwrap();
        assert!(!text.contains("exchange_for"), "what an earlier version digested is digested alike: {text}");
        let mut other = order();
        other.lines[0].quantity += 1;
        let other = Placed::new(other, arrival(3));
        assert_eq!(one.placement, other.placement);
        assert_ne!(one.body.digest, other.body.digest);
    }

    /// Report 12: what stands at the place of an earlier record in a topic that was made anew is another order; the same record is the same.
    #[test]
    fn a_record_without_a_reference_is_known_by_its_place_its_time_and_its_bytes() {
        let nameless = OrderPlaced { reference: None, ..order() };
        let record =
            PlacedRecord { place: "order-placed/0@0".into(), timestamp_ms: Some(1), digest: Uuid::from_u128(1) };
        let placed = |record: &PlacedRecord| {
            let arrival = Arrival { reference: None, record: Some(record.clone()), ..arrival(1) };
            Placed::new(nameless.clone(), arrival)
        };
        let first = placed(&record);
        assert_eq!(first.placement, placed(&record).placement);
        assert_eq!(first.order.reference.as_deref(), Some("order-placed/0@0"));
        let made_anew = PlacedRecord { timestamp_ms: Some(2), ..record.clone() };
        let without_a_clock = PlacedRecord { digest: Uuid::from_u128(2), ..record.clone() };
        for other in [made_anew, without_a_clock, PlacedRecord { place: "order-placed/1@0".into(), ..record }] {
            assert_ne!(first.placement, placed(&other).placement, "{other:?}");
        }
    }

    #[test]
    fn source_and_reference_are_told_apart() {
        assert_ne!(placement("ab", "c"), placement("a", "bc"));
        assert_ne!(placement("a", "b"), placement("b", "a"));
    }

    #[test]
    fn a_rejection_carries_the_contact_only_if_it_can_be_written_to() {
        let mut bad_line = order();
        bad_line.lines[0].quantity = 0;
        let IntakeAnswer::Invalid(rejected) = Placed::new(bad_line, arrival(1)).verdict else {
            panic!("quantity 0 is invalid")
        };
        let person = rejected.personal.expect("nothing is wrong with the customer").open().unwrap();
        assert_eq!((person.email.as_str(), person.ship_to), ("ada@example.org", Address::default()));

        let mut bad_contact = order();
        bad_contact.customer.email = "nowhere".into();
        let IntakeAnswer::Invalid(rejected) = Placed::new(bad_contact, arrival(2)).verdict else {
            panic!("no e-mail address")
        };
        assert_eq!(rejected.personal, None);
    }

    #[test]
    fn what_was_too_long_or_unprintable_is_cut_and_cleaned() {
        assert_eq!(clean("a\0b\n", 64), "a\u{fffd}b\u{fffd}");
        assert_eq!(clean(&"x".repeat(64), 64), "x".repeat(64));
        assert_eq!(clean(&"x".repeat(65), 64), format!("{}…", "x".repeat(63)));
    }
}
