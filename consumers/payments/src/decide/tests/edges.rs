//! The cases of docs/edge-cases.md that payments owns, as far as rules decide them.

use events::{
    AuthorizationExpiring, PaymentActionRequired, PaymentAuthorized, PaymentCaptureFailed, PaymentCaptured,
    PaymentRefundFailed, PaymentRefunded, PaymentVoided,
};

use gateway::{HoldEnd, PaymentChange};

use super::*;
use crate::attempt::Phase;
use crate::input::AUTHORIZATION;

#[test]
fn edge_1_a_hold_that_runs_out_is_told_in_time_and_ends_the_order_by_capture_failed() {
    let mut desk = Desk::at(State::Authorized);
    assert_eq!(desk.timers[AUTHORIZATION], START.plus(6 * DAY));
    desk.fire(AUTHORIZATION);
    let expiring: AuthorizationExpiring = desk.event();
    assert_eq!((expiring.amount, expiring.capture_before), (1_501, START.plus(7 * DAY)));
    desk.does(Input::AuthorizationDue { order_id: ORDER });
    assert!(desk.said.is_empty(), "told once");
    desk.fire(AUTHORIZATION);
    let failed: PaymentCaptureFailed = desk.event();
    assert_eq!((failed.amount, failed.reason.code), (1_501, ReasonCode::AuthorizationExpired));
    assert_eq!(desk.state(), State::Lapsed);
    assert!(desk.calls.is_empty(), "not voided before fulfillment lets go");
    desk.does(confirmed());
    assert!(desk.calls.is_empty(), "never captured late");
    desk.does(cancelled(vec![given_up(1, "1", 2)])).answers(Outcome::Voided { money: eur(1_501) });
    let voided: PaymentVoided = desk.event();
    assert_eq!((voided.amount, voided.announced, voided.given_up), (1_501, true, vec![given_up(1, "1", 2)]));
}

#[test]
fn edge_4_a_refunds_webhook_that_comes_before_our_own_answer_is_kept_and_counts_with_it() {
    let mut desk = Desk::at(State::Refunding);
    assert_eq!(desk.decide(told("m1", RefundStatus::Succeeded)), Ok(Reply::Kept));
    assert_eq!(desk.world.reference("re_1").unwrap().order_id, None);
    desk.answers(pending(501));
    assert_eq!((desk.state(), desk.said()), (State::Refunded, vec!["PaymentRefunded"]));
    assert_eq!(desk.world.reference("re_1").unwrap().order_id, Some(ORDER));
}

#[test]
fn edge_4_a_failed_one_too() {
    let mut desk = Desk::at(State::Refunding);
    desk.does(told("m1", RefundStatus::Failed { detail: "closed".into() })).answers(pending(501));
    let failed: PaymentRefundFailed = desk.event();
    assert!(failed.reason.detail.contains("closed"), "{}", failed.reason.detail);
    assert!(desk.payment().is_stuck());
}

#[test]
fn edge_5_webhooks_count_once() {
    let mut desk = Desk::at(State::Refunding);
    desk.answers(pending(501)).does(told("m0", RefundStatus::Pending));
    assert!(desk.said.is_empty());
    desk.does(told("m1", RefundStatus::Succeeded));
    assert_eq!(desk.said(), ["PaymentRefunded"]);
    for again in
        [told("m1", RefundStatus::Succeeded), told("m2", RefundStatus::Succeeded), told("m4", RefundStatus::Pending)]
    {
        assert_eq!(desk.decide(again), Ok(Reply::Nothing(State::Refunded)));
        assert!(desk.said.is_empty() && desk.dead.is_empty());
    }
    assert_eq!(desk.world.reference("re_1").unwrap().notices.len(), 4, "m1 was written down once");
    assert_eq!(desk.payment().refunded, 501);
}

