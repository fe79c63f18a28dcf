//! Refunds to the customer: what may go back, each way an attempt can end, and that any sequence of refunds adds up to what was captured.

use events::{RefundCompleted, RefundFailed, RefundId, RefundRequested, ShipmentDispatched, line_value};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::attempt::Phase;
use crate::input::REFUND;
use crate::refunds::{Asked, CustomerRefund, RefundInput, RefundReply, RefundRequest, RefundState, RefusalKind};

pub(super) fn id(number: u128) -> RefundId {
    RefundId(Uuid::from_u128(number))
}

pub(super) fn dispatched(shipment: u128, items: Vec<Item>) -> Input {
    Input::Refund(RefundInput::Dispatched(Box::new(ShipmentDispatched {
        order_id: ORDER,
        shipment_id: ShipmentId(Uuid::from_u128(shipment)),
        warehouse: "north".into(),
        items,
        carrier: "DHL".into(),
        tracking: None,
        dispatched_at: START,
    })))
}

pub(super) fn ask(number: u128, asked: Asked) -> Input {
    let (reason, requested_by) = ("broken".to_owned(), "eve".to_owned());
    let (refund_id, currency) = (id(number), None);
    Input::Refund(RefundInput::Asked(Box::new(RefundRequest {
        order_id: ORDER,
        refund_id,
        asked,
        currency,
        reason,
        requested_by,
    })))
}

fn units(lines: &[(&str, i64)]) -> Asked {
    Asked::Lines(lines.iter().map(|(sku, quantity)| ((*sku).to_owned(), *quantity)).collect())
}

fn again(number: u128) -> Input {
    Input::Refund(RefundInput::Retry { order_id: ORDER, refund_id: id(number), by: "eve".into() })
}

/// All shipped: 2 of line 1 for 10.00, 1 of line 2 for 5.01.
fn shipped() -> Desk {
    let mut desk = Desk::at(State::Captured);
    desk.does(dispatched(1, vec![item(1, "1", 2), item(2, "2", 1)]));
    desk
}

impl Desk {
    fn asks(&mut self, number: u128, asked: Asked) -> RefundReply {
        let reply = self.decide(ask(number, asked)).unwrap();
        let Reply::Refund(reply) = reply else { panic!("{reply:?}") };
        reply
    }

    fn refund(&self, number: u128) -> &CustomerRefund {
        self.world.refunds().find(|(refund_id, _)| **refund_id == id(number)).unwrap().1
    }

    fn refund_answers(&mut self, number: u128, outcome: Outcome) -> &mut Self {
        let attempt = self.refund(number).data.attempt.number;
        self.does(Input::Refund(RefundInput::Answer { order_id: ORDER, refund_id: id(number), attempt, outcome }))
    }

    fn refund_due(&mut self, number: u128) -> &mut Self {
        let due = self.refund(number).data.attempt.due;
        self.now = self.now.max(due);
        self.does(Input::Refund(RefundInput::Due { order_id: ORDER, refund_id: id(number), due }))
    }

    /// Open and done.
    fn sums(&self) -> (i64, i64) {
        (self.payment().refunds_open, self.payment().refunds_done)
    }
}

fn refusal(reply: RefundReply) -> (RefusalKind, String) {
    let RefundReply::Refused(refusal) = reply else { panic!("{reply:?}") };
    (refusal.kind, refusal.detail)
}

pub(super) fn gone_back(number: u128, amount: i64) -> Outcome {
    Outcome::Refunded { refund_id: format!("re_{number}"), money: eur(amount) }
}

