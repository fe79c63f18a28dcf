//! docs/protocol.md's inventory table, cell by cell.

use super::*;
use crate::input::RESERVATION;

const STATES: [Option<State>; 5] =
    [None, Some(State::Reserved), Some(State::Held), Some(State::Closed), Some(State::Rejected)];

/// The given states answer an input with nothing; all others are left out.
fn silent(states: &[Option<State>], input: impl Fn(&House) -> Input) {
    for state in states {
        let mut house = in_state(*state);
        let input = input(&house);
        house.assert_repeats_silently(input);
    }
}

fn conflicting(states: &[Option<State>], input: impl Fn(&House) -> Input) {
    for state in states {
        let mut house = in_state(*state);
        let input = input(&house);
        let Conflict(why) = house.hear(input).unwrap_err();
        assert!(why.contains(&ORDER.to_string()), "{why}");
    }
}

fn some_item(house: &House) -> Item {
    match house.world.order(ORDER) {
        Some(order) if !order.holdings.is_empty() => house.item(0, 1),
        Some(_) | None => {
            let allocation_id = AllocationId(Uuid::from_u128(1));
            Item { allocation_id, line_id: "1".into(), sku: "MUG".into(), quantity: 1 }
        }
    }
}

fn some_given_up(house: &House) -> GivenUp {
    let Item { allocation_id, line_id, sku, quantity } = some_item(house);
    GivenUp { allocation_id, line_id, sku, quantity, condition: Condition::Gone, why: Why::Short }
}

#[test]
fn an_accepted_order_without_a_row_reserves_all_and_starts_the_clock() {
    let mut house = in_state(None);
    let heard = house.hear(accepted()).unwrap();
    let said: StockReserved = heard.only();
    assert_eq!(said.expires_at, NOW.plus(std::time::Duration::from_secs(15 * 60)));
    assert_eq!(said.plan.iter().map(|held| held.quantity).sum::<i64>(), 5);
    assert_eq!((said.total, said.lines.len(), said.payment_method.as_str()), (500, 2, "tok_approved"));
    let due = Timer { order_id: ORDER, kind: RESERVATION.into(), discriminator: String::new(), due: said.expires_at };
    assert_eq!(heard.timers, [(due, true)]);
    assert_eq!(house.order().state, State::Reserved);
    assert_eq!((house.level("MUG", "A"), house.level("BOWL", "A")), ([10, 2, 0], [10, 3, 0]));
}

#[test]
fn an_accepted_order_without_enough_stock_reserves_nothing_and_says_what_there_is() {
    let mut house = in_state(None);
    let lines = vec![line("1", "MUG", 15), line("2", "MUG", 6), line("3", "BOWL", 1), line("4", "FORK", 1)];
    let heard = house.hear(accepted_as(ORDER, lines)).unwrap();
    let said: StockRejected = heard.only();
    let of = |line: &ShortLine| (line.wanted, line.available);
    assert_eq!(said.lines.iter().map(of).collect::<Vec<_>>(), [(15, 20), (6, 5), (1, 10), (1, 0)]);
    assert_eq!(said.reason.code, ReasonCode::OutOfStock);
    assert_eq!(said.reason.detail, "available: 5 of 6 units of MUG, 0 of 1 units of FORK");
    assert!(heard.timers.is_empty());
    assert_eq!((house.order().state, house.level("MUG", "A")), (State::Rejected, [10, 0, 0]));
    assert!(house.announced().is_empty());
}

#[test]
fn an_accepted_order_that_has_a_row_is_a_repetition_or_meets_its_tombstone() {
    silent(&STATES[1..], |_| accepted());
}

/// An order that was paid before it was placed.
fn prepaid(kind: &str, input: Input) -> Input {
    let Input::Accepted(mut event) = input else { panic!("{input:?}") };
    let (provider, reference) = ("stripe".to_owned(), Some("pi_1".to_owned()));
    event.payment =
        Some(OrderPayment { kind: kind.into(), provider, reference, amount: 500, currency: event.currency });
    Input::Accepted(event)
}

