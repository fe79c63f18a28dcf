//! Every cell of the table in docs/protocol.md, by name.

use std::sync::LazyLock;

use events::{
    Address, Cancellation, Customer, Event, LineId, OrderAccepted, OrderCancelled, OrderCompleted, OrderFailed,
    OrderId, OrderPlaced, OrderRejected, PlacedLine, ShipmentId, ShippedLine, ShortLine, Sku, UnshippedLine,
    WarehouseId, Why,
};
use runtime::{Cause, Codec, Effects, Outgoing, TraceContext};
use uuid::Uuid;

use super::*;
use crate::placed::Arrival;

mod inventory;

static CODEC: LazyLock<Codec> = LazyLock::new(|| Codec::of_catalogue().unwrap());

/// A valid order: two units at 10.00, one at 5.00, shipping 3.00, discount 1.00: 27.00 EUR.
pub(crate) fn order() -> OrderPlaced {
    let line = |sku: &str, quantity, unit_price| PlacedLine { id: None, sku: sku.into(), quantity, unit_price };
    let (name, email) = ("Ada".to_owned(), "ada@example.org".to_owned());
    OrderPlaced {
        source: Some("shop".into()),
        reference: Some("r-1".into()),
        customer: Customer { id: "c-1".into(), name: name.clone(), email, ..Customer::default() },
        lines: vec![line("mug", 2, 1000), line("tea", 1, 500)],
        currency: "EUR".into(),
        shipping: 300,
        discount: 100,
        tax: 0,
        payment_method: "pm_card".into(),
        payment: None,
        ship_to: Address {
            name,
            line1: "1 Main St".into(),
            city: "London".into(),
            country: "GB".into(),
            ..Address::default()
        },
        bill_to: None,
        exchange_for: None,
    }
}

/// The `n`th arrival of something.
pub(crate) fn arrival(n: u128) -> Arrival {
    let candidate = OrderId(Uuid::from_u128(n));
    let thread = TraceContext { correlation_id: format!("thread-{n}").into(), ..TraceContext::default() };
    Arrival {
        candidate,
        source: "kafka".into(),
        reference: Some(format!("record-{n}")),
        former: None,
        record: None,
        thread,
    }
}

/// Orders, with a cause of its own for each input.
#[derive(Default)]
struct Desk {
    world: BatchState,
    causes: u128,
}

const ID: OrderId = OrderId(Uuid::from_u128(1));
const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

impl Desk {
    fn with<R>(&mut self, rule: impl FnOnce(&mut BatchState, Out<'_, '_>) -> R) -> (R, Vec<Outgoing>) {
        self.causes += 1;
        let cause = Cause::answer(&self.causes.to_string());
        let mut effects = Effects::new(&CODEC, crate::NAME, &cause, NOW);
        let result = rule(&mut self.world, &mut effects);
        (result, effects.said().to_vec())
    }

    fn place(&mut self, order: OrderPlaced, n: u128, at_the_door: bool) -> (Result<Reply, Conflict>, Vec<Outgoing>) {
        let placed = Placed::new(order, arrival(n));
        self.with(|world, out| on_placed(world, &placed, at_the_door, NOW, out))
    }

    fn cancel(&mut self) -> (Reply, Vec<Outgoing>) {
        let cancel = Cancel { order_id: ID, requested_by: "customer".into(), reason: String::new() };
        self.with(|world, out| on_cancel(world, &cancel, out))
    }

    fn stock_rejected(&mut self) -> (Result<Reply, Conflict>, Vec<Outgoing>) {
        let short = ShortLine { line_id: "1".into(), sku: "mug".into(), wanted: 2, available: 0 };
        let event =
            StockRejected { order_id: ID, lines: vec![short], reason: reason(ReasonCode::OutOfStock), payment: None };
        self.with(|world, out| on_stock_rejected(world, &event, NOW, out))
    }

    fn released(&mut self, closed: Option<Closed>) -> (Result<Reply, Conflict>, Vec<Outgoing>) {
        let event = StockReleased { order_id: ID, items: Vec::new(), reason: reason(ReasonCode::Declined), closed };
        self.with(|world, out| on_stock_released(world, &event, NOW, out))
    }

    fn committed(&mut self, closed: Option<Closed>) -> (Result<Reply, Conflict>, Vec<Outgoing>) {
        let (shipment_id, warehouse) = (ShipmentId(Uuid::from_u128(9)), WarehouseId("W".into()));
        let event = StockCommitted { order_id: ID, shipment_id, warehouse, items: Vec::new(), closed };
        self.with(|world, out| on_stock_committed(world, &event, NOW, out))
    }

