//! Attempts: asked again under the same key, looked up, attempted anew, given to a person.

use gateway::Obstacle;

use super::*;
use crate::attempt::Phase;
use crate::input::AUTHORIZATION;

fn unknown_until_stuck(desk: &mut Desk) -> Vec<String> {
    let mut calls = Vec::new();
    // ends with the last attempt that the settings allow
    while desk.timers.contains_key(ATTEMPT) {
        desk.fire(ATTEMPT);
        calls.extend(desk.called());
    }
    calls
}

/// The states in which the gateway was asked, and what.
const ASKED: [(State, &str); 4] = [
    (State::Authorizing, "authorize"),
    (State::Capturing, "capture"),
    (State::Voiding, "void"),
    (State::Refunding, "refund"),
];

#[test]
fn an_attempt_without_an_answer_is_called_again_then_looked_up_then_a_persons_case() {
    for (state, name) in ASKED {
        let mut desk = Desk::at(state);
        let mut expected = vec![format!("{name}:1")];
        expected.extend(std::iter::repeat_n(format!("{name}:1?"), 6));
        assert_eq!(unknown_until_stuck(&mut desk), expected);
        assert_eq!(desk.dead, ["gateway_no_answer"]);
        assert!(desk.payment().is_stuck());
        assert_eq!(desk.state(), state, "nothing is undone while the outcome is not known");
        assert!(desk.said.is_empty());
    }
}

#[test]
fn leases_double_and_a_timer_that_was_armed_anew_does_nothing() {
    let mut desk = Desk::at(State::Authorizing);
    let first = desk.timers[ATTEMPT];
    assert_eq!(first.since(START), Duration::from_secs(2));
    desk.fire(ATTEMPT);
    assert_eq!(desk.timers[ATTEMPT].since(first), Duration::from_secs(4));
    desk.does(Input::AttemptDue { order_id: ORDER, due: first });
    assert!(desk.calls.is_empty(), "EDGE 30: it was armed for a later time since");
}

#[test]
fn a_late_answer_counts_even_when_a_person_was_asked() {
    let mut desk = Desk::at(State::Capturing);
    unknown_until_stuck(&mut desk);
    desk.answers(captured(1_501));
    assert_eq!((desk.state(), desk.said()), (State::Captured, vec!["PaymentCaptured"]));
    assert!(!desk.payment().is_stuck());
}

#[test]
fn a_person_has_what_is_not_known_looked_up_under_the_same_key() {
    let mut desk = Desk::at(State::Capturing);
    unknown_until_stuck(&mut desk);
    let reply = desk.decide(retry()).unwrap();
    assert_eq!(reply, Reply::Retried { state: State::Capturing, attempt: format!("order:{ORDER}:capture:1") });
    assert_eq!(desk.called(), ["capture:1?"]);
    assert_eq!(desk.decide(retry()), Ok(Reply::NotStuck(State::Capturing)), "twice is once");
    desk.answers(Outcome::NotFound);
    assert_eq!(desk.called(), ["capture:1"], "nothing was done: the same call again");
    desk.answers(captured(1_501));
    assert_eq!(desk.state(), State::Captured);
}

#[test]
fn after_a_long_outage_nothing_is_made_again_under_an_old_key() {
    let day = Duration::from_secs(24 * 3_600);
    for (state, name) in ASKED {
        let mut desk = Desk::at(state);
        desk.now = desk.now.plus(day);
        desk.fire(ATTEMPT);
        assert_eq!(desk.called(), [format!("{name}:1?")], "looked up first");
        desk.answers(Outcome::NotFound);
        assert!(desk.calls.is_empty(), "the key may be forgotten: {:?}", desk.called());
        assert_eq!(desk.dead, ["gateway_no_answer"]);
        assert_eq!((desk.state(), desk.timers.contains_key(ATTEMPT)), (state, false), "a person's case");
        desk.does(retry());
        assert_eq!(desk.called(), [format!("{name}:1?")], "looked up once more");
        desk.answers(Outcome::NotFound);
        assert_eq!(desk.called(), [format!("{name}:2")], "a person looked, and so did we: under a new key");
    }
}