#[test]
fn a_refund_is_told_called_under_a_key_of_its_own_and_told_again_when_it_is_done() {
    let mut desk = shipped();
    let reply = desk.asks(1, units(&[("1", 1)]));
    assert!(matches!(&reply, RefundReply::Taken { refund, replayed: false } if refund.amount == 500), "{reply:?}");
    let asked: RefundRequested = desk.event();
    assert_eq!((asked.amount, asked.asked.as_str(), asked.requested_by.as_str()), (500, "lines", "eve"));
    assert_eq!(desk.calls[0].request.key, format!("order:{ORDER}:refund:{}:1", id(1)));
    assert_eq!((desk.called(), desk.sums()), (vec!["refund:1".to_owned()], (500, 0)));
    desk.refund_answers(1, gone_back(1, 500));
    let done: RefundCompleted = desk.event();
    assert_eq!((done.amount, done.refunded, done.lines.len()), (500, 500, 1));
    assert_eq!((desk.refund(1).state(), desk.sums()), (RefundState::Refunded, (0, 500)));
    assert_eq!(desk.state(), State::Captured, "the saga's own state is as it was");
    desk.refund_answers(1, gone_back(1, 500));
    assert!(desk.said.is_empty() && desk.sums() == (0, 500), "an answer that comes twice is nothing");
}

#[test]
fn the_same_key_is_the_same_refund_and_another_body_under_it_is_refused() {
    let mut desk = shipped();
    desk.asks(1, Asked::Amount(100));
    let reply = desk.asks(1, Asked::Amount(100));
    assert!(matches!(&reply, RefundReply::Taken { replayed: true, refund } if refund.amount == 100), "{reply:?}");
    assert!(desk.said.is_empty() && desk.calls.is_empty());
    assert_eq!((desk.asks(1, Asked::All), desk.sums()), (RefundReply::Differs, (100, 0)));
}

#[test]
fn what_may_not_go_back_is_refused_and_says_what_was_expected_and_what_came() {
    use RefusalKind::{Invalid, TooMuch, Unknown};
    let mut desk = shipped();
    desk.asks(9, units(&[("1", 1)]));
    for (asked, kind, says) in [
        (Asked::Amount(0), Invalid, "expected 1 or more minor units, got 0"),
        (Asked::Amount(-5), Invalid, "got -5"),
        (Asked::Amount(1_002), TooMuch, "expected at most 10.01 EUR, which is left, got 10.02 EUR"),
        (units(&[("3", 1)]), Invalid, "expected SKUs of the order (1, 2), got \"3\""),
        (units(&[("1", 0)]), Invalid, "got 0"),
        (
            units(&[("1", 2)]),
            TooMuch,
            "expected at most 1 units of 1, as 2 shipped and 1 are refunded, or will be; got 2",
        ),
    ] {
        let (got, detail) = refusal(desk.asks(1, asked));
        assert!(got == kind && detail.contains(says), "{got:?} {detail}");
    }
    let currency = Some("USD".to_owned());
    let Input::Refund(RefundInput::Asked(request)) = ask(1, Asked::All) else { unreachable!() };
    let other = RefundInput::Asked(Box::new(RefundRequest { currency, ..*request }));
    let Ok(Reply::Refund(reply)) = desk.decide(Input::Refund(other)) else { panic!() };
    assert_eq!(refusal(reply).0, Invalid);
    desk.asks(2, Asked::All);
    assert_eq!((desk.refund(2).amount, desk.sums().0), (1_001, 1_501));
    assert!(refusal(desk.asks(3, Asked::All)).1.contains("got nothing"));
    assert_eq!(refusal(Desk::new().asks(1, Asked::All)).0, Unknown);
    for state in [State::Authorized, State::Capturing, State::Captured, State::Refunding, State::Voided] {
        let (kind, detail) = refusal(Desk::at(state).asks(1, Asked::All));
        assert!(kind == TooMuch && detail.contains("has shipped"), "{state:?}: {detail}");
    }
}

