//! Each event that a customer hears of, before and after its contact, once and again.

use events::{
    Cancellation, Currency, Event, EventId, Fault, Item, Line, NotificationFailed, OrderAccepted, OrderCancelled,
    OrderCompleted, OrderFailed, OrderRejected, PaymentActionRequired, PaymentDeclined, PaymentRefunded, Person,
    Personal, Reason, ReasonCode, RefundCompleted, ShipmentDelivered, ShipmentDispatched, ShipmentId,
};
use proptest::prelude::*;
use runtime::{Codec, Consumer as _, Headers, Message as Record, Outgoing};
use uuid::Uuid;

use super::*;
use crate::Notifications;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// Notifications with a world that is kept over inputs, as the database would.
struct Bench {
    notifications: Notifications,
    world: BatchState,
    codec: Codec,
}

impl Bench {
    fn new(settings: NotificationSettings) -> Self {
        let notifications = Notifications::new(settings);
        Self { notifications, world: BatchState::default(), codec: Codec::of_catalogue().unwrap() }
    }

    /// Hears a record as it would come from its topic; returns what was said and logged.
    fn hear<E: Event>(&mut self, event_id: u128, event: &E) -> (Vec<Outgoing>, Vec<SentLog>) {
        let mut headers = Headers::default();
        headers.push("ce_id", &Uuid::from_u128(event_id).to_string());
        headers.push("ce_type", E::TYPE);
        headers.push("ce_correlationid", "thread");
        let payload = Some(self.codec.encode(event).unwrap());
        let key = Some(event.key().into_bytes());
        let record = Record { topic: E::TOPIC, partition: 0, offset: 0, timestamp_ms: None, key, headers, payload };
        let work = self.notifications.decode(&record, &self.codec).unwrap();
        let mut effects = Effects::new(&self.codec, Notifications::NAME, &work.cause, NOW);
        self.notifications.decide(&mut self.world, &work, NOW, &mut effects).unwrap();
        assert!(effects.broken().is_none(), "{:?}", effects.broken());
        (effects.said().to_vec(), effects.take_calls())
    }

    /// Hears the event of this number.
    fn put(&mut self, n: usize) {
        let id = n as u128;
        match n {
            0 => self.hear(id, &accepted()),
            1 => self.hear(id, &declined()),
            2 => self.hear(id, &dispatched(1)),
            3 => self.hear(id, &dispatched(2)),
            _ => self.hear(id, &completed()),
        };
    }

    /// (event, template, channel) of every message, in order.
    fn sent(&self) -> Vec<(u128, &str, &str)> {
        let messages = self.world.messages.iter();
        messages.map(|message| (message.event_id.0.as_u128(), message.template, message.channel.as_str())).collect()
    }
}

fn bench() -> Bench {
    Bench::new(NotificationSettings::default())
}

fn order() -> OrderId {
    OrderId(Uuid::from_u128(1))
}

fn person(email: &str, phone: Option<&str>) -> Personal {
    let address = events::Address::default();
    Person {
        name: "Ada".into(),
        email: email.into(),
        phone: phone.map(Into::into),
        locale: Some("de-DE".into()),
        ship_to: address.clone(),
        bill_to: address,
    }
    .seal()
}

fn accepted() -> OrderAccepted {
    let line = Line { line_id: "1".into(), sku: "MUG".into(), quantity: 1, unit_price: 10, amount: 10 };
    OrderAccepted {
        order_id: order(),
        source: "shop".into(),
        reference: "A-1".into(),
        customer_id: "c".into(),
        currency: Currency::EUR,
        lines: vec![line],
        subtotal: 10,
        shipping: 0,
        discount: 0,
        tax: 0,
        total: 10,
        payment_method: "tok".into(),
        payment: None,
        ship_to_country: "DE".into(),
        personal: person("ada@example.org", Some("+49301234567")),
        exchange_for: None,
    }
}

fn rejected(personal: Option<Personal>) -> OrderRejected {
    let faults = vec![Fault { field: "/lines".into(), code: "required".into(), detail: "expected a line".into() }];
    OrderRejected {
        order_id: order(),
        source: "shop".into(),
        reference: "A-1".into(),
        customer_id: None,
        faults,
        personal,
    }
}

fn reason() -> Reason {
    Reason { code: ReasonCode::Declined, detail: "no".into() }
}

fn declined() -> PaymentDeclined {
    PaymentDeclined { order_id: order(), amount: 10, currency: Currency::EUR, reason: reason() }
}

fn dispatched(shipment: u128) -> ShipmentDispatched {
    let shipment_id = ShipmentId(Uuid::from_u128(shipment));
    let allocation_id = events::AllocationId(Uuid::from_u128(9));
    let items = vec![Item { allocation_id, line_id: "1".into(), sku: "MUG".into(), quantity: 1 }];
    ShipmentDispatched {
        order_id: order(),
        shipment_id,
        warehouse: "w".into(),
        items,
        carrier: "DHL".into(),
        tracking: None,
        dispatched_at: NOW,
    }
}

