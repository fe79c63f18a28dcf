//! Each occasion in each language, on each channel.

use events::{
    Cancellation, Channel, Currency, Fault, Line, ReasonCode, ReturnId, ReturnLine, ShipmentId, ShippedLine, Timestamp,
    UnshippedLine, Why,
};
use uuid::Uuid;

use super::render;
use crate::contact::Contact;
use crate::occasion::{Occasion, SentParcel};
use crate::words::Locale;

fn contact() -> Contact {
    Contact {
        name: "Ada Lovelace".into(),
        email: "ada@example.org".into(),
        reference: "A-1".into(),
        ..Contact::default()
    }
}

fn line() -> Line {
    Line { line_id: "1".into(), sku: "MUG".into(), quantity: 2, unit_price: 600, amount: 1_234 }
}

fn parcel(tracking: Option<&str>) -> Occasion {
    let items = vec![("MUG".to_owned(), 2)];
    let shipment_id = ShipmentId(Uuid::from_u128(1));
    Occasion::ShipmentDispatched(SentParcel {
        shipment_id,
        carrier: "DHL".into(),
        tracking: tracking.map(Into::into),
        items,
    })
}

fn completed(unshipped: Vec<UnshippedLine>, cancellation: Cancellation) -> Occasion {
    let shipped = vec![ShippedLine { line_id: "1".into(), sku: "MUG".into(), quantity: 1 }];
    Occasion::OrderCompleted { currency: Currency::EUR, charged: 617, shipped, unshipped, cancellation }
}

fn everything() -> Vec<Occasion> {
    let (currency, amount) = (Currency::EUR, 1_234);
    let expires_at = Timestamp::from_millis(1_769_860_800_000);
    let missing = UnshippedLine { line_id: "1".into(), sku: "MUG".into(), quantity: 1, why: Why::Short };
    vec![
        Occasion::OrderAccepted { currency, lines: vec![line()], total: 1_234, settled: false },
        Occasion::OrderRejected {
            faults: vec![Fault { field: "/lines".into(), code: "required".into(), detail: "expected a line".into() }],
        },
        Occasion::PaymentActionRequired { url: Some("https://bank.example/1".into()), amount, currency, expires_at },
        Occasion::PaymentDeclined { amount, currency },
        Occasion::PaymentRefunded { amount, currency, reason: ReasonCode::Cancelled },
        Occasion::RefundCompleted { amount, currency },
        parcel(Some("T1")),
        Occasion::ShipmentDelivered { shipment_id: ShipmentId(Uuid::from_u128(1)) },
        Occasion::ReturnAnnounced {
            return_id: ReturnId(Uuid::from_u128(2)),
            lines: vec![ReturnLine { line_id: "1".into(), sku: "MUG".into(), quantity: 1, warehouse: "a".into() }],
        },
        Occasion::ReturnReceived { lines: Vec::new(), refund: true },
        Occasion::ReturnRefused { return_id: ReturnId(Uuid::from_u128(2)), reason: "worn".into() },
        completed(vec![missing], Cancellation::InPart),
        completed(vec![], Cancellation::None),
        Occasion::OrderCancelled { currency, charged: 0 },
        Occasion::OrderFailed { currency, charged: 0, reason: ReasonCode::OutOfStock },
    ]
}

#[test]
fn every_occasion_has_a_text_of_its_own_in_each_language_that_names_the_order() {
    for occasion in everything() {
        let english = render(&occasion, &contact(), Locale::En, &Channel::Email);
        let german = render(&occasion, &contact(), Locale::De, &Channel::Email);
        assert_ne!(english, german, "{occasion:?}");
        for text in [&english, &german] {
            assert!(text.subject.as_deref().unwrap().contains("A-1"), "{text:?}");
            assert!(text.body.contains("Ada Lovelace"), "{text:?}");
        }
        let sms = render(&occasion, &contact(), Locale::De, &Channel::Sms);
        assert!(sms.subject.is_none() && sms.body.contains("A-1") && !sms.body.contains('\n'), "{sms:?}");
    }
}

#[test]
fn a_confirmation_lists_the_lines_with_amounts_in_the_customers_way() {
    let accepted =
        Occasion::OrderAccepted { currency: Currency::EUR, lines: vec![line()], total: 1_234, settled: false };
    let text = render(&accepted, &contact(), Locale::De, &Channel::Email);
    assert_eq!(text.subject.as_deref(), Some("Ihre Bestellung A-1"));
    assert_eq!(
        text.body,
        "Guten Tag Ada Lovelace,\n\nvielen Dank für Ihre Bestellung A-1:\n\n- 2 × MUG: 12,34 EUR\n\nGesamt: 12,34 EUR\n\n\
         Belastet wird erst beim Versand.\n"
    );
    let free = Occasion::OrderAccepted { currency: Currency::JPY, lines: vec![line()], total: 0, settled: false };
    let prepaid = Occasion::OrderAccepted { currency: Currency::JPY, lines: vec![line()], total: 5, settled: true };
    for (occasion, end) in [(free, "Total: 0 JPY\n"), (prepaid, "Total: 5 JPY\n")] {
        assert!(render(&occasion, &contact(), Locale::En, &Channel::Email).body.ends_with(end));
    }
}

#[test]
fn a_part_that_did_not_ship_is_named_with_why() {
    let missing = UnshippedLine { line_id: "1".into(), sku: "MUG".into(), quantity: 1, why: Why::Damaged };
    let text = render(&completed(vec![missing], Cancellation::TooLate), &contact(), Locale::En, &Channel::Email);
    assert_eq!(text.subject.as_deref(), Some("Your order A-1 is complete, in part"));
    assert!(text.body.contains("- 1 × MUG (damaged)\n"), "{}", text.body);
    assert!(
        text.body.contains("All parcels had left before your cancellation") && text.body.contains("Charged: 6.17 EUR")
    );
}

#[test]
fn whom_the_fraud_rules_stopped_does_not_hear_of_rules() {
    for reason in [ReasonCode::FraudRejected, ReasonCode::ReviewTimedOut] {
        let failed = Occasion::OrderFailed { currency: Currency::EUR, charged: 0, reason };
        let text = render(&failed, &contact(), Locale::En, &Channel::Email);
        assert!(text.body.contains("we could not accept the order") && !text.body.contains("fraud"), "{}", text.body);
    }
}

#[test]
fn what_others_typed_adds_no_line_to_a_subject() {
    let contact = Contact { name: "Ada\nBcc: x@example.org".into(), reference: "A\r\nBcc: x".into(), ..contact() };
    let text = render(&parcel(Some("T\n1")), &contact, Locale::En, &Channel::Email);
    assert!(!text.subject.unwrap().contains(['\r', '\n']));
    assert!(
        text.body.starts_with("Hello Ada Bcc: x@example.org,\n\n") && text.body.contains("DHL T 1"),
        "{}",
        text.body
    );
}

#[test]
fn an_order_without_a_number_or_a_name_still_reads_well() {
    let rejected = Occasion::OrderRejected { faults: Vec::new() };
    let nobody = Contact { email: "a@b.c".into(), ..Contact::default() };
    let text = render(&rejected, &nobody, Locale::En, &Channel::Email);
    assert_eq!(text.subject.as_deref(), Some("Your order could not be accepted"));
    assert!(text.body.starts_with("Hello,\n\n"));
    assert!(render(&parcel(None), &contact(), Locale::En, &Channel::Email).body.ends_with("\nDHL\n"));
}