#[test]
fn edge_6_a_late_3ds_success_changes_nothing_and_the_order_says_why() {
    let mut desk = Desk::at(State::ActionRequired);
    desk.does(expired());
    assert_eq!(desk.called(), ["authorize:1?"], "the customer may have confirmed, and nobody told us");
    desk.answers(action_required());
    assert_eq!(desk.called(), ["void:1"]);
    assert_eq!(desk.decide(passed()), Ok(Reply::Nothing(State::Voiding)));
    // The customer was faster at the provider: the money was held there when it was let go.
    desk.answers(Outcome::Voided { money: eur(1_501) });
    let voided: PaymentVoided = desk.event();
    assert_eq!((voided.amount, voided.announced, voided.reason.code), (1_501, false, ReasonCode::ReservationExpired));
    assert_eq!((desk.payment().authorized, desk.payment().voided), (1_501, 1_501));
}

#[test]
fn a_customer_who_acted_is_found_by_a_look_up_where_no_webhook_tells() {
    let mut desk = Desk::at(State::ActionRequired);
    let mut pauses = Vec::new();
    for _ in 0..3 {
        let asked = desk.now;
        desk.fire(ATTEMPT);
        pauses.push(desk.now.since(asked).as_secs());
        assert_eq!(desk.called(), ["authorize:1?"]);
        desk.answers(action_required());
        assert!(desk.said.is_empty() && desk.calls.is_empty(), "nothing new");
    }
    assert_eq!(pauses, [30, 60, 60], "at a bounded pace");
    desk.fire(ATTEMPT).answers(authorized(1_501));
    assert_eq!((desk.state(), desk.said()), (State::Authorized, vec!["PaymentAuthorized"]));
    assert!(!desk.timers.contains_key(ATTEMPT), "and is not asked for again");

    let mut failed = Desk::at(State::ActionRequired);
    failed.fire(ATTEMPT).answers(declined());
    assert_eq!((failed.state(), failed.called()), (State::Voiding, vec!["void:1".to_owned()]));
    let mut last = Desk::at(State::ActionRequired);
    last.does(expired()).answers(authorized(1_501));
    assert_eq!(last.state(), State::Authorized, "the money came before the reservation's end");
    let mut silent = Desk::at(State::ActionRequired);
    silent.does(expired());
    // ends with the last try
    while silent.timers.contains_key(ATTEMPT) {
        silent.fire(ATTEMPT);
    }
    assert_eq!(
        (silent.dead.as_slice(), silent.state()),
        (&["gateway_no_answer".to_owned()][..], State::ActionRequired)
    );
}

#[test]
fn a_hold_is_looked_up_once_it_nears_its_end() {
    let mut desk = Desk::at(State::Authorized);
    desk.fire(AUTHORIZATION);
    assert_eq!(desk.called(), ["authorize:1?"]);
    desk.fire(ATTEMPT);
    assert_eq!(desk.called(), ["authorize:1?"], "again where there was no answer");
    let later = Hold { capture_before: Some(START.plus(9 * DAY)), ..hold(1_501) };
    desk.answers(Outcome::Authorized(later));
    assert_eq!((desk.state(), desk.said.len()), (State::Authorized, 0));
    assert_eq!((desk.timers.get(ATTEMPT), desk.timers[AUTHORIZATION]), (None, START.plus(9 * DAY)));

    let mut gone = Desk::at(State::Authorized);
    gone.fire(AUTHORIZATION).answers(declined());
    assert_eq!((gone.state(), gone.said()), (State::Lapsed, vec!["PaymentCaptureFailed"]));
    assert!(gone.timers.is_empty());
    let mut taken = Desk::at(State::Authorized);
    taken.fire(AUTHORIZATION).answers(captured(1_501));
    assert_eq!((taken.state(), taken.said()), (State::Authorized, vec!["PaymentChangedOutside"]));
}