#[test]
fn an_errored_attempt_is_not_attempted_anew_by_itself_after_a_long_outage() {
    for (state, name) in [(State::Authorizing, "authorize"), (State::Refunding, "refund")] {
        let mut desk = Desk::at(state);
        desk.answers(Outcome::Errored { detail: "500".into() });
        assert_eq!(desk.called(), [format!("{name}:1?")], "it may have been done");
        desk.now = desk.now.plus(Duration::from_secs(24 * 3_600));
        desk.fire(ATTEMPT);
        assert_eq!(desk.called(), [format!("{name}:1?")]);
        desk.answers(Outcome::NotFound);
        assert_eq!(desk.dead, ["gateway_no_answer"], "the gateway may have forgotten what it did");
        assert!(desk.calls.is_empty() && !desk.timers.contains_key(ATTEMPT), "no second hold, no second refund");
        desk.does(retry());
        assert_eq!(desk.called(), [format!("{name}:1?")]);
        desk.answers(Outcome::NotFound);
        assert_eq!(desk.called(), [format!("{name}:2")], "a person looked, and so did we: under a new key");
    }
}

#[test]
fn within_a_day_the_key_still_counts_and_one_that_was_never_used_does_at_any_age() {
    let mut desk = Desk::at(State::Capturing);
    desk.now = desk.now.plus(Duration::from_secs(22 * 3_600));
    desk.fire(ATTEMPT);
    assert_eq!(desk.called(), ["capture:1"]);
    let mut desk = Desk::new();
    desk.reach = Reach::Silent;
    desk.does(reserved());
    assert!(desk.calls.is_empty(), "nobody is asked while the gateway answers nobody");
    desk.fire(ATTEMPT);
    desk.reach = Reach::Answers;
    desk.now = desk.now.plus(Duration::from_secs(30 * 3_600));
    desk.fire(ATTEMPT);
    assert_eq!(desk.called(), ["authorize:1"]);
    desk.fire(ATTEMPT);
    assert_eq!(desk.called(), ["authorize:1"], "its day begins with its first call");
    desk.now = desk.now.plus(Duration::from_secs(24 * 3_600));
    desk.fire(ATTEMPT);
    assert_eq!(desk.called(), ["authorize:1?"]);
}

#[test]
fn a_void_that_fails_is_attempted_again_after_a_pause_then_by_a_person() {
    let mut desk = Desk::at(State::Voiding);
    for number in 1..=4 {
        desk.answers(Outcome::VoidFailed { detail: "no".into() });
        assert!(desk.calls.is_empty() && desk.dead.is_empty(), "a pause first");
        desk.fire(ATTEMPT);
        assert_eq!(desk.called(), [format!("void:{}", number + 1)]);
    }
    desk.answers(Outcome::VoidFailed { detail: "no".into() });
    assert_eq!(desk.dead, ["void_failed"]);
    assert!(desk.payment().is_stuck() && desk.timers.is_empty());
    desk.does(retry());
    assert_eq!(desk.called(), ["void:6"], "a definite failure: a new attempt");
    desk.does(answer(Operation::Void, 5, Outcome::Voided { money: eur(1_501) }));
    assert_eq!(desk.state(), State::Voiding, "an answer to an earlier attempt is nothing");
    desk.answers(Outcome::Voided { money: eur(1_501) });
    assert_eq!((desk.state(), desk.said()), (State::Voided, vec!["PaymentVoided"]));
}

#[test]
fn a_refund_that_failed_is_given_back_by_a_persons_new_attempt_and_the_old_one_is_deaf() {
    let mut desk = Desk::at(State::Refunding);
    desk.answers(pending(501)).does(told("m1", RefundStatus::Failed { detail: "closed".into() }));
    assert_eq!((desk.said(), desk.dead.clone()), (vec!["PaymentRefundFailed"], vec!["refund_failed".into()]));
    desk.does(retry());
    assert_eq!(desk.called(), ["refund:2"]);
    for late in [pending(501), Outcome::RefundFailed { refund_id: Some("re_1".into()), detail: "closed".into() }] {
        desk.does(answer(Operation::Refund, 1, late));
        assert!(desk.said.is_empty() && desk.calls.is_empty(), "the first attempt's answers are nothing now");
    }
    desk.does(told("m2", RefundStatus::Failed { detail: "closed".into() }));
    assert!(desk.said.is_empty(), "nor are its webhooks");
    desk.answers(Outcome::Refunded { refund_id: "re_2".into(), money: eur(501) });
    assert_eq!((desk.state(), desk.said()), (State::Refunded, vec!["PaymentRefunded"]));
}