    fn state(&self) -> Option<State> {
        self.world.order(ID).map(|order| order.state)
    }

    /// An order in each open state, and in each state that ends it.
    fn in_state(state: State) -> Self {
        let mut desk = Self::default();
        match state {
            State::Rejected => {
                desk.place(OrderPlaced { lines: Vec::new(), ..order() }, 1, false).0.unwrap();
            }
            State::Pending | State::Cancelling | State::Completed | State::Cancelled | State::Failed => {
                desk.place(order(), 1, false).0.unwrap();
            }
        }
        if matches!(state, State::Cancelling | State::Cancelled) {
            desk.cancel();
        }
        match state {
            State::Completed => drop(desk.committed(Some(all_shipped())).0.unwrap()),
            State::Cancelled | State::Failed => drop(desk.stock_rejected().0.unwrap()),
            State::Pending | State::Cancelling | State::Rejected => {}
        }
        assert_eq!(desk.state(), Some(state));
        desk
    }
}

const ENDED: [State; 4] = [State::Rejected, State::Completed, State::Cancelled, State::Failed];
const OPEN: [State; 2] = [State::Pending, State::Cancelling];

fn reason(code: ReasonCode) -> Reason {
    Reason { code, detail: "because".into() }
}

fn shipped(line: &str, quantity: i64) -> ShippedLine {
    ShippedLine { line_id: LineId(line.into()), sku: Sku(if line == "1" { "mug" } else { "tea" }.into()), quantity }
}

fn unshipped(line: &str, quantity: i64, why: Why) -> UnshippedLine {
    let ShippedLine { line_id, sku, quantity } = shipped(line, quantity);
    UnshippedLine { line_id, sku, quantity, why }
}

fn all_shipped() -> Closed {
    Closed { shipped: vec![shipped("1", 2), shipped("2", 1)], unshipped: Vec::new(), reason: None }
}

fn nothing_shipped(code: ReasonCode) -> Closed {
    let why = Why::from(code.clone());
    let unshipped = vec![unshipped("1", 2, why.clone()), unshipped("2", 1, why)];
    Closed { shipped: Vec::new(), unshipped, reason: Some(reason(code)) }
}

fn the_only<E: Event>(said: &[Outgoing]) -> E {
    let [one] = said else { panic!("expected one event, got {said:?}") };
    assert_eq!(one.headers.text("ce_type"), Some(E::TYPE));
    CODEC.decode(one.payload.as_deref()).unwrap()
}

// Placed.

#[test]
fn a_valid_order_is_accepted_with_all_that_the_saga_needs() {
    let mut desk = Desk::default();
    let (reply, said) = desk.place(order(), 1, false);
    let correlation_id = "thread-1".into();
    assert_eq!(reply, Ok(Reply::Placed { order_id: ID, correlation_id, replayed: false }));
    let accepted: OrderAccepted = the_only(&said);
    assert_eq!((accepted.order_id, accepted.subtotal, accepted.total), (ID, 2500, 2700));
    assert_eq!(accepted.lines.iter().map(|line| line.amount).collect::<Vec<_>>(), [2160, 540]);
    assert_eq!(accepted.personal.open().unwrap().email, "ada@example.org");
    assert_eq!(said[0].headers.text("ce_correlationid"), Some("thread-1"));
    assert_eq!(desk.state(), Some(State::Pending));
}

#[test]
fn an_invalid_order_through_the_topic_is_rejected_with_every_reason() {
    let mut desk = Desk::default();
    let (reply, said) = desk.place(OrderPlaced { lines: Vec::new(), currency: "eur".into(), ..order() }, 1, false);
    assert_eq!(reply, Ok(Reply::Nothing));
    let rejected: OrderRejected = the_only(&said);
    let fields: Vec<_> = rejected.faults.iter().map(|fault| fault.field.as_str()).collect();
    assert_eq!(fields, ["/lines", "/currency"]);
    assert_eq!(desk.state(), Some(State::Rejected));
    assert_eq!(desk.world.order(ID).unwrap().ended_at, Some(NOW));
}

#[test]
fn an_invalid_order_at_the_door_leaves_no_trace_and_its_key_stays_free() {
    let mut desk = Desk::default();
    let (reply, said) = desk.place(OrderPlaced { currency: "eur".into(), ..order() }, 1, true);
    assert!(matches!(reply, Ok(Reply::Invalid(faults)) if faults.len() == 1));
    assert_eq!((said.len(), desk.world.orders().count()), (0, 0));
    let (reply, _) = desk.place(order(), 2, true);
    assert!(matches!(reply, Ok(Reply::Placed { replayed: false, .. })));
}