#[test]
fn an_order_whose_gateway_is_not_configured_any_more_is_a_persons_case_and_nobody_else_is_asked() {
    let mut desk = Desk::at(State::Authorized);
    desk.reach = Reach::Absent;
    desk.does(confirmed());
    assert_eq!((desk.called(), desk.dead.as_slice()), (vec![], &["gateway_not_configured".to_owned()][..]));
    assert!(desk.payment().is_stuck() && !desk.timers.contains_key(ATTEMPT));
    desk.does(retry());
    assert!(desk.calls.is_empty() && desk.payment().is_stuck(), "still not");
    desk.reach = Reach::Answers;
    desk.does(retry());
    assert_eq!(desk.called(), ["capture:1?"], "under the same key: it may have been asked before");
    desk.answers(Outcome::NotFound);
    assert_eq!((desk.called(), desk.calls[0].gateway.as_str()), (vec!["capture:1".to_owned()], "sandbox"));
    desk.answers(captured(1_501));
    assert_eq!(desk.state(), State::Captured);
}

#[test]
fn edge_12_while_a_void_fails_no_capture_is_possible() {
    let mut desk = Desk::at(State::Authorized);
    desk.does(cancelled(vec![])).answers(Outcome::VoidFailed { detail: "no".into() });
    for late in [confirmed(), fraud_rejected(), rejected(), passed(), reserved()] {
        desk.does(late);
        assert!(desk.calls.is_empty() && desk.said.is_empty());
    }
    assert_eq!(desk.state(), State::Voiding);
}

#[test]
fn edge_13_a_cancellation_after_the_capture_gives_back_what_does_not_ship() {
    let mut desk = Desk::at(State::Captured);
    desk.does(cancelled(vec![given_up(1, "1", 1)])).answers(refunded(500));
    let refund: PaymentRefunded = desk.event();
    assert_eq!(
        (refund.amount, refund.items, refund.reason.code),
        (500, vec![given_up(1, "1", 1)], ReasonCode::Cancelled)
    );
}

#[test]
fn edge_14_two_cancellations_are_one_refund() {
    for state in [State::Captured, State::Capturing] {
        let mut desk = Desk::at(state);
        let cancel = || cancelled(vec![given_up(1, "1", 2), given_up(2, "2", 1)]);
        desk.batch(vec![cancel(), cancel()]);
        desk.does(cancel());
        if state == State::Capturing {
            desk.answers(captured(1_501));
            assert_eq!(desk.event::<PaymentCaptured>().amount, 1_501);
        }
        assert_eq!(desk.payment().case.made.of(Operation::Refund), 1);
        desk.answers(refunded(1_501));
        assert_eq!(desk.payment().refunded, 1_501);
    }
}

#[test]
fn edge_15_exactly_what_ships_is_captured_once_and_the_rest_released() {
    let mut desk = Desk::at(State::Authorized);
    desk.does(confirmed_of(vec![item(1, "1", 1), item(2, "2", 1)])).answers(captured(1_001));
    let event: PaymentCaptured = desk.event();
    assert_eq!((event.amount, event.remainder), (1_001, 500));
    assert_eq!(event.items, [item(1, "1", 1), item(2, "2", 1)]);
}

#[test]
fn edge_18_never_more_is_given_back_than_was_taken() {
    for items in [
        vec![given_up(1, "1", 3)],
        vec![given_up(1, "1", 2), given_up(1, "1", 1)],
        vec![given_up(9, "1", 1)],
        vec![given_up(1, "2", 1)],
        vec![given_up(1, "1", -1)],
    ] {
        for state in [State::Capturing, State::Captured] {
            assert!(Desk::at(state).decide(cancelled(items.clone())).is_err(), "{items:?} in {state:?}");
        }
    }
}