/// The saga's refund of a unit that did not ship and the customer's of one that did share nothing.
#[test]
fn while_the_saga_gives_back_what_did_not_ship_the_customer_gets_no_more_than_what_did() {
    let mut desk = Desk::at(State::Refunding);
    desk.does(dispatched(1, vec![item(1, "1", 2)])).does(dispatched(1, vec![item(1, "1", 2)]));
    assert_eq!(refusal(desk.asks(1, units(&[("2", 1)]))).0, RefusalKind::TooMuch);
    desk.asks(1, Asked::All);
    assert_eq!(desk.refund(1).amount, 1_000);
    desk.answers(refunded(501)).refund_answers(1, gone_back(1, 1_000));
    assert_eq!((desk.payment().refunded, desk.sums(), desk.state()), (501, (0, 1_000), State::Refunded));
}

#[test]
fn two_at_once_can_t_take_the_same_money() {
    let mut desk = shipped();
    let replies = desk.batch(vec![ask(1, Asked::Amount(1_000)), ask(2, Asked::Amount(1_000))]);
    assert!(matches!(replies[0], Ok(Reply::Refund(RefundReply::Taken { .. }))), "{replies:?}");
    assert!(
        matches!(&replies[1], Ok(Reply::Refund(RefundReply::Refused(refusal))) if refusal.left == Some(501)),
        "{replies:?}"
    );
}

#[test]
fn an_unknown_outcome_is_looked_up_and_never_made_under_another_key() {
    let mut desk = shipped();
    desk.asks(1, Asked::Amount(100));
    desk.refund_due(1);
    assert_eq!(desk.called(), ["refund:1"], "once more under its key");
    for _ in 0..6 {
        desk.refund_due(1);
        assert_eq!(desk.called(), ["refund:1?"]);
    }
    desk.refund_due(1);
    assert_eq!(
        (desk.dead.clone(), desk.refund(1).state()),
        (vec!["refund_no_answer".to_owned()], RefundState::Refunding)
    );
    assert_eq!(desk.sums(), (100, 0), "what nobody knows of stays promised");
    assert!(matches!(desk.decide(again(1)), Ok(Reply::Refund(RefundReply::Retried { .. }))));
    assert_eq!(desk.called(), ["refund:1?"]);
    desk.refund_answers(1, Outcome::NotFound);
    assert_eq!(desk.called(), ["refund:1"], "nothing was done: the same call");
    desk.refund_answers(1, gone_back(1, 100));
    assert_eq!(desk.sums(), (0, 100));
}

/// A provider that failed on its own side may still bring it to its end: only a person has it made anew.
#[test]
fn a_spoilt_key_is_looked_up_and_replaced_by_a_person_alone() {
    let mut desk = shipped();
    desk.asks(1, Asked::Amount(100));
    desk.refund_answers(1, Outcome::Errored { detail: "500".into() });
    assert_eq!(desk.called(), ["refund:1?"]);
    desk.refund_answers(1, Outcome::NotFound);
    assert!(desk.calls.is_empty());
    // ends after the tries of an attempt
    while desk.refund(1).data.attempt.phase == Phase::Open {
        desk.refund_due(1);
        assert!(desk.called().iter().all(|call| call == "refund:1?"), "{:?}", desk.called());
    }
    desk.does(again(1)).refund_answers(1, Outcome::NotFound);
    assert_eq!((desk.called(), desk.sums()), (vec!["refund:2".to_owned()], (100, 0)));
}

#[test]
fn a_pending_refund_is_looked_up_now_and_then_and_ends_by_notice_or_look_up() {
    for by_notice in [false, true] {
        let mut desk = shipped();
        desk.asks(1, Asked::Amount(100));
        desk.refund_answers(1, pending(100));
        assert_eq!((desk.refund(1).state(), desk.said()), (RefundState::Pending, vec![]));
        desk.refund_due(1);
        assert_eq!(desk.called(), ["refund:1?"]);
        if by_notice {
            desk.does(told("m1", RefundStatus::Succeeded)).does(told("m1", RefundStatus::Succeeded));
        } else {
            desk.refund_answers(1, refunded(100));
        }
        assert_eq!((desk.refund(1).state(), desk.sums()), (RefundState::Refunded, (0, 100)));
    }
}

