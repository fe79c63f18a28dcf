//! Money that was held or taken before the order was placed, or that is settled outside: taken over if it is as the order says, and never kept for what
//! does not ship.

use events::{
    OrderPayment, PaymentAuthorized, PaymentCaptured, PaymentDeclined, PaymentKind, PaymentVoided, RefundCompleted,
    RefundRequested, StockRejected,
};

use super::*;
use crate::payment::Settlement;

fn placed(kind: PaymentKind) -> OrderPayment {
    let (provider, reference) = ("sandbox".to_owned(), Some("pay_1".to_owned()));
    OrderPayment { kind, provider, reference, amount: 1_501, currency: Currency::EUR }
}

fn reserved_as(kind: PaymentKind) -> Input {
    let payment = Some(placed(kind));
    Input::Reserved(Box::new(StockReserved { payment_method: String::new(), payment, ..stock_reserved() }))
}

fn stock_rejected(payment: Option<OrderPayment>) -> Input {
    let reason = reason(ReasonCode::OutOfStock);
    Input::StockRejected(Box::new(StockRejected { order_id: ORDER, lines: vec![], reason, payment }))
}

/// An order whose payment the gateway has, as the order says.
fn taken_over(kind: PaymentKind) -> Desk {
    let mut desk = Desk::new();
    let outcome = if kind == PaymentKind::Captured { captured(1_501) } else { authorized(1_501) };
    desk.does(reserved_as(kind));
    assert_eq!(desk.called(), ["authorize:1"]);
    assert_eq!(desk.calls[0].request.payment_id.as_deref(), Some("pay_1"));
    desk.answers(outcome);
    assert_eq!((desk.said(), desk.state()), (vec!["PaymentAuthorized"], State::Authorized));
    assert_eq!(desk.event::<PaymentAuthorized>().payment_id.as_deref(), Some("pay_1"));
    desk
}

fn elsewhere(kind: PaymentKind) -> Desk {
    let mut desk = Desk::new();
    desk.reach = Reach::Absent;
    desk.does(reserved_as(kind));
    assert_eq!((desk.said(), desk.calls.len()), (vec!["PaymentAuthorized"], 0), "nobody is asked");
    assert_eq!(desk.payment().authorized, 1_501);
    desk
}

/// What who holds the money elsewhere says of the refund that they were asked for last.
fn settled(desk: &Desk, status: RefundStatus) -> Input {
    let case = &desk.payment().case;
    let rest = case.remainder.as_ref().and_then(|rest| rest.provider_id.clone());
    let last = case.attempt.as_ref().and_then(|attempt| attempt.refund_id.clone());
    let refund_id = rest.filter(|_| desk.state() == State::Captured).or(last).unwrap();
    Input::Notice(ProviderNotice::Refund { message_id: format!("{refund_id}/{status:?}"), refund_id, status })
}

/// The call that the last batch left, answered as payments answers itself.
fn answers_itself(desk: &mut Desk) {
    let call = desk.calls.pop().unwrap();
    let outcome = call.answered_elsewhere().unwrap();
    let input = call.answered(outcome).input;
    desk.does(input);
}

#[test]
fn a_hold_that_is_taken_over_is_captured_and_let_go_as_any() {
    let mut desk = taken_over(PaymentKind::Authorized);
    assert!(desk.timers.contains_key("authorization"));
    assert_eq!(desk.does(confirmed()).called(), ["capture:1"]);
    let mut desk = taken_over(PaymentKind::Authorized);
    assert_eq!(desk.does(fraud_rejected()).called(), ["void:1"]);
}

#[test]
fn a_payment_that_was_taken_ships_without_a_capture() {
    let mut desk = taken_over(PaymentKind::Captured);
    assert!(!desk.timers.contains_key("authorization"), "it does not lapse");
    desk.does(confirmed());
    assert_eq!((desk.said(), desk.calls.len(), desk.state()), (vec!["PaymentCaptured"], 0, State::Captured));
    desk.does(cancelled(vec![given_up(2, "2", 1)]));
    assert_eq!(desk.called(), ["refund:1"]);
    desk.answers(refunded(501));
    assert_eq!((desk.said(), desk.payment().refunded), (vec!["PaymentRefunded"], 501));
}