#[test]
fn edge_19_another_amount_or_currency_is_a_persons_case_and_nothing_ships() {
    let usd = Hold { money: Money { amount: 1_501, currency: Currency::USD }, ..hold(1_501) };
    for wrong in [authorized(1_502), authorized(1_500), Outcome::Authorized(usd)] {
        let mut desk = Desk::at(State::Authorizing);
        desk.answers(wrong.clone());
        assert_eq!((desk.state(), desk.dead.clone()), (State::Authorizing, vec!["amount_mismatch".to_owned()]));
        assert!(desk.said.is_empty() && desk.timers.is_empty() && desk.payment().is_stuck());
        desk.answers(wrong.clone());
        assert!(desk.dead.is_empty(), "told once");
        desk.does(retry());
        assert_eq!(desk.called(), ["authorize:1?"]);
        desk.answers(wrong);
        assert_eq!(desk.dead, ["amount_mismatch"], "looked up: still so");
        desk.does(cancelled(vec![]));
        assert_eq!(
            (desk.state(), desk.called()),
            (State::Voiding, vec!["void:1".to_owned()]),
            "a person cancels: what is held there is let go"
        );
        assert_eq!(desk.calls[0].request.payment_id.as_deref(), Some("pay_1"));
    }
    let mut desk = Desk::at(State::Capturing);
    desk.answers(captured(1_500));
    assert_eq!((desk.state(), desk.dead.clone()), (State::Capturing, vec!["amount_mismatch".to_owned()]));
    let mut desk = Desk::at(State::Refunding);
    desk.answers(refunded(500));
    assert_eq!(
        (desk.state(), desk.payment().refunded, desk.dead.clone()),
        (State::Refunding, 0, vec!["amount_mismatch".to_owned()])
    );
}

#[test]
fn edge_19_a_3ds_result_with_another_amount_is_refused() {
    let wrong = action_result(ActionResult::Passed { hold: Some(hold(9)) });
    let mut waiting = Desk::at(State::ActionRequired);
    assert_eq!(
        waiting.decide(wrong.clone()),
        Ok(Reply::Recorded(State::ActionRequired)),
        "the provider is not to repeat it"
    );
    assert_eq!(waiting.dead, ["notice_contradicts"]);
    assert_eq!(waiting.decide(wrong.clone()), Ok(Reply::Nothing(State::ActionRequired)));
    let mut desk = Desk::at(State::Authorizing);
    desk.does(wrong).answers(action_required());
    assert_eq!(desk.payment().case.attempt.as_ref().unwrap().phase, Phase::Disputed);
    assert!(desk.said.is_empty());
}

#[test]
fn edge_26_nothing_to_pay_goes_through_the_same_states_without_a_gateway() {
    let free = || {
        let mut event = stock_reserved();
        event.total = 0;
        event.lines.iter_mut().for_each(|line| line.amount = 0);
        Input::Reserved(Box::new(event))
    };
    let mut desk = Desk::new();
    desk.does(free());
    let event: PaymentAuthorized = desk.event();
    assert_eq!(
        (event.amount, event.gateway.as_str(), event.payment_id, desk.state()),
        (0, "none", None, State::Authorized)
    );
    assert!(desk.calls.is_empty() && desk.timers.is_empty());
    let mut rejected = Desk { world: desk.world.clone(), ..Desk::new() };
    desk.does(confirmed());
    assert_eq!((desk.said(), desk.state()), (vec!["PaymentCaptured"], State::Captured));
    desk.does(cancelled(vec![given_up(2, "2", 1)]));
    assert_eq!((desk.said(), desk.state()), (vec!["PaymentRefunded"], State::Refunded));
    rejected.does(fraud_rejected());
    assert_eq!((rejected.said(), rejected.state()), (vec!["PaymentVoided"], State::Voided));
    assert!(desk.calls.is_empty() && rejected.calls.is_empty() && desk.payment().case.attempt.is_none());
}