#[test]
fn a_notice_that_overtakes_our_own_answer_counts_with_it() {
    let mut desk = shipped();
    desk.asks(1, Asked::Amount(100));
    desk.does(told("m1", RefundStatus::Failed { detail: "closed".into() }));
    assert_eq!(desk.refund(1).state(), RefundState::Refunding);
    desk.refund_answers(1, pending(100));
    assert_eq!((desk.refund(1).state(), desk.said()), (RefundState::Failed, vec!["RefundFailed"]));
}

#[test]
fn a_refused_refund_gives_its_room_back_and_is_tried_again_where_there_is_still_room() {
    let mut desk = shipped();
    desk.asks(1, Asked::Amount(1_000));
    desk.refund_answers(1, Outcome::RefundFailed { refund_id: None, detail: "closed".into() });
    let failed: RefundFailed = desk.event();
    assert_eq!((failed.amount, failed.detail.as_str(), desk.sums()), (1_000, "closed", (0, 0)));
    assert_eq!(desk.dead, ["refund_failed"]);
    desk.asks(2, Asked::Amount(900));
    let Ok(Reply::Refund(reply)) = desk.decide(again(1)) else { panic!() };
    assert_eq!((refusal(reply).0, desk.sums()), (RefusalKind::TooMuch, (900, 0)));
    desk.refund_answers(2, Outcome::RefundFailed { refund_id: None, detail: "closed".into() });
    desk.does(again(1));
    assert_eq!((desk.called(), desk.sums()), (vec!["refund:2".to_owned()], (1_000, 0)));
    desk.refund_answers(1, Outcome::RefundFailed { refund_id: None, detail: "closed".into() });
    let reply = desk.decide(retry());
    assert!(
        matches!(&reply, Ok(Reply::Retried { attempt, .. }) if attempt.contains(":refund:")),
        "of a dead letter: {reply:?}"
    );
    desk.refund_answers(1, gone_back(1, 1_000));
    assert_eq!(desk.sums(), (0, 1_000));
    assert!(matches!(desk.decide(again(1)), Ok(Reply::Refund(RefundReply::NotStuck(RefundState::Refunded)))));
}

#[test]
fn while_the_gateway_answers_nobody_a_refund_waits_and_uses_up_no_try() {
    let mut desk = shipped();
    desk.reach = Reach::Silent;
    desk.asks(1, Asked::All);
    assert_eq!((desk.refund(1).state(), desk.calls.len()), (RefundState::Requested, 0));
    for _ in 0..20 {
        desk.refund_due(1);
    }
    desk.reach = Reach::Answers;
    desk.refund_due(1);
    assert_eq!((desk.called(), desk.refund(1).state()), (vec!["refund:1".to_owned()], RefundState::Refunding));
    assert!(desk.timers.contains_key(REFUND));
}

#[test]
fn another_amount_at_the_gateway_is_a_persons_case_and_counts_as_promised() {
    let mut desk = shipped();
    desk.asks(1, Asked::Amount(100));
    desk.refund_answers(1, gone_back(1, 99));
    assert_eq!((desk.dead.clone(), desk.sums()), (vec!["amount_mismatch".to_owned()], (100, 0)));
}

#[test]
fn an_order_that_is_too_old_is_refused_as_that() {
    let mut desk = shipped();
    let order_id = OrderId::least_at(START);
    let order_id = OrderId(Uuid::from_u128(order_id.0.as_u128() | 7 << 76)); // a UUIDv7
    desk.now = START.plus(181 * DAY);
    let Input::Refund(RefundInput::Asked(request)) = ask(1, Asked::All) else { unreachable!() };
    let Ok(Reply::Refund(reply)) =
        desk.decide(Input::Refund(RefundInput::Asked(Box::new(RefundRequest { order_id, ..*request }))))
    else {
        panic!()
    };
    assert_eq!(refusal(reply).0, RefusalKind::TooOld);
}