#[test]
fn the_same_order_again_gets_the_stored_answer_in_every_state() {
    for state in [State::Pending, State::Cancelling, State::Completed, State::Cancelled, State::Failed] {
        let mut desk = Desk::in_state(state);
        for at_the_door in [false, true] {
            let (reply, said) = desk.place(order(), 2, at_the_door);
            assert_eq!(reply, Ok(Reply::Placed { order_id: ID, correlation_id: "thread-1".into(), replayed: true }));
            assert_eq!((said.len(), desk.state(), desk.world.orders().count()), (0, Some(state), 1));
        }
    }
}

#[test]
fn a_rejected_order_placed_again_is_answered_with_its_faults() {
    let mut desk = Desk::in_state(State::Rejected);
    let (reply, said) = desk.place(OrderPlaced { lines: Vec::new(), ..order() }, 2, true);
    assert!(matches!(reply, Ok(Reply::Rejected { order_id: ID, faults }) if faults.len() == 1));
    assert!(said.is_empty());
}

#[test]
fn another_order_under_the_same_identity_is_a_conflict_that_names_the_difference() {
    for state in OPEN.into_iter().chain(ENDED).filter(|state| *state != State::Rejected) {
        let mut desk = Desk::in_state(state);
        let other = OrderPlaced { tax: 7, lines: vec![order().lines[0].clone()], ..order() };
        let before = desk.world.clone();
        let (reply, said) = desk.place(other.clone(), 2, false);
        let Conflict(text) = reply.unwrap_err();
        assert!(text.contains("/tax was 0 and is 7") && text.contains(&ID.to_string()), "{text}");
        let (reply, said_at_the_door) = desk.place(other, 3, true);
        assert!(matches!(reply, Ok(Reply::Differs { order_id: ID, differences }) if !differences.is_empty()));
        assert_eq!((said.len(), said_at_the_door.len()), (0, 0));
        assert_eq!(format!("{before:?}"), format!("{:?}", desk.world));
    }
}

/// What was rejected through the topic does not occupy its identity.
#[test]
fn a_rejected_order_can_be_placed_again_mended_and_its_own_record_read_again_changes_nothing() {
    let mut desk = Desk::in_state(State::Rejected);
    let bad = || OrderPlaced { lines: Vec::new(), ..order() };
    let (reply, said) = desk.place(order(), 2, false);
    assert!(matches!(reply, Ok(Reply::Placed { replayed: false, .. })), "{reply:?}");
    let accepted: OrderAccepted = the_only(&said);
    assert_eq!(accepted.reference, "r-1");
    for (again, replayed) in [(bad(), false), (order(), true), (bad(), false)] {
        let (reply, said) = desk.place(again, 3, false);
        assert_eq!(said.len(), 0);
        assert_eq!(matches!(reply, Ok(Reply::Placed { replayed: true, .. })), replayed, "{reply:?}");
    }
    let (reply, said) = desk.place(OrderPlaced { currency: "eur".into(), ..order() }, 4, false);
    assert!(
        reply.is_err() && said.is_empty(),
        "another one, invalid at that, under the identity of an accepted one: {reply:?}"
    );
    assert_eq!(desk.world.orders().count(), 2);
}

/// Orders that an earlier version rejected stand under the key that migration 0025 gave them.
#[test]
fn what_an_earlier_version_rejected_is_known_and_can_be_placed_again_mended_too() {
    let mut before = Desk::in_state(State::Rejected);
    let mut row = before.world.order(ID).unwrap().clone();
    row.placement = Placed::new(order(), arrival(1)).rejected_before().next().unwrap();
    assert_eq!(row.placement.to_string().as_bytes()[14], b'8');
    before.world = BatchState::default();
    before.world.loaded(row, 1);
    let (reply, said) = before.place(OrderPlaced { lines: Vec::new(), ..order() }, 2, false);
    assert!(matches!(reply, Ok(Reply::Rejected { order_id: ID, .. })) && said.is_empty(), "{reply:?}");
    // Valid by the rules of today: the record that was there when it was rejected is no new order, and one that came later is.
    for (said_at, is_new) in [(NOW.minus(Duration::from_secs(1)), false), (NOW.plus(Duration::from_secs(1)), true)] {
        let placed = Placed { said_at: Some(said_at), ..Placed::new(order(), arrival(3)) };
        let (reply, said) = before.with(|world, out| on_placed(world, &placed, false, NOW, out));
        assert_eq!((reply.is_ok(), said.len() == 1), (true, is_new), "{said_at}");
    }
}