#[test]
fn payments_hears_of_money_that_was_paid_for_an_order_that_is_rejected_or_was_stopped_before_it_came() {
    let short = || accepted_as(ORDER, vec![line("1", "MUG", 21)]);
    for (state, input, told) in [
        (None, prepaid("captured", short()), true),
        (None, prepaid("authorized", short()), true),
        (None, prepaid("external", short()), false),
        (None, short(), false),
    ] {
        let mut house = in_state(state);
        let said: StockRejected = house.hear(input).unwrap().only();
        assert_eq!(said.payment.is_some(), told);
    }
    let mut house = in_state(None);
    house.hear(voided_with(vec![])).unwrap();
    let said: StockRejected = house.hear(prepaid("captured", accepted())).unwrap().only();
    assert_eq!((said.payment.map(|paid| paid.amount), house.order().state), (Some(500), State::Rejected));
    house.hear(prepaid("captured", accepted())).unwrap().assert_nothing();
    let mut house = in_state(Some(State::Held));
    house.hear(prepaid("captured", accepted())).unwrap().assert_nothing();
}

#[test]
fn the_clock_of_a_reservation_fires_once_and_frees_nothing() {
    let mut house = in_state(Some(State::Reserved));
    let due = house.order().expires_at.unwrap();
    let timer = Timer { order_id: ORDER, kind: RESERVATION.into(), discriminator: String::new(), due };
    let input = house.inventory.on_timer(&timer);
    let heard = house.decide(Cause::timer(&timer), input).unwrap();
    assert_eq!(heard.only::<ReservationExpired>().expired_at, due);
    assert_eq!(heard.said[0].headers.text("ce_correlationid"), Some("c"));
    assert!(heard.timers.is_empty());
    assert_eq!((house.order().state, house.level("MUG", "A")), (State::Reserved, [10, 2, 0]));
    house.assert_repeats_silently(Input::Expired(ORDER));
}

#[test]
fn the_clock_means_nothing_where_no_unpaid_reservation_is() {
    silent(&[None, Some(State::Held), Some(State::Closed), Some(State::Rejected)], |_| Input::Expired(ORDER));
}

#[test]
fn an_authorized_payment_turns_the_clock_off() {
    let mut house = in_state(Some(State::Reserved));
    let heard = house.hear(Input::Authorized(ORDER)).unwrap();
    assert_eq!(heard.names(), [""; 0]);
    assert!(matches!(&heard.timers[..], [(timer, false)] if timer.kind == RESERVATION));
    assert_eq!((house.order().state, house.level("MUG", "A")), (State::Held, [10, 2, 0]));
}

#[test]
fn an_authorized_payment_after_the_clock_fired_holds_the_stock_all_the_same() {
    let mut house = in_state(Some(State::Reserved));
    house.hear(Input::Expired(ORDER)).unwrap();
    house.hear(Input::Authorized(ORDER)).unwrap().assert_nothing();
    assert_eq!(house.order().state, State::Held);
}

#[test]
fn an_authorized_payment_is_heard_once_and_too_late_after_the_end() {
    silent(&[Some(State::Held), Some(State::Closed)], |_| Input::Authorized(ORDER));
}

#[test]
fn an_authorized_payment_without_a_reservation_is_a_conflict() {
    conflicting(&[None, Some(State::Rejected)], |_| Input::Authorized(ORDER));
}

#[test]
fn a_declined_payment_gives_all_stock_back_and_closes() {
    let mut house = in_state(Some(State::Reserved));
    let heard = house.hear(declined()).unwrap();
    let said: StockReleased = heard.only();
    let closed = said.closed.unwrap();
    assert_eq!(said.items.iter().map(|item| item.quantity).collect::<Vec<_>>(), [2, 3]);
    assert!(said.items.iter().all(|item| item.condition == Condition::Intact));
    assert_eq!((closed.shipped.len(), closed.unshipped.len()), (0, 2));
    assert!(closed.unshipped.iter().all(|line| line.why == Why::Order(ReasonCode::Declined)));
    assert_eq!(closed.reason, Some(said.reason));
    assert_eq!(heard.timers.len(), 1);
    assert_eq!((house.order().state, house.level("MUG", "A")), (State::Closed, [10, 0, 0]));
}