/// Lines (quantity, amount), how many of each ship, and refunds: a line and units of it, or an amount; whether the gateway refuses it.
type Sequence = (Vec<(i64, i64, i64)>, Vec<(usize, i64, bool, bool)>);

fn sequences() -> impl Strategy<Value = Sequence> {
    let line =
        (1..12_i64, 0..10_000_i64).prop_flat_map(|(quantity, amount)| (Just(quantity), Just(amount), 0..=quantity));
    let refund = (0..5_usize, 1..8_i64, any::<bool>(), any::<bool>());
    (vec(line, 1..5), vec(refund, 0..12))
}

proptest! {
    #[test]
    fn any_sequence_of_refunds_adds_up_to_exactly_what_was_captured((order, refunds) in sequences()) {
        let lines: Vec<Line> = order.iter().zip(1..).map(|((quantity, amount, _), at)| line(&format!("{at}"), *quantity, *amount)).collect();
        let ships: Vec<Item> = order.iter().zip(1_u128..).map(|(line, at)| item(at, &at.to_string(), line.2)).collect();
        let total: i64 = lines.iter().map(|line| line.amount).sum();
        let captured: i64 = order.iter().map(|(quantity, amount, units)| line_value(*amount, *quantity, *units)).sum();
        prop_assume!(captured > 0);
        let mut desk = Desk::new();
        desk.does(Input::Reserved(Box::new(StockReserved { total, lines, ..stock_reserved() })));
        desk.answers(authorized(total)).does(confirmed_of(ships.clone()));
        desk.answers(Outcome::Captured { money: eur(captured) }).does(dispatched(1, ships));
        let by_lines = refunds.iter().all(|(_, _, is_amount, _)| !is_amount);
        for (number, (at, units, is_amount, fails)) in refunds.iter().enumerate() {
            let number = number as u128;
            let asked = match is_amount {
                true => Asked::Amount(*units),
                false => Asked::Lines(vec![((1 + at % order.len()).to_string(), *units)]),
            };
            if let RefundReply::Taken { refund, .. } = desk.asks(number, asked) {
                let outcome = match fails {
                    true => Outcome::RefundFailed { refund_id: None, detail: "no".into() },
                    false => gone_back(number, refund.amount),
                };
                desk.refund_answers(number, outcome);
            }
            prop_assert!(desk.payment().refunds_done <= captured);
        }
        if by_lines {
            // What is left is what the units that are left cost.
            for (at, (quantity, amount, shipped)) in order.iter().enumerate() {
                let sku = (at + 1).to_string();
                let back: i64 = desk.world.refunds().filter(|(_, refund)| refund.state() == RefundState::Refunded)
                    .flat_map(|(_, refund)| &refund.data.lines).filter(|line| line.sku.as_str() == sku).map(|line| line.quantity).sum();
                let number = 100 + at as u128;
                if shipped > &back
                    && let RefundReply::Taken { refund, .. } = desk.asks(number, Asked::Lines(vec![(sku.clone(), shipped - back)]))
                {
                    desk.refund_answers(number, gone_back(number, refund.amount));
                }
                let paid: i64 = desk.world.refunds().filter(|(_, refund)| refund.state() == RefundState::Refunded)
                    .flat_map(|(_, refund)| &refund.data.lines).filter(|line| line.sku.as_str() == sku).map(|line| line.amount).sum();
                prop_assert_eq!(paid, line_value(*amount, *quantity, *shipped));
            }
        } else if let RefundReply::Taken { refund, .. } = desk.asks(99, Asked::All) {
            desk.refund_answers(99, gone_back(99, refund.amount));
        }
        prop_assert_eq!(desk.sums(), (0, captured));
    }
}