/// Report 12, over an upgrade: an order that was known by its place alone.
#[test]
fn a_record_that_was_known_by_its_place_alone_is_known_and_one_that_took_its_place_is_another() {
    let nameless = || OrderPlaced { reference: None, ..order() };
    let record = |timestamp_ms| crate::placed::PlacedRecord {
        place: "order-placed/0@0".into(),
        timestamp_ms,
        digest: Uuid::from_u128(5),
    };
    let placed = |n, at: Timestamp| {
        let record = Some(record(Some(at.as_millis())));
        let arrival = Arrival { reference: None, record, ..arrival(n) };
        Placed { said_at: Some(at), ..Placed::new(nameless(), arrival) }
    };
    let mut desk = Desk::default();
    let before = placed(1, NOW);
    let row = match &before.verdict {
        IntakeAnswer::Valid(event) => {
            Order::accepted(event, before.former[0], before.body.clone(), TraceContext::default(), NOW)
        }
        IntakeAnswer::Invalid(_) => panic!("it is valid"),
    };
    desk.world.loaded(row, 1);
    let a_day = Duration::from_secs(86_400);
    for (n, at, is_new) in [(2, NOW, false), (3, NOW.plus(a_day), true), (4, NOW.plus(a_day), false)] {
        let placed = placed(n, at);
        let (reply, said) = desk.with(|world, out| on_placed(world, &placed, false, NOW, out));
        assert!(matches!(reply, Ok(Reply::Placed { .. })), "{reply:?}");
        assert_eq!(said.len() == 1, is_new, "{n}");
    }
}

/// Of a rejection whose bytes are not known, only an older record is a repetition; a mended order may say the time of the first one.
#[test]
fn a_mended_order_that_says_the_time_of_the_rejected_one_is_decided() {
    let minute = Duration::from_secs(60);
    let bad = Placed::new(OrderPlaced { lines: Vec::new(), ..order() }, arrival(1));
    let IntakeAnswer::Invalid(event) = &bad.verdict else { panic!("it has no lines") };
    let mut desk = Desk::default();
    let key = bad.rejected_before().next().unwrap();
    desk.world.loaded(Order::rejected(event, key, crate::row::Body::unknown(), TraceContext::default(), NOW), 1);
    for (n, recorded_at, is_new) in [(2, NOW.minus(minute), false), (3, NOW.plus(minute), true)] {
        let placed = Placed::new(order(), arrival(n));
        let placed = Placed { said_at: Some(NOW.minus(minute)), recorded_at: Some(recorded_at), ..placed };
        let (_, said) = desk.with(|world, out| on_placed(world, &placed, false, NOW, out));
        assert_eq!(said.len() == 1, is_new, "{n}");
    }
}

/// Over an upgrade: an earlier version read neither the header `id` nor an id in quotes as such.
#[test]
fn an_order_that_was_known_by_another_source_and_id_is_known() {
    let nameless = || OrderPlaced { source: None, reference: None, ..order() };
    let headers = |n, former: Option<(&str, &str)>, reference: &str| Arrival {
        reference: Some(reference.into()),
        former: former.map(|(source, reference)| (source.into(), reference.into())),
        ..arrival(n)
    };
    for (source, reference, named) in [("kafka", "order-placed/0@7", "17"), ("kafka", "\"19d\"", "19d")] {
        let mut desk = Desk::default();
        let before = Arrival { source: source.into(), ..headers(1, None, reference) };
        let before = Placed::new(nameless(), before);
        desk.with(|world, out| on_placed(world, &before, false, NOW, out)).0.unwrap();
        let again = Placed::new(nameless(), headers(2, Some((source, reference)), named));
        assert!(again.keys().any(|key| key == before.placement), "it is looked up");
        let (reply, said) = desk.with(|world, out| on_placed(world, &again, false, NOW, out));
        assert!(matches!(reply, Ok(Reply::Placed { replayed: true, order_id: ID, .. })), "{reply:?}");
        assert!(said.is_empty(), "no second order");
        let other = Placed::new(OrderPlaced { tax: 7, ..nameless() }, headers(3, Some((source, reference)), named));
        let (reply, said) = desk.with(|world, out| on_placed(world, &other, false, NOW, out));
        assert!(matches!(reply, Ok(Reply::Placed { replayed: false, .. })), "{reply:?}");
        assert_eq!(said.len(), 1, "another order is one of its own");
    }
    assert!(Placed::new(order(), headers(4, Some(("kafka", "x")), "y")).former.is_empty(), "the body names it");
}