#[test]
fn of_a_payment_that_was_taken_the_part_that_does_not_ship_goes_back_before_the_rest_is_said_to_be_captured() {
    let mut desk = taken_over(PaymentKind::Captured);
    desk.does(confirmed_of(vec![item(1, "1", 2)]));
    assert_eq!((desk.called(), desk.state()), (vec!["refund:1".to_owned()], State::Capturing));
    assert_eq!(desk.calls[0].request.money, eur(501));
    desk.answers(Outcome::Unknown { detail: "lost".into() });
    assert_eq!(desk.said(), [""; 0]);
    desk.answers(pending(501));
    let PaymentCaptured { amount, remainder, .. } = desk.event();
    assert_eq!((amount, remainder, desk.state()), (1_000, 501, State::Captured), "goods don't wait for a bank");
    desk.does(told("0", RefundStatus::Succeeded));
    assert_eq!((desk.dead.len(), desk.payment().released_remainder), (0, 501));
    desk.does(told("1", RefundStatus::Failed { detail: "account closed".into() }));
    assert_eq!(desk.dead, ["refund_failed"], "days later: a person gives it back");
    let Payment { captured, released_remainder, refund_shortfall, .. } = *desk.payment();
    assert_eq!((captured, released_remainder, refund_shortfall), (1_501, 0, 501), "it is here, and owed");
    desk.does(told("2", RefundStatus::Failed { detail: "account closed".into() }));
    assert_eq!(desk.dead, [""; 0], "once");
}

#[test]
fn what_was_taken_for_an_order_that_is_stopped_goes_back() {
    for stop in [fraud_rejected(), rejected(), cancelled(vec![])] {
        let mut desk = taken_over(PaymentKind::Captured);
        assert_eq!(desk.does(stop).called(), ["refund:1"]);
        assert_eq!(desk.calls[0].request.money, eur(1_501));
        assert_eq!(desk.answers(pending(1_501)).said(), [""; 0], "not before it is back");
        desk.does(told("1", RefundStatus::Succeeded));
        assert_eq!((desk.said(), desk.state()), (vec!["PaymentVoided"], State::Voided));
        assert_eq!(desk.event::<PaymentVoided>().amount, 1_501);
    }
}

#[test]
fn what_was_paid_for_goods_that_are_out_of_stock_goes_back_though_the_order_never_came_here() {
    for (kind, call) in [(PaymentKind::Captured, "refund:1"), (PaymentKind::Authorized, "void:1")] {
        let mut desk = Desk::new();
        let outcome = if kind == PaymentKind::Captured { captured(1_501) } else { authorized(1_501) };
        assert_eq!(desk.does(stock_rejected(Some(placed(kind.clone())))).called(), ["authorize:1"]);
        assert_eq!(desk.does(stock_rejected(Some(placed(kind.clone())))).called(), [""; 0], "once");
        assert_eq!(desk.answers(outcome).called(), [call]);
        let done = if call == "refund:1" { refunded(1_501) } else { Outcome::Voided { money: eur(1_501) } };
        desk.answers(done);
        let PaymentVoided { amount, announced, .. } = desk.event();
        assert_eq!((amount, announced, desk.state()), (1_501, false, State::Voided));
    }
    let mut desk = Desk::new();
    assert_eq!(desk.does(stock_rejected(None)).said(), [""; 0]);
    assert_eq!(desk.state(), State::New);
}

#[test]
fn what_was_paid_for_an_order_that_was_cancelled_before_it_came_here_goes_back() {
    for late in [reserved_as(PaymentKind::Captured), stock_rejected(Some(placed(PaymentKind::Captured)))] {
        let mut desk = Desk::new();
        assert_eq!(desk.does(cancelled(vec![])).said(), ["PaymentVoided"]);
        assert_eq!(desk.does(late.clone()).called(), ["authorize:1"]);
        assert_eq!(desk.answers(captured(1_501)).called(), ["refund:1"]);
        desk.answers(refunded(1_501));
        let PaymentVoided { amount, reason, .. } = desk.event();
        assert_eq!((amount, reason.code), (1_501, ReasonCode::Cancelled));
        assert_eq!(desk.does(late).called(), [""; 0], "once");
    }
    let mut desk = Desk::new();
    desk.batch(vec![reserved_as(PaymentKind::Captured), cancelled(vec![])]);
    assert_eq!(desk.called(), ["authorize:1"], "it was taken, so it is not forgotten");
    assert_eq!(desk.answers(captured(1_501)).called(), ["refund:1"]);
}

