//! An order as it came in, with its identity, and the answer that it gets if it is new: made before any row is locked.

use std::sync::Arc;

use events::{
    Address, CustomerId, Fault, OrderAccepted, OrderId, OrderPlaced, OrderRejected, Person, Timestamp, derive_id,
};
use runtime::Thread;
use uuid::Uuid;

use crate::NAME;
use crate::order::Body;
use crate::validate::{LONGEST_ID, Priced, validate};

/// What an order brings besides its body.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The id that the order gets if it is new.
    pub candidate: OrderId,
    /// Its source, if the body names none.
    pub source: String,
    /// Its reference, if the body names none.
    pub reference: String,
    /// What everything that happens to it is found again by.
    pub thread: Thread,
}

/// What is answered if the order is new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is valid.
    Valid(OrderAccepted),
    /// It is not.
    Invalid(OrderRejected),
}

/// An order that was placed: for the first time, or again.
#[derive(Clone, Debug)]
pub struct Placed {
    /// Its identity as a key: derived from source and reference.
    pub placement: Uuid,
    /// The order, with its source and reference filled in.
    pub order: OrderPlaced,
    /// The order as it is kept.
    pub body: Body,
    /// What it is found again by, if it is new.
    pub thread: Thread,
    /// What is answered if it is new.
    pub verdict: Verdict,
    /// When it was placed, where its record says so; through the door it is now.
    pub said_at: Option<Timestamp>,
}

impl Placed {
    /// Fills in what the body left to its way in, and validates.
    pub fn new(mut order: OrderPlaced, arrival: Arrival) -> Self {
        let source = order.source.get_or_insert(arrival.source).clone();
        let reference = order.reference.get_or_insert(arrival.reference).clone();
        let body = body_of(&order);
        let verdict = match validate(&order) {
            Ok(priced) => {
                Verdict::Valid(accepted(arrival.candidate, &order, source.clone(), reference.clone(), priced))
            }
            Err(faults) => Verdict::Invalid(rejected(arrival.candidate, &order, &source, &reference, faults)),
        };
        Self { placement: placement(&source, &reference), order, body, thread: arrival.thread, verdict, said_at: None }
    }
}

impl Placed {
    /// The id that it gets if it is new.
    pub(crate) fn candidate(&self) -> OrderId {
        match &self.verdict {
            Verdict::Valid(event) => event.order_id,
            Verdict::Invalid(event) => event.order_id,
        }
    }
}

/// The key of (source, reference): of one length, however long they are, so that an invalid order has its guard too.
pub fn placement(source: &str, reference: &str) -> Uuid {
    derive_id(source, NAME, "placement", reference)
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
        payment_method: order.payment_method.clone(),
        ship_to_country: order.ship_to.country.clone(),
        personal: Person::from(order).seal(),
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
        source: clean(source),
        reference: clean(reference),
        customer_id: (!order.customer.id.is_empty()).then(|| CustomerId(clean(&order.customer.id))),
        faults,
        personal: customer_fits.then(|| contact().seal()),
    }
}

/// A text that was not valid, as it can be kept and sent: without control characters, not longer than an id may be.
pub(crate) fn clean(text: &str) -> String {
    let mut characters = text.chars().map(|one| if one.is_control() { char::REPLACEMENT_CHARACTER } else { one });
    let mut kept: String = characters.by_ref().take(LONGEST_ID).collect();
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
        let mut other = order();
        other.lines[0].quantity += 1;
        let other = Placed::new(other, arrival(3));
        assert_eq!(one.placement, other.placement);
        assert_ne!(one.body.digest, other.body.digest);
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
        let Verdict::Invalid(rejected) = Placed::new(bad_line, arrival(1)).verdict else {
            panic!("quantity 0 is invalid")
        };
        let person = rejected.personal.expect("nothing is wrong with the customer").open().unwrap();
        assert_eq!((person.email.as_str(), person.ship_to), ("ada@example.org", Address::default()));

        let mut bad_contact = order();
        bad_contact.customer.email = "nowhere".into();
        let Verdict::Invalid(rejected) = Placed::new(bad_contact, arrival(2)).verdict else {
            panic!("no e-mail address")
        };
        assert_eq!(rejected.personal, None);
    }

    #[test]
    fn what_was_too_long_or_unprintable_is_cut_and_cleaned() {
        assert_eq!(clean("a\0b\n"), "a\u{fffd}b\u{fffd}");
        assert_eq!(clean(&"x".repeat(64)), "x".repeat(64));
        assert_eq!(clean(&"x".repeat(65)), format!("{}…", "x".repeat(63)));
    }
}