#[test]
fn a_declined_payment_after_the_end_changes_nothing() {
    silent(&[Some(State::Closed)], |_| declined());
}

#[test]
fn a_declined_payment_of_an_order_that_was_not_waiting_for_it_is_a_conflict() {
    conflicting(&[None, Some(State::Held), Some(State::Rejected)], |_| declined());
}

#[test]
fn a_void_before_the_order_came_leaves_a_tombstone_and_passes_the_word_on() {
    let mut house = in_state(None);
    let said: StockReleased = house.hear(voided_with(vec![])).unwrap().only();
    assert!(said.items.is_empty());
    assert_eq!(said.closed, Some(Closed { shipped: Vec::new(), unshipped: Vec::new(), reason: Some(cancelled()) }));
    assert_eq!(house.order().state, State::Closed);
    house.assert_repeats_silently(accepted());
    assert!(house.announced().is_empty());
}

#[test]
fn a_void_gives_all_stock_back_and_closes_whether_authorized_or_not() {
    for state in [State::Reserved, State::Held] {
        let mut house = in_state(Some(state));
        let said: StockReleased = house.hear(voided_with(vec![])).unwrap().only();
        assert_eq!(said.closed.unwrap().reason, Some(cancelled()));
        assert_eq!((house.order().state, house.level("BOWL", "A")), (State::Closed, [10, 0, 0]));
    }
}

#[test]
fn a_void_does_not_put_on_sale_what_the_warehouse_says_is_gone() {
    let mut house = in_state(Some(State::Held));
    let gone = house.given_up(1, 2, Why::Lost);
    let said: StockReleased = house.hear(voided_with(vec![gone])).unwrap().only();
    assert_eq!(house.level("BOWL", "A"), [8, 0, 2]);
    let of = |line: &UnshippedLine| (line.quantity, line.why.clone());
    let cancelled = Why::Order(ReasonCode::Cancelled);
    let unshipped: Vec<_> = said.closed.unwrap().unshipped.iter().map(of).collect();
    assert_eq!(unshipped, [(2, cancelled.clone()), (2, Why::Lost), (1, cancelled)]);
}

#[test]
fn a_void_after_the_end_changes_nothing() {
    silent(&[Some(State::Closed), Some(State::Rejected)], |_| voided_with(vec![]));
}

#[test]
fn a_shortage_is_answered_alike_before_and_after_the_authorization_is_heard() {
    for state in [State::Reserved, State::Held] {
        let mut house = in_state(Some(state));
        let input = house.short(1, vec![house.given_up(0, 1, Why::Short)], &["A"]);
        let said: StockReallocated = house.hear(input.clone()).unwrap().only();
        assert_eq!((said.moved.len(), said.missing.len()), (1, 0));
        assert_eq!(house.order().state, state);
        house.assert_repeats_silently(input);
    }
}

#[test]
fn a_shortage_after_the_end_changes_nothing() {
    silent(&[Some(State::Closed)], |house| house.short(1, vec![some_given_up(house)], &["A"]));
}

#[test]
fn a_shortage_of_an_order_that_no_warehouse_can_have_is_a_conflict() {
    conflicting(&[None, Some(State::Rejected)], |house| house.short(1, vec![some_given_up(house)], &["A"]));
}