fn completed() -> OrderCompleted {
    OrderCompleted {
        order_id: order(),
        source: "shop".into(),
        reference: "A-1".into(),
        customer_id: "c".into(),
        currency: Currency::EUR,
        total: 10,
        charged: 10,
        shipped: vec![],
        unshipped: vec![],
        reason: None,
        cancellation: Cancellation::None,
    }
}

#[test]
fn an_accepted_order_is_confirmed_in_the_customers_language_and_told_of_without_personal_data() {
    let mut bench = bench();
    let (said, log) = bench.hear(10, &accepted());
    assert_eq!(bench.sent(), [(10, "order_accepted", "email")]);
    let message = &bench.world.messages[0];
    assert_eq!(message.locale, Locale::De);
    assert!(matches!(&message.delivery, Delivery::Recorded { recipient, .. } if recipient == "ada@example.org"));
    let sent: NotificationRecorded = bench.codec.decode(said[0].payload.as_deref()).unwrap();
    assert_eq!((sent.event_id, sent.event_type.as_str()), (EventId(Uuid::from_u128(10)), OrderAccepted::TYPE));
    assert_eq!((sent.template.as_str(), sent.channel, sent.recorded_at), ("order_accepted", Channel::Email, NOW));
    let log = format!("{log:?}");
    assert!(!log.contains("Ada") && !log.contains("example.org") && log.contains("thread"), "{log}");
}

#[test]
fn every_event_that_a_customer_hears_of_has_its_message() {
    let mut bench = bench();
    let (order_id, currency, amount) = (order(), Currency::EUR, 10);
    let OrderCompleted { source, reference, customer_id, total, charged, shipped, unshipped, .. } = completed();
    bench.hear(10, &accepted());
    let action = events::Action::ThreeDSecure;
    bench.hear(11, &PaymentActionRequired { order_id, action, url: None, amount, currency, expires_at: NOW });
    bench.hear(12, &declined());
    bench.hear(13, &PaymentRefunded { order_id, amount, currency, items: vec![], reason: reason() });
    bench.hear(14, &dispatched(1));
    bench.hear(15, &ShipmentDelivered { order_id, shipment_id: ShipmentId(Uuid::from_u128(1)), delivered_at: NOW });
    bench.hear(16, &completed());
    let cancelled = OrderCancelled {
        order_id,
        source: source.clone(),
        reference: reference.clone(),
        customer_id: customer_id.clone(),
        currency,
        total,
        charged,
        shipped: shipped.clone(),
        unshipped: unshipped.clone(),
        reason: reason(),
    };
    bench.hear(17, &cancelled);
    let reason = reason();
    let failed =
        OrderFailed { order_id, source, reference, customer_id, currency, total, charged, shipped, unshipped, reason };
    bench.hear(18, &failed);
    let refund_id = events::RefundId(Uuid::from_u128(5));
    bench.hear(
        19,
        &RefundCompleted { order_id, refund_id, amount, currency, lines: vec![], refunded: amount, unshipped: false },
    );
    let (return_id, reason, by) = (events::ReturnId(Uuid::from_u128(6)), "too small".to_owned(), "eve".to_owned());
    let (refund, requested_by) = (true, by.clone());
    let announced =
        events::ReturnAnnounced { order_id, return_id, lines: vec![], refund, reason: reason.clone(), requested_by };
    bench.hear(20, &announced);
    let received_by = by.clone();
    let received =
        events::ReturnReceived { order_id, return_id, lines: vec![], refund, reason: reason.clone(), received_by };
    bench.hear(21, &received);
    bench.hear(22, &events::ReturnRefused { order_id, return_id, reason, refused_by: by });
    let templates: Vec<_> = bench.sent().into_iter().map(|(_, template, _)| template).collect();
    assert_eq!(
        templates,
        [
            "order_accepted",
            "payment_action_required",
            "payment_declined",
            "payment_refunded",
            "shipment_dispatched",
            "shipment_delivered",
            "order_completed",
            "order_cancelled",
            "order_failed",
            "refund_completed",
            "return_announced",
            "return_received",
            "return_refused"
        ]
    );
    assert_eq!(
        Notifications::subscribes_to().len(),
        templates.len() + 1,
        "and OrderRejected, which has a test of its own"
    );
}

#[test]
fn an_event_that_comes_again_is_not_told_again() {
    let mut bench = bench();
    for n in [0, 1, 0, 1, 1] {
        bench.put(n);
    }
    assert_eq!(bench.sent(), [(0, "order_accepted", "email"), (1, "payment_declined", "email")]);
}