#[test]
fn a_pending_refund_is_looked_up_now_and_then_for_as_long_as_it_takes() {
    let mut desk = Desk::at(State::Refunding);
    desk.answers(pending(501));
    assert!(desk.said.is_empty(), "never told while it is pending");
    for _ in 0..50 {
        desk.fire(ATTEMPT);
        assert_eq!(desk.called(), ["refund:1?"]);
        desk.answers(pending(501));
        assert!(desk.timers.contains_key(ATTEMPT) && desk.dead.is_empty());
    }
    assert!(desk.now.since(START) > Duration::from_secs(24 * 3_600), "the pauses grow");
    desk.answers(refunded(501));
    assert_eq!((desk.state(), desk.timers.len()), (State::Refunded, 0));
}

#[test]
fn a_spoilt_key_is_looked_up_and_replaced_only_when_nothing_was_done() {
    let mut desk = Desk::at(State::Authorizing);
    let error = Outcome::Errored { detail: "500".into() };
    desk.answers(error.clone());
    assert_eq!(desk.called(), ["authorize:1?"], "EDGE 3: fetch the object");
    desk.answers(error.clone());
    assert!(desk.calls.is_empty(), "once");
    desk.fire(ATTEMPT);
    assert_eq!(desk.called(), ["authorize:1?"], "never the spoilt key itself again");
    let mut done = Desk { world: desk.world.clone(), ..Desk::new() };
    done.answers(authorized(1_501));
    assert_eq!(done.state(), State::Authorized, "it had been done after all");

    desk.answers(Outcome::NotFound);
    assert!(desk.calls.is_empty());
    desk.answers(Outcome::NotFound).fire(ATTEMPT);
    assert_eq!(desk.called(), ["authorize:2"], "then a new attempt");
    desk.answers(authorized(1_501));
    assert_eq!(desk.state(), State::Authorized);
}

#[test]
fn a_gateway_that_fails_for_ever_is_a_persons_case() {
    let mut desk = Desk::at(State::Authorizing);
    for _ in 0..8 {
        desk.answers(Outcome::Errored { detail: "500".into() }).answers(Outcome::NotFound);
        if desk.timers.contains_key(ATTEMPT) {
            desk.fire(ATTEMPT);
        }
    }
    assert!(desk.payment().is_stuck());
    desk.does(retry());
    assert_eq!(desk.called(), ["authorize:9"]);
}

#[test]
fn calls_are_made_from_what_the_batch_left() {
    let mut desk = Desk::at(State::Authorized);
    desk.batch(vec![confirmed(), cancelled(vec![given_up(2, "2", 1)])]);
    assert_eq!((desk.state(), desk.called()), (State::Voiding, vec!["void:1".to_owned()]), "folded: no capture");
    assert!(desk.said.is_empty());

    let mut desk = Desk::new();
    let replies = desk.batch(vec![reserved(), cancelled(vec![])]);
    assert!(replies.iter().all(Result::is_ok));
    assert_eq!(
        (desk.state(), desk.said(), desk.called()),
        (State::Voided, vec!["PaymentVoided"], vec![]),
        "folded: nobody was asked"
    );
    assert!(desk.timers.is_empty());

    let mut desk = Desk::at(State::Capturing);
    desk.batch(vec![cancelled(vec![given_up(2, "2", 1)]), answer(Operation::Capture, 1, captured(1_501))]);
    assert_eq!(
        (desk.state(), desk.called()),
        (State::Refunding, vec!["refund:1".to_owned()]),
        "it was asked in an earlier batch"
    );

    let mut desk = Desk::at(State::Authorizing);
    let due = desk.timers[ATTEMPT];
    desk.now = due;
    desk.batch(vec![Input::AttemptDue { order_id: ORDER, due }, answer(Operation::Authorize, 1, authorized(1_501))]);
    assert_eq!((desk.state(), desk.called()), (State::Authorized, vec![]), "answered meanwhile: not asked again");
}

#[test]
fn a_timer_stands_for_every_open_attempt_and_every_hold_and_for_nothing_else() {
    for state in State::ALL {
        let desk = Desk::at(state);
        let open = desk
            .world
            .payment(ORDER)
            .and_then(|payment| payment.case.attempt.clone())
            .is_some_and(|attempt| matches!(attempt.phase, Phase::Open | Phase::Pending));
        assert_eq!(desk.timers.contains_key(ATTEMPT), open, "in {state:?}");
        assert_eq!(desk.timers.contains_key(AUTHORIZATION), state == State::Authorized, "in {state:?}");
    }
}