#[test]
fn a_payment_that_its_gateway_does_not_take_over_is_declined_and_left_alone() {
    let no = || Outcome::Declined { code: "amount_mismatch".into(), detail: "of 9.00".into() };
    for kind in [PaymentKind::Captured, PaymentKind::Authorized] {
        let mut desk = Desk::new();
        desk.does(reserved_as(kind.clone())).answers(no());
        assert_eq!((desk.said(), desk.calls.len()), (vec!["PaymentDeclined"], 0));
        assert!(desk.event::<PaymentDeclined>().reason.detail.starts_with("amount_mismatch"));
        assert_eq!(desk.payment().authorized, 0);

        let mut desk = Desk::new();
        desk.does(stock_rejected(Some(placed(kind)))).answers(no());
        let PaymentVoided { amount, reason, .. } = desk.event();
        assert_eq!((amount, desk.calls.len()), (0, 0));
        assert!(reason.detail.contains("amount_mismatch"), "{}", reason.detail);
    }
    let mut desk = Desk::new();
    desk.reach = Reach::Absent;
    desk.does(reserved_as(PaymentKind::Authorized));
    assert!(desk.event::<PaymentDeclined>().reason.detail.contains("\"sandbox\""), "no such gateway here");
    assert!(Desk::new().decide(reserved_as("lent".into())).is_err(), "of a later version");
}

#[test]
fn who_took_the_money_elsewhere_is_asked_to_give_back_what_does_not_ship() {
    let mut desk = elsewhere(PaymentKind::Captured);
    desk.does(cancelled(vec![]));
    let RefundRequested { refund_id, amount, asked, provider, reference, .. } = desk.event();
    assert_eq!((amount, asked.as_str()), (1_501, "unshipped"));
    assert_eq!((provider.as_deref(), reference.as_deref()), (Some("sandbox"), Some("pay_1")));
    assert_eq!(desk.payment().case.settlement, Settlement::CapturedElsewhere);
    answers_itself(&mut desk);
    assert_eq!((desk.said(), desk.state()), (vec![], State::Voiding), "they have not answered");
    let yes = settled(&desk, RefundStatus::Succeeded);
    desk.does(yes.clone());
    assert_eq!((desk.said(), desk.state()), (vec!["RefundCompleted", "PaymentVoided"], State::Voided));
    assert_eq!(desk.event::<RefundCompleted>().refund_id, refund_id);
    assert_eq!(desk.does(yes).said(), [""; 0]);
}

#[test]
fn a_refund_that_failed_elsewhere_is_a_persons_case_and_asked_for_anew() {
    let mut desk = elsewhere(PaymentKind::Captured);
    desk.does(rejected());
    answers_itself(&mut desk);
    let no = settled(&desk, RefundStatus::Failed { detail: "closed".into() });
    desk.does(no);
    assert_eq!(desk.said(), ["RefundFailed", "PaymentRefundFailed"]);
    assert_eq!((desk.dead.clone(), desk.payment().is_stuck()), (vec!["refund_failed".to_owned()], true));
    desk.does(retry());
    assert_eq!(desk.said(), ["RefundRequested"], "under another id");
    answers_itself(&mut desk);
    let yes = settled(&desk, RefundStatus::Succeeded);
    assert_eq!(desk.does(yes).said(), ["RefundCompleted", "PaymentVoided"]);
}

#[test]
fn of_money_elsewhere_a_part_goes_back_beside_the_goods() {
    let mut desk = elsewhere(PaymentKind::Captured);
    desk.does(confirmed_of(vec![item(1, "1", 2)]));
    assert_eq!(desk.said(), ["RefundRequested"]);
    answers_itself(&mut desk);
    assert_eq!((desk.said(), desk.payment().captured), (vec!["PaymentCaptured"], 1_000));
    let yes = settled(&desk, RefundStatus::Succeeded);
    assert_eq!(desk.does(yes.clone()).said(), ["RefundCompleted"]);
    assert_eq!(desk.does(yes).said(), [""; 0], "once");
}