#[test]
fn a_refund_of_units_that_cost_nothing_needs_no_gateway() {
    let mut desk = Desk::new();
    let mut event = stock_reserved();
    event.lines = vec![line("1", 2, 1_501), line("2", 1, 0)];
    desk.does(Input::Reserved(Box::new(event))).answers(authorized(1_501)).does(confirmed()).answers(captured(1_501));
    desk.does(cancelled(vec![given_up(2, "2", 1)]));
    assert_eq!((desk.said(), desk.state(), desk.calls.len()), (vec!["PaymentRefunded"], State::Refunded, 0));
}

#[test]
fn what_is_said_carries_what_the_next_consumer_needs_and_the_orders_thread() {
    let mut desk = Desk::at(State::Authorizing);
    desk.answers(action_required());
    let asked: PaymentActionRequired = desk.event();
    assert_eq!((asked.amount, asked.expires_at), (1_501, START.plus(Duration::from_secs(900))));
    desk.does(passed());
    let event: PaymentAuthorized = desk.event();
    let reserved = stock_reserved();
    assert_eq!((event.lines, event.plan, event.personal), (reserved.lines, reserved.plan, reserved.personal));
    assert_eq!((event.gateway.as_str(), event.payment_id.as_deref()), ("sandbox", Some("pay_1")));
    assert_eq!(desk.said[0].headers.text("ce_correlationid"), Some("thread"), "a door says no thread: the row does");
    assert!(desk.payment().personal.is_none(), "personal data is not kept longer than it is needed");
    let mut tombstone = Desk::new();
    tombstone.does(cancelled(vec![]));
    let voided: PaymentVoided = tombstone.event();
    assert_eq!((voided.amount, voided.currency, voided.announced), (0, None, false));
}

#[test]
fn a_hold_whose_end_the_gateway_does_not_say_lasts_as_long_as_is_set() {
    let mut desk = Desk::at(State::Authorizing);
    desk.answers(Outcome::Authorized(Hold { capture_before: None, ..hold(1_501) }));
    assert_eq!(desk.payment().capture_before, Some(START.plus(7 * DAY)));
    assert!(!desk.timers.contains_key(ATTEMPT));
}

#[test]
fn a_hold_that_is_gone_at_the_provider_ends_the_order_as_one_that_ran_out() {
    let changed = |payment_id: &str, change| {
        Input::Notice(ProviderNotice::Payment {
            message_id: "evt_1".into(),
            order_id: ORDER,
            payment_id: payment_id.into(),
            change,
        })
    };
    let gone = || PaymentChange::HoldGone { end: HoldEnd::Cancelled, detail: "cancelled by hand".into() };
    let mut desk = Desk::at(State::Authorized);
    let payment_id = desk.payment().payment_id.clone().unwrap();
    assert_eq!(desk.decide(changed("pi_other", gone())), Ok(Reply::Unknown), "another payment of the order");
    assert_eq!(desk.decide(changed(&payment_id, gone())), Ok(Reply::Recorded(State::Lapsed)));
    assert_eq!(desk.said(), ["PaymentCaptureFailed"]);
    assert!(!desk.timers.contains_key(AUTHORIZATION));
    assert_eq!(desk.decide(changed(&payment_id, gone())), Ok(Reply::Nothing(State::Lapsed)), "twice is once");

    let mut waiting = Desk::at(State::ActionRequired);
    let payment_id = waiting.payment().payment_id.clone().unwrap();
    waiting.does(changed(&payment_id, gone()));
    assert_eq!(waiting.state(), State::Voiding);

    let mut captured = Desk::at(State::Captured);
    let payment_id = captured.payment().payment_id.clone().unwrap();
    let taken = |amount| changed(&payment_id, PaymentChange::Captured { money: eur(amount) });
    assert_eq!(captured.decide(taken(1_501)), Ok(Reply::Nothing(State::Captured)), "by us");
    captured.does(taken(7));
    assert_eq!(captured.dead, ["captured_outside"]);
    assert_eq!(captured.decide(taken(7)), Ok(Reply::Nothing(State::Captured)), "told once");
    assert!(captured.dead.is_empty());
}