#[test]
fn the_last_dispatch_closes_alike_before_and_after_the_authorization_is_heard() {
    for state in [State::Reserved, State::Held] {
        let mut house = in_state(Some(state));
        let first = house.left(1, vec![house.item(0, 2)]);
        let said: StockCommitted = house.hear(first.clone()).unwrap().only();
        assert_eq!((said.closed, house.order().state), (None, state));
        house.assert_repeats_silently(first);
        let last = house.left(2, vec![house.item(1, 3)]);
        let heard = house.hear(last.clone()).unwrap();
        let closed = heard.only::<StockCommitted>().closed.unwrap();
        assert_eq!(closed.shipped.iter().map(|line| line.quantity).collect::<Vec<_>>(), [2, 3]);
        assert_eq!((closed.unshipped.len(), closed.reason), (0, None));
        assert_eq!(heard.timers.len(), usize::from(state == State::Reserved));
        assert_eq!((house.level("MUG", "A"), house.level("BOWL", "A")), ([8, 0, 0], [7, 0, 0]));
        house.assert_repeats_silently(last);
    }
}

#[test]
fn a_dispatch_after_the_end_changes_nothing() {
    silent(&[Some(State::Closed)], |house| house.left(1, vec![some_item(house)]));
}

#[test]
fn a_dispatch_of_an_order_that_no_warehouse_can_have_is_a_conflict() {
    conflicting(&[None, Some(State::Rejected)], |house| house.left(1, vec![some_item(house)]));
}

#[test]
fn a_dispatch_of_more_than_is_reserved_or_of_strange_units_is_a_conflict() {
    conflicting(&[Some(State::Held)], |house| house.left(1, vec![house.item(1, 3), house.item(0, 3)]));
    conflicting(&[Some(State::Held)], |house| {
        let strange = Item { allocation_id: AllocationId(Uuid::from_u128(1)), ..house.item(0, 1) };
        house.left(1, vec![strange])
    });
}

#[test]
fn a_refund_of_everything_closes_alike_before_and_after_the_authorization_is_heard() {
    for state in [State::Reserved, State::Held] {
        let mut house = in_state(Some(state));
        let all = vec![house.given_up(0, 2, Why::Recalled), house.given_up(1, 3, Why::Damaged)];
        let input = house.refund(all);
        let closed = house.hear(input.clone()).unwrap().only::<StockReleased>().closed.unwrap();
        assert_eq!((closed.shipped.len(), closed.unshipped.len(), closed.reason), (0, 2, Some(cancelled())));
        assert_eq!((house.level("MUG", "A"), house.level("BOWL", "A")), ([10, 0, 0], [7, 0, 3]));
        assert_eq!(house.order().state, State::Closed);
        house.assert_repeats_silently(input);
    }
}

#[test]
fn a_refund_that_overtakes_the_dispatch_of_the_rest_releases_the_listed_units_only_and_once() {
    let mut house = in_state(Some(State::Held));
    let refund = house.refund(vec![house.given_up(1, 1, Why::Damaged)]);
    let said: StockReleased = house.hear(refund.clone()).unwrap().only();
    assert_eq!((said.closed, said.items.len()), (None, 1));
    house.assert_repeats_silently(refund.clone());
    let dispatch = house.left(1, vec![house.item(0, 2), house.item(1, 2)]);
    let closed = house.hear(dispatch).unwrap().only::<StockCommitted>().closed.unwrap();
    assert_eq!(closed.shipped.iter().map(|line| line.quantity).collect::<Vec<_>>(), [2, 2]);
    assert_eq!(closed.unshipped.iter().map(|line| line.quantity).collect::<Vec<_>>(), [1]);
    assert_eq!(closed.reason, Some(cancelled()));
    house.assert_repeats_silently(refund);
}

#[test]
fn a_refund_after_the_end_changes_nothing() {
    silent(&[Some(State::Closed)], |house| house.refund(vec![some_given_up(house)]));
}

#[test]
fn a_refund_of_an_order_that_can_not_have_been_paid_is_a_conflict() {
    conflicting(&[None, Some(State::Rejected)], |house| house.refund(vec![some_given_up(house)]));
}