#[test]
fn what_is_settled_outside_is_never_asked_of_anyone() {
    let mut desk = elsewhere(PaymentKind::External);
    desk.does(confirmed_of(vec![item(1, "1", 2)]));
    assert_eq!((desk.said(), desk.calls.len(), desk.payment().captured), (vec!["PaymentCaptured"], 0, 1_000));
    let mut desk = elsewhere(PaymentKind::External);
    desk.does(fraud_rejected());
    assert_eq!((desk.said(), desk.calls.len()), (vec!["PaymentVoided"], 0));
}

#[test]
fn news_of_the_rests_refund_is_none_of_the_refund_that_follows_it() {
    let mut desk = taken_over(PaymentKind::Captured);
    desk.does(confirmed_of(vec![item(1, "1", 2)]));
    desk.does(cancelled(vec![given_up(1, "1", 2)]));
    desk.does(told("0", RefundStatus::Succeeded));
    desk.answers(refunded(501));
    assert_eq!((desk.said(), desk.called()), (vec!["PaymentCaptured"], vec!["refund:2".to_owned()]));
    desk.does(told("1", RefundStatus::Succeeded));
    assert_eq!((desk.said(), desk.state()), (vec![], State::Refunding), "nobody gave that back yet");
    desk.answers(Outcome::Refunded { refund_id: "re_2".into(), money: eur(1_000) });
    assert_eq!((desk.said(), desk.payment().refunded), (vec!["PaymentRefunded"], 1_000));
    desk.does(told("2", RefundStatus::Failed { detail: "closed".into() }));
    assert_eq!((desk.dead.clone(), desk.payment().refunded), (vec!["refund_failed".to_owned()], 1_000));
}

#[test]
fn a_refund_of_nothing_is_not_the_one_before_it() {
    let mut desk = elsewhere(PaymentKind::Captured);
    desk.does(confirmed_of(vec![item(1, "1", 2)]));
    answers_itself(&mut desk);
    desk.does(cancelled(vec![given_up(1, "1", 0)]));
    assert_eq!((desk.said(), desk.state()), (vec!["PaymentRefunded"], State::Refunded), "nothing of it was asked for");
    let yes = settled_rest(&desk, RefundStatus::Succeeded);
    assert_eq!(desk.does(yes).said(), ["RefundCompleted"], "the rest's own");
}

fn settled_rest(desk: &Desk, status: RefundStatus) -> Input {
    let refund_id = desk.payment().case.remainder.as_ref().and_then(|rest| rest.provider_id.clone()).unwrap();
    Input::Notice(ProviderNotice::Refund { message_id: format!("{refund_id}/{status:?}"), refund_id, status })
}

#[test]
fn a_refund_to_the_customer_that_failed_elsewhere_is_asked_for_anew() {
    use crate::decide::tests::refunds::{ask, dispatched, id};
    use crate::refunds::Asked;
    let mut desk = elsewhere(PaymentKind::External);
    desk.does(confirmed()).does(dispatched(1, vec![item(1, "1", 2), item(2, "2", 1)]));
    desk.does(ask(1, Asked::Amount(300)));
    assert_eq!(desk.event::<RefundRequested>().provider.as_deref(), Some("sandbox"));
    answers_itself(&mut desk);
    let told = |number: u32, status: RefundStatus| {
        let refund_id = format!("{}:{number}", id(1));
        Input::Notice(ProviderNotice::Refund { message_id: format!("{refund_id}/{status:?}"), refund_id, status })
    };
    assert_eq!(desk.does(told(1, RefundStatus::Failed { detail: "no".into() })).said(), ["RefundFailed"]);
    desk.does(Input::Refund(RefundInput::Retry { order_id: ORDER, refund_id: id(1), by: "eve".into() }));
    assert_eq!(desk.said(), ["RefundRequested"]);
    answers_itself(&mut desk);
    assert_eq!(desk.does(told(2, RefundStatus::Succeeded)).said(), ["RefundCompleted"]);
}