#[test]
fn a_second_parcel_has_a_mail_of_its_own() {
    let mut bench = bench();
    for n in [0, 2, 3, 2, 3] {
        bench.put(n);
    }
    assert_eq!(bench.sent()[1..], [(2, "shipment_dispatched", "email"), (3, "shipment_dispatched", "email")]);
}

#[test]
fn what_comes_before_the_contact_waits_and_is_told_after_the_confirmation_in_order_of_arrival() {
    let mut bench = bench();
    let (said, log) = bench.hear(2, &dispatched(1));
    assert!(said.is_empty() && log.is_empty());
    for n in [1, 2, 1] {
        bench.put(n);
    }
    assert!(bench.sent().is_empty());
    assert_eq!(bench.world.waiting(order()).len(), 2, "what comes again does not wait twice");
    let (said, _) = bench.hear(0, &accepted());
    assert_eq!(bench.sent().iter().map(|(event, ..)| *event).collect::<Vec<_>>(), [0, 2, 1]);
    let ids: std::collections::BTreeSet<_> = said.iter().map(|said| said.event_id).collect();
    assert_eq!(ids.len(), 3, "each message has its own event");
    assert!(bench.world.waiting(order()).is_empty());
    bench.put(2);
    assert_eq!(bench.sent().len(), 3);
}

#[test]
fn a_rejected_order_carries_its_own_contact() {
    let mut bench = bench();
    let (said, _) = bench.hear(5, &rejected(Some(person("ada@example.org", None))));
    assert_eq!(bench.sent(), [(5, "order_rejected", "email")]);
    assert_eq!(said[0].headers.text("ce_type"), Some(NotificationRecorded::TYPE));
    bench.hear(5, &rejected(Some(person("ada@example.org", None))));
    assert_eq!(bench.sent().len(), 1);
}

#[test]
fn without_a_usable_address_the_failure_is_said_once_and_without_the_address() {
    for personal in [None, Some(person("", None)), Some(person("ada.example.org", None))] {
        let mut bench = bench();
        let (said, _) = bench.hear(5, &rejected(personal.clone()));
        let failed: NotificationFailed = bench.codec.decode(said[0].payload.as_deref()).unwrap();
        assert_eq!((failed.channel, failed.attempts), (Channel::Email, 0));
        assert!(!failed.detail.contains("ada"), "{}", failed.detail);
        let (again, _) = bench.hear(5, &rejected(personal));
        assert!(again.is_empty());
    }
}

#[test]
fn text_messages_go_out_only_where_they_are_switched_on_and_there_is_a_phone() {
    let mut bench = Bench::new(NotificationSettings { sms: true, ..NotificationSettings::default() });
    let (said, _) = bench.hear(10, &accepted());
    assert_eq!(bench.sent(), [(10, "order_accepted", "email"), (10, "order_accepted", "sms")]);
    assert_ne!(said[0].event_id, said[1].event_id);
    let mut bench = Bench::new(NotificationSettings { sms: true, ..NotificationSettings::default() });
    bench.hear(10, &OrderAccepted { personal: person("ada@example.org", None), ..accepted() });
    assert_eq!(bench.sent(), [(10, "order_accepted", "email")]);
}

#[test]
fn a_channel_that_is_switched_on_later_does_not_tell_old_news() {
    let mut bench = bench();
    bench.put(0);
    bench.notifications = Notifications::new(NotificationSettings { sms: true, ..NotificationSettings::default() });
    bench.put(0);
    assert_eq!(bench.sent(), [(0, "order_accepted", "email")]);
}

#[test]
fn a_timer_that_nobody_armed_is_a_conflict() {
    let bench = bench();
    let timer = runtime::Timer { order_id: order(), kind: "x".into(), discriminator: String::new(), due: NOW };
    let work = runtime::Work { cause: runtime::Cause::timer(&timer), input: bench.notifications.on_timer(&timer) };
    let mut effects = Effects::new(&bench.codec, Notifications::NAME, &work.cause, NOW);
    assert!(bench.notifications.decide(&mut BatchState::default(), &work, NOW, &mut effects).is_err());
}

proptest! {
    #[test]
    fn in_whatever_order_and_however_often_events_come_each_is_told_once_after_the_confirmation(
        events in proptest::collection::vec(0..5_usize, 1..20),
    ) {
        let mut bench = bench();
        for n in &events {
            bench.put(*n);
        }
        let told: Vec<u128> = bench.sent().iter().map(|(event, ..)| *event).collect();
        let distinct: std::collections::BTreeSet<u128> = events.iter().map(|n| *n as u128).collect();
        if distinct.contains(&0) {
            prop_assert_eq!(told[0], 0);
            prop_assert_eq!(told.len(), distinct.len());
        } else {
            prop_assert!(told.is_empty());
            prop_assert_eq!(bench.world.waiting(order()).len(), distinct.len());
        }
    }
}