/// Report 18: seconds taken for milliseconds, zero, and a time that was never set say nothing of an order's age; and of the same kind, what is too late for
/// any clock: microseconds and nanoseconds, and the last time that a program knows.
#[test]
fn only_a_time_that_a_clock_can_mean_makes_an_order_old() {
    for (text, plausible) in
        [("1970-01-20T18:13:20Z", false), ("0001-01-01T00:00:00Z", false), ("2026-11-28T09:30:00Z", true)]
    {
        assert_eq!(text.parse::<Timestamp>().unwrap().is_plausible(), plausible, "{text}");
    }
    for millis in [
        0,
        -1,
        -62_135_596_800_000,
        1_764_000_000,
        1_764_000_000_000_000,
        1_764_000_000_000_000_000,
        i64::MIN,
        i64::MAX,
    ] {
        assert!(!Timestamp::from_millis(millis).is_plausible(), "{millis}");
    }
}

#[test]
fn an_order_kept_by_an_earlier_version_is_still_the_same_order() {
    let mut desk = Desk::in_state(State::Pending);
    desk.world.change(ID, |order| {
        let kept = order.body.text.as_deref().unwrap().replace(",\"bill_to\":null", "");
        assert!(!kept.contains("bill_to"));
        order.body = crate::row::Body { digest: Uuid::from_u128(0), text: Some(kept.into()) };
    });
    assert!(matches!(desk.place(order(), 2, false).0, Ok(Reply::Placed { replayed: true, .. })));
}

#[test]
fn an_erased_order_still_answers_the_same_order() {
    let mut desk = Desk::in_state(State::Pending);
    desk.world.change(ID, |order| order.body.text = None);
    assert!(matches!(desk.place(order(), 2, false).0, Ok(Reply::Placed { replayed: true, .. })));
    let Conflict(text) = desk.place(OrderPlaced { tax: 7, ..order() }, 3, false).0.unwrap_err();
    assert!(text.contains("erased"), "{text}");
}

#[test]
fn orders_that_a_producer_sent_under_one_event_id_are_told_of_under_two() {
    let cause = Cause::answer("one");
    let mut world = BatchState::default();
    let mut effects = Effects::new(&CODEC, crate::NAME, &cause, NOW);
    let one = Placed::new(order(), arrival(1));
    let two = Placed::new(OrderPlaced { reference: Some("r-2".into()), ..order() }, arrival(2));
    on_placed(&mut world, &one, false, NOW, &mut effects).unwrap();
    on_placed(&mut world, &two, false, NOW, &mut effects).unwrap();
    let [first, second] = effects.said() else { panic!("two orders were accepted") };
    assert_ne!(first.event_id, second.event_id);
}

#[test]
fn an_order_with_nothing_to_pay_needs_no_payment_method() {
    let mut desk = Desk::default();
    let free = OrderPlaced { discount: 2800, payment_method: String::new(), ..order() };
    let (_, said) = desk.place(free, 1, false);
    let accepted: OrderAccepted = the_only(&said);
    assert_eq!(accepted.total, 0);
    assert!(accepted.lines.iter().all(|line| line.amount == 0));
    desk.committed(Some(all_shipped())).0.unwrap();
    assert_eq!(desk.world.order(ID).unwrap().ending.as_ref().unwrap().charged, 0);
}

// Cancel.

#[test]
fn cancelling_an_unknown_order_is_unknown() {
    let (reply, said) = Desk::default().cancel();
    assert_eq!((reply, said.len()), (Reply::Unknown, 0));
}

#[test]
fn a_cancellation_is_asked_for_once_on_the_orders_own_thread() {
    let mut desk = Desk::in_state(State::Pending);
    let (reply, said) = desk.cancel();
    assert_eq!(reply, Reply::Asked { order_id: ID, correlation_id: "thread-1".into() });
    let asked: OrderCancellationRequested = the_only(&said);
    assert_eq!((asked.requested_by.as_str(), asked.reason.code), ("customer", ReasonCode::Cancelled));
    assert_eq!(said[0].headers.text("ce_correlationid"), Some("thread-1"));
    assert_eq!(desk.state(), Some(State::Cancelling));
    let (again, said) = desk.cancel();
    assert_eq!((again, said.len()), (reply, 0));
}

#[test]
fn cancelling_an_order_that_ended_names_its_end() {
    for state in ENDED {
        let mut desk = Desk::in_state(state);
        let (reply, said) = desk.cancel();
        assert_eq!((reply, said.len(), desk.state()), (Reply::Ended(state), 0, Some(state)));
    }
}