#[test]
fn a_call_carries_what_the_gateway_needs_under_the_attempts_own_key() {
    let mut desk = Desk::new();
    desk.does(reserved());
    let [call] = &desk.calls[..] else { panic!("one call: {:?}", desk.calls) };
    assert_eq!(call.request.key, format!("order:{ORDER}:authorize:1"));
    assert_eq!((call.request.money, call.request.payment_id.as_deref()), (eur(1_501), None));
    assert_eq!(call.buyer.as_ref().unwrap().payment_method, "tok_approved");
    desk.fire(ATTEMPT);
    let again = desk.calls[0].clone();
    assert_eq!(again.request.key, format!("order:{ORDER}:authorize:1"), "EDGE 2: the same key");
    assert!(again.buyer.is_some());
    desk.answers(authorized(1_501)).does(confirmed_of(vec![item(1, "1", 1)]));
    let capture = &desk.calls[0];
    assert_eq!((capture.request.money, capture.request.payment_id.as_deref()), (eur(500), Some("pay_1")));
    assert!(capture.buyer.is_none());
}

#[test]
fn a_payments_id_is_recorded_before_money_moves_and_the_same_call_goes_on_with_it() {
    let mut desk = Desk::at(State::Authorizing);
    assert_eq!(desk.calls[0].request.payment_id, None);
    desk.answers(Outcome::Opened { payment_id: "pi_1".into() });
    assert_eq!(desk.payment().payment_id.as_deref(), Some("pi_1"));
    assert_eq!(desk.called(), ["authorize:1"]);
    assert_eq!(desk.calls[0].request.payment_id.as_deref(), Some("pi_1"));
    desk.answers(authorized(1_501));
    assert_eq!(desk.state(), State::Authorized);

    let mut stopped = Desk::at(State::Authorizing);
    stopped.does(cancelled(vec![]));
    stopped.answers(Outcome::Opened { payment_id: "pi_1".into() });
    assert_eq!(
        (stopped.state(), stopped.called()),
        (State::Voiding, vec!["void:1".into()]),
        "it is not confirmed any more"
    );
}

#[test]
fn what_was_not_executed_uses_up_no_try_however_often() {
    let busy = || Outcome::NotExecuted { obstacle: Obstacle::Busy, detail: "429".into() };
    for (state, name) in ASKED {
        let mut desk = Desk::at(state);
        let long_ago = desk.now;
        for _ in 0..100 {
            desk.answers(busy());
            assert!(desk.calls.is_empty(), "not at once");
            desk.fire(ATTEMPT);
            assert_eq!(desk.called(), [format!("{name}:1")], "the call itself, under its first key");
        }
        let attempt = desk.payment().case.attempt.clone().unwrap();
        assert_eq!((attempt.phase, attempt.tries), (Phase::Open, 1));
        assert!(attempt.since > long_ago, "its key is used from now on");
    }
}

#[test]
fn a_gateway_that_takes_nobodys_calls_declines_nobody() {
    for obstacle in [Obstacle::Unreachable, Obstacle::Misconfigured] {
        let mut desk = Desk::at(State::Authorizing);
        desk.answers(Outcome::NotExecuted { obstacle, detail: "401".into() });
        assert_eq!(desk.state(), State::Authorizing);
        assert!(desk.timers[ATTEMPT].since(desk.now) >= Duration::from_secs(48), "all wait long, and not together");
        desk.fire(ATTEMPT).answers(authorized(1_501));
        assert_eq!(desk.state(), State::Authorized);
    }
}

#[test]
fn a_refund_that_errored_is_not_made_again_by_itself() {
    let mut desk = Desk::at(State::Refunding);
    desk.answers(Outcome::Errored { detail: "500".into() });
    // ends with the last attempt that the settings allow
    while desk.timers.contains_key(ATTEMPT) {
        desk.answers(Outcome::NotFound).fire(ATTEMPT);
        assert!(
            desk.called().iter().all(|call| call == "refund:1?"),
            "the provider may yet roll it forward: {:?}",
            desk.called()
        );
    }
    assert_eq!(desk.dead, ["gateway_no_answer"]);
    desk.does(retry()).answers(Outcome::NotFound).fire(ATTEMPT);
    assert_eq!(desk.called(), ["refund:2"], "a person decided");
}
